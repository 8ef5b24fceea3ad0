/* See h2_mem.h. */
#include "datapath/h2/h2_mem.h"

#include <stdlib.h>
#include <string.h>

#include "datapath/base/assert.h"

#define CHUNK_BYTES (64u * 1024)
#define POOL_MAX    (1ull << 40) /* what a session takes is bounded by its limits, sessions by connections */
#define FRAME_LEAST 16384u       /* the library's block for frames is a little larger */
#define LARGE       UINT32_MAX

/* Sizes that the library asks for, with the header. */
static const uint32_t sizes[RG_H2_MEM_CLASSES] = {48, 80, 112, 176, 256, 512, 1040, 2048, 2960, 4112};

struct header {
    uint32_t class; /* LARGE: from the system */
    uint32_t size;  /* that was asked for */
    uint64_t pad;   /* what follows is aligned for any type */
};

static void *get(struct rg_h2_mem *m, size_t size)
{
    struct header *h = NULL;
    uint32_t class = 0;
    if (size > UINT32_MAX - sizeof *h)
        return NULL;
    while (class < RG_H2_MEM_CLASSES && sizes[class] < size + sizeof *h)
        class ++;
    if (class < RG_H2_MEM_CLASSES)
        h = rg_pool_get(&m->pools[class]);
    else
        h = malloc(size + sizeof *h);
    if (!h)
        return NULL;
    *h = (struct header){.class = class < RG_H2_MEM_CLASSES ? class : LARGE, .size = (uint32_t)size};
    if (h->class == LARGE)
        m->large_bytes += size;
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
    const struct header *h = (struct header *)p - 1;
    memcpy(to, p, h->size < size ? h->size : size);
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
}

void rg_h2_mem_fini(struct rg_h2_mem *m)
{
    void *frame = m->frame;
    m->frame = NULL;
    mem_free(frame, m);
    RG_ASSERT(m->large_bytes == 0);
    for (unsigned i = 0; i < RG_H2_MEM_CLASSES; i++)
        rg_pool_fini(&m->pools[i]);
}

void rg_h2_mem_trim(struct rg_h2_mem *m)
{
    for (unsigned i = 0; i < RG_H2_MEM_CLASSES; i++)
        rg_pool_trim(&m->pools[i]);
}

uint64_t rg_h2_mem_bytes(const struct rg_h2_mem *m)
{
    uint64_t bytes = m->large_bytes;
    for (unsigned i = 0; i < RG_H2_MEM_CLASSES; i++)
        bytes += m->pools[i].bytes;
    return bytes;
}
