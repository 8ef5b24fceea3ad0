/*
 * One timer per client, in a binary heap of its thread. Room is reserved when a client is made, so setting one never
 * fails. Thread: the owner of the clients.
 */
#include "bench/origin/origin.h"

#include <limits.h>
#include <stdlib.h>

bool rg_timer_reserve(struct rg_thread *t)
{
    if (t->n_clients < t->timers_size)
        return true;
    unsigned size = t->timers_size ? t->timers_size * 2 : 64;
    struct rg_client **timers = realloc(t->timers, size * sizeof(struct rg_client *));
    if (!timers)
        return false;
    t->timers = timers;
    t->timers_size = size;
    return true;
}

static void place(struct rg_thread *t, unsigned i, struct rg_client *c)
{
    t->timers[i] = c;
    c->timer_slot = i + 1;
}

static void sift_up(struct rg_thread *t, unsigned i)
{
    struct rg_client *c = t->timers[i];
    while (i > 0 && t->timers[(i - 1) / 2]->timer_at > c->timer_at) {
        place(t, i, t->timers[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(t, i, c);
}

static void sift_down(struct rg_thread *t, unsigned i)
{
    struct rg_client *c = t->timers[i];
    for (;;) {
        unsigned child = 2 * i + 1;
        if (child >= t->n_timers)
            break;
        if (child + 1 < t->n_timers && t->timers[child + 1]->timer_at < t->timers[child]->timer_at)
            child++;
        if (t->timers[child]->timer_at >= c->timer_at)
            break;
        place(t, i, t->timers[child]);
        i = child;
    }
    place(t, i, c);
}

void rg_timer_set(struct rg_client *c, uint64_t at)
{
    struct rg_thread *t = c->thread;
    c->timer_at = at;
    if (c->timer_slot == 0)
        place(t, t->n_timers++, c);
    sift_up(t, c->timer_slot - 1);
    sift_down(t, c->timer_slot - 1);
}

void rg_timer_clear(struct rg_client *c)
{
    struct rg_thread *t = c->thread;
    if (c->timer_slot == 0)
        return;
    unsigned i = c->timer_slot - 1;
    struct rg_client *last = t->timers[--t->n_timers];
    c->timer_slot = 0;
    if (last == c)
        return;
    place(t, i, last);
    sift_up(t, i);
    sift_down(t, last->timer_slot - 1);
}

struct rg_client *rg_timer_take_due(struct rg_thread *t)
{
    if (t->n_timers == 0 || t->timers[0]->timer_at > t->now_ms)
        return NULL;
    struct rg_client *c = t->timers[0];
    rg_timer_clear(c);
    return c;
}

int rg_timer_wait(const struct rg_thread *t)
{
    if (t->n_timers == 0)
        return -1;
    if (t->timers[0]->timer_at <= t->now_ms)
        return 0;
    uint64_t wait = t->timers[0]->timer_at - t->now_ms;
    return wait > INT_MAX ? INT_MAX : (int)wait;
}
