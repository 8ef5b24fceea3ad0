/* See h2_mem.h. */
#include "datapath/h2/h2_mem.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <string.h>

#include "datapath/base/assert.h"

#define CHUNK_BYTES (64u * 1024)
#define POOL_MAX    (1ull << 40) /* what a session takes is bounded by its limits, sessions by connections */
#define FRAME_LEAST 16384u       /* the library's block for frames is a little larger */
#define PAGE        4096u
#define PAGE_CHUNK  (256u * 1024)
#define LARGE       UINT32_MAX

/* Sizes that the library asks for, with the header; multiples of ALIGN, so that what follows a header is never aligned
 * to it, and so never to a page. */
#define ALIGN 32u
static const uint32_t sizes[RG_H2_MEM_CLASSES] = {32, 64, 96, 128, 192, 256, 512, 1056, 2976};

/* Before every block but pages, which are known by their alignment. */
struct header {
    uint32_t class; /* LARGE: from the system */
    uint32_t size;  /* that was asked for */
    uint64_t pad;   /* what follows is aligned for any type */
};

static bool is_page(const void *p)
{
    return ((uintptr_t)p & (PAGE - 1)) == 0;
}

static void *get_page(struct rg_h2_mem *m)
{
    void *page = rg_pool_get(&m->pages);
    if (page && m->creating)
        m->table = page;
    return page;
}

static void *get(struct rg_h2_mem *m, size_t size)
{
    struct header *h = NULL;
    uint32_t class = 0;
    if (size > UINT32_MAX - sizeof *h)
        return NULL;
    while (class < RG_H2_MEM_CLASSES && sizes[class] < size + sizeof *h)
        class ++;
    if (class == RG_H2_MEM_CLASSES && size <= PAGE)
        return get_page(m);
    if (class < RG_H2_MEM_CLASSES)
        h = rg_pool_get(&m->pools[class]);
    else
        h = aligned_alloc(ALIGN, (size + sizeof *h + ALIGN - 1) & ~(size_t)(ALIGN - 1));
    if (!h)
        return NULL;
    *h = (struct header){.class = class < RG_H2_MEM_CLASSES ? class : LARGE, .size = (uint32_t)size};
    if (h->class == LARGE)
        m->large_bytes += size;
    RG_ASSERT(!is_page(h + 1));
    return h + 1;
}

static void *mem_malloc(size_t size, void *arg)
{
    struct rg_h2_mem *m = arg;
    if (m->creating && size >= FRAME_LEAST) {
        if (!m->frame)
            m->frame = get(m, size);
        return m->frame;
    }
    return get(m, size);
}

static void mem_free(void *p, void *arg)
{
    struct rg_h2_mem *m = arg;
    if (!p || p == m->frame)
        return;
    if (is_page(p)) {
        rg_pool_put(&m->pages, p);
        return;
    }
    struct header *h = (struct header *)p - 1;
    if (h->class == LARGE) {
        m->large_bytes -= h->size;
        free(h);
    } else {
        rg_pool_put(&m->pools[h->class], h);
    }
}

static void *mem_calloc(size_t n, size_t size, void *arg)
{
    if (size > 0 && n > UINT32_MAX / size)
        return NULL;
    void *p = mem_malloc(n * size, arg);
    return p ? memset(p, 0, n * size) : NULL;
}

static void *mem_realloc(void *p, size_t size, void *arg)
{
    struct rg_h2_mem *m = arg;
    RG_ASSERT(!p || p != m->frame);
    void *to = mem_malloc(size, arg);
    if (!p || !to)
        return to;
    uint32_t old = is_page(p) ? PAGE : ((struct header *)p - 1)->size;
    memcpy(to, p, old < size ? old : size);
    mem_free(p, arg);
    return to;
}

void rg_h2_mem_init(struct rg_h2_mem *m)
{
    *m = (struct rg_h2_mem){
        .mem = {
            .mem_user_data = m, .malloc = mem_malloc, .free = mem_free, .calloc = mem_calloc, .realloc = mem_realloc}};
    for (unsigned i = 0; i < RG_H2_MEM_CLASSES; i++)
        rg_pool_init(&m->pools[i], sizes[i], CHUNK_BYTES, POOL_MAX);
    rg_pool_init(&m->pages, PAGE, PAGE_CHUNK, POOL_MAX);
}

void rg_h2_mem_fini(struct rg_h2_mem *m)
{
    void *frame = m->frame;
    m->frame = NULL;
    mem_free(frame, m);
    RG_ASSERT(m->large_bytes == 0);
    for (unsigned i = 0; i < RG_H2_MEM_CLASSES; i++)
        rg_pool_fini(&m->pools[i]);
    rg_pool_fini(&m->pages);
}

void rg_h2_mem_trim(struct rg_h2_mem *m)
{
    for (unsigned i = 0; i < RG_H2_MEM_CLASSES; i++)
        rg_pool_trim(&m->pools[i]);
    rg_pool_trim(&m->pages);
}

bool rg_h2_mem_give_page(void *page)
{
    static const char zeros[PAGE];
    if (!page || memcmp(page, zeros, PAGE) != 0)
        return false;
    return madvise(page, PAGE, MADV_DONTNEED) == 0;
}

uint64_t rg_h2_mem_bytes(const struct rg_h2_mem *m)
{
    uint64_t bytes = m->large_bytes + m->pages.bytes;
    for (unsigned i = 0; i < RG_H2_MEM_CLASSES; i++)
        bytes += m->pools[i].bytes;
    return bytes;
}
