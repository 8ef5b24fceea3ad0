/* See arena.h. */
#include "datapath/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define BLOCK_MIN 1024u
#define BLOCK_MAX (256u * 1024) /* blocks double up to it; what is larger gets one of its own */

struct rg_arena_block {
    struct rg_arena_block *next;
    alignas(max_align_t) char bytes[];
};

void rg_arena_fini(struct rg_arena *a)
{
    while (a->blocks) {
        struct rg_arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    rg_arena_init(a);
}

static bool add_block(struct rg_arena *a, size_t least)
{
    size_t size = a->size < BLOCK_MIN ? BLOCK_MIN : a->size < BLOCK_MAX ? a->size * 2 : BLOCK_MAX;
    if (size < least)
        size = least;
    struct rg_arena_block *b = calloc(1, sizeof *b + size);
    if (!b)
        return false;
    b->next = a->blocks;
    a->blocks = b;
    a->used = 0;
    a->size = size;
    return true;
}

void *rg_arena_alloc(struct rg_arena *a, size_t bytes)
{
    size_t align = alignof(max_align_t);
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t rounded = bytes > 0 ? (bytes + align - 1) / align * align : align;
    if ((!a->blocks || a->size - a->used < rounded) && !add_block(a, rounded))
        return NULL;
    void *p = a->blocks->bytes + a->used;
    a->used += rounded;
    a->bytes += rounded;
    return p;
}

void *rg_arena_array(struct rg_arena *a, size_t n, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? NULL : rg_arena_alloc(a, bytes);
}

bool rg_arena_copy(struct rg_arena *a, struct rg_str s, struct rg_str *ret)
{
    char *p = rg_arena_alloc(a, s.len + 1);
    if (!p)
        return false;
    if (s.len > 0)
        memcpy(p, s.ptr, s.len);
    *ret = (struct rg_str){p, s.len};
    return true;
}
