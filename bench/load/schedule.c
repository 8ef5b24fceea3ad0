/* The heap of due times. Thread: that of the worker. */
#include "bench/load/schedule.h"

#include <errno.h>
#include <stdlib.h>

enum { CHILDREN = 4 };

int rg_schedule_init(struct rg_schedule *s, uint32_t connections)
{
    *s = (struct rg_schedule){0};
    s->heap = calloc(connections, sizeof *s->heap);
    s->places = calloc(connections, sizeof *s->places);
    if (s->heap && s->places)
        return 0;
    rg_schedule_fini(s);
    return -ENOMEM;
}

void rg_schedule_fini(struct rg_schedule *s)
{
    free(s->heap);
    free(s->places);
    *s = (struct rg_schedule){0};
}

static void place(struct rg_schedule *s, uint32_t at, struct rg_schedule_entry e)
{
    s->heap[at] = e;
    s->places[e.who] = at + 1;
}

static void rise(struct rg_schedule *s, uint32_t at, struct rg_schedule_entry e)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / CHILDREN;
        if (s->heap[parent].at <= e.at)
            break;
        place(s, at, s->heap[parent]);
        at = parent;
    }
    place(s, at, e);
}

static uint32_t earliest_child(const struct rg_schedule *s, uint32_t at)
{
    uint32_t first = at * CHILDREN + 1, best = first;
    for (uint32_t child = first + 1; child < first + CHILDREN && child < s->count; child++)
        if (s->heap[child].at < s->heap[best].at)
            best = child;
    return best;
}

static void sink(struct rg_schedule *s, uint32_t at, struct rg_schedule_entry e)
{
    while (at * CHILDREN + 1 < s->count) {
        uint32_t child = earliest_child(s, at);
        if (e.at <= s->heap[child].at)
            break;
        place(s, at, s->heap[child]);
        at = child;
    }
    place(s, at, e);
}

/* The entry takes a place whose content no longer counts. */
static void settle(struct rg_schedule *s, uint32_t at, struct rg_schedule_entry e)
{
    if (at > 0 && e.at < s->heap[(at - 1) / CHILDREN].at)
        rise(s, at, e);
    else
        sink(s, at, e);
}

void rg_schedule_set(struct rg_schedule *s, uint32_t who, uint64_t at)
{
    struct rg_schedule_entry e = {.at = at, .who = who};
    if (s->places[who])
        settle(s, s->places[who] - 1, e);
    else
        rise(s, s->count++, e);
}

void rg_schedule_clear(struct rg_schedule *s, uint32_t who)
{
    uint32_t at = s->places[who];
    if (!at)
        return;
    s->places[who] = 0;
    s->count--;
    if (at - 1 < s->count)
        settle(s, at - 1, s->heap[s->count]);
}

void rg_schedule_pop(struct rg_schedule *s)
{
    if (s->count)
        rg_schedule_clear(s, s->heap[0].who);
}
