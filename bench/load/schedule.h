/*
 * When which connection is due: a heap with at most one time per connection. Four children per node: fewer levels, and
 * the four lie in one cache line.
 * Thread: that of the worker that owns it. Memory is taken once, for all connections.
 */
#ifndef RG_LOAD_SCHEDULE_H
#define RG_LOAD_SCHEDULE_H

#include <stdint.h>

#define RG_SCHEDULE_NEVER UINT64_MAX

struct rg_schedule_entry {
    uint64_t at; /* CLOCK_MONOTONIC, ns */
    uint32_t who;
};

struct rg_schedule {
    struct rg_schedule_entry *heap;
    uint32_t *places; /* by connection: its index in the heap + 1, 0 when it has no time */
    uint32_t count;
};

int rg_schedule_init(struct rg_schedule *s, uint32_t connections); /* negative errno */
void rg_schedule_fini(struct rg_schedule *s);
void rg_schedule_set(struct rg_schedule *s, uint32_t who, uint64_t at); /* in place of the time it had */
void rg_schedule_clear(struct rg_schedule *s, uint32_t who);
void rg_schedule_pop(struct rg_schedule *s); /* removes the earliest */

static inline uint64_t rg_schedule_next(const struct rg_schedule *s)
{
    return s->count ? s->heap[0].at : RG_SCHEDULE_NEVER;
}

#endif
