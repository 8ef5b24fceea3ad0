/* See pool.h. A chunk finds itself from any of its objects by alignment, so an object carries no header. */
#include "datapath/base/pool.h"

#include <sys/mman.h>

#include "datapath/base/assert.h"

#if defined(__SANITIZE_ADDRESS__)
#define RG_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RG_ASAN 1
#endif
#endif
#ifdef RG_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(ptr, len)   __asan_poison_memory_region(ptr, len)
#define UNPOISON(ptr, len) __asan_unpoison_memory_region(ptr, len)
#else
#define POISON(ptr, len)   ((void)(ptr))
#define UNPOISON(ptr, len) ((void)(ptr))
#endif

struct free_object {
    struct free_object *next;
};

struct chunk {
    struct rg_list link; /* in pool->partial while it has a free object */
    struct free_object *free;
    uint32_t used;
    uint32_t fresh; /* objects never handed out yet; their pages are untouched */
};

#define CHUNK_HEADER 64
#define TRIM_BYTES   (4u << 20) /* given back at once: some hundred microseconds of a turn */

static size_t first_offset(const struct rg_pool *pool)
{
    return pool->object > CHUNK_HEADER && (pool->object & (pool->object - 1)) == 0 ? pool->object : CHUNK_HEADER;
}

void rg_pool_init(struct rg_pool *pool, size_t object, size_t chunk_bytes, uint64_t max_bytes)
{
    RG_ASSERT((chunk_bytes & (chunk_bytes - 1)) == 0);
    *pool = (struct rg_pool){.object = (object + 15) & ~(size_t)15, .chunk_bytes = chunk_bytes, .max_bytes = max_bytes};
    pool->per_chunk = (uint32_t)((chunk_bytes - first_offset(pool)) / pool->object);
    RG_ASSERT(pool->per_chunk > 0);
    rg_list_init(&pool->partial);
}

static void chunk_unmap(struct rg_pool *pool, struct chunk *c)
{
    rg_list_remove(&c->link);
    UNPOISON(c, pool->chunk_bytes);
    munmap(c, pool->chunk_bytes);
    pool->bytes -= pool->chunk_bytes;
    pool->n_empty--;
}

void rg_pool_fini(struct rg_pool *pool)
{
    RG_ASSERT(pool->used == 0);
    while (!rg_list_empty(&pool->partial))
        chunk_unmap(pool, RG_CONTAINER(pool->partial.next, struct chunk, link));
}

/* Maps twice the size and gives back what is not aligned. */
static void *map_aligned(size_t bytes)
{
    char *raw = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    char *aligned = (char *)(((uintptr_t)raw + bytes - 1) & ~(uintptr_t)(bytes - 1));
    if (aligned > raw)
        munmap(raw, (size_t)(aligned - raw));
    munmap(aligned + bytes, (size_t)(raw + bytes - aligned));
    return aligned;
}

static RG_COLD struct chunk *chunk_map(struct rg_pool *pool)
{
    if (pool->bytes + pool->chunk_bytes > pool->max_bytes)
        return NULL;
    struct chunk *c = map_aligned(pool->chunk_bytes);
    if (!c)
        return NULL;
    *c = (struct chunk){.fresh = pool->per_chunk};
    POISON((char *)c + CHUNK_HEADER, pool->chunk_bytes - CHUNK_HEADER);
    rg_list_prepend(&pool->partial, &c->link);
    pool->bytes += pool->chunk_bytes;
    pool->n_empty++;
    return c;
}

void *rg_pool_get(struct rg_pool *pool)
{
    struct chunk *c;
    if (RG_UNLIKELY(rg_list_empty(&pool->partial))) {
        c = chunk_map(pool);
        if (!c)
            return NULL;
    } else {
        c = RG_CONTAINER(pool->partial.next, struct chunk, link);
    }
    if (c->used++ == 0)
        pool->n_empty--;
    if (++pool->used > pool->peak_used)
        pool->peak_used = pool->used;
    void *object = c->free;
    if (object) {
        UNPOISON(object, pool->object);
        c->free = ((struct free_object *)object)->next;
    } else {
        c->fresh--;
        object = (char *)c + first_offset(pool) + (size_t)(pool->per_chunk - c->fresh - 1) * pool->object;
        UNPOISON(object, pool->object);
    }
    if (!c->free && c->fresh == 0)
        rg_list_remove(&c->link);
    return object;
}

void rg_pool_put(struct rg_pool *pool, void *object)
{
    struct chunk *c = (struct chunk *)((uintptr_t)object & ~(uintptr_t)(pool->chunk_bytes - 1));
    RG_ASSERT(c->used > 0 && pool->used > 0);
    bool was_full = !c->free && c->fresh == 0;
    struct free_object *f = object;
    f->next = c->free;
    c->free = f;
    POISON(object, pool->object);
    if (--c->used == 0)
        pool->n_empty++;
    pool->used--;
    if (was_full)
        rg_list_prepend(&pool->partial, &c->link);
}

/* Empty chunks, at most so many bytes of them, until no more than `keep` bytes are mapped. */
static void unmap_empty(struct rg_pool *pool, uint64_t keep, uint64_t most)
{
    uint64_t before = pool->bytes;
    struct rg_list *i = pool->partial.next;

    while (pool->n_empty > 0 && pool->bytes > keep && before - pool->bytes < most) {
        struct chunk *c = RG_CONTAINER(i, struct chunk, link);

        RG_ASSERT(i != &pool->partial); /* an empty chunk is in the list */
        i = i->next;
        if (c->used == 0)
            chunk_unmap(pool, c);
    }
}

void rg_pool_trim(struct rg_pool *pool)
{
    uint64_t peak = pool->peak_used > pool->peak_used_before ? pool->peak_used : pool->peak_used_before;

    unmap_empty(pool, (peak + pool->per_chunk - 1) / pool->per_chunk * pool->chunk_bytes, TRIM_BYTES);
    pool->peak_used_before = pool->peak_used;
    pool->peak_used = pool->used;
}

bool rg_pool_unmap_one(struct rg_pool *pool)
{
    uint64_t before = pool->bytes;

    unmap_empty(pool, 0, 1);
    return pool->bytes < before;
}
