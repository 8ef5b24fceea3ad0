/*
 * Timer wheel: 1,024 slots of 16 ms. A deadline beyond the horizon (16 s) is parked at the horizon and looked at again
 * there. Owners re-check their true deadline when a timer fires and add it again when it has moved on; extending a
 * deadline on the hot path therefore costs one store in the owner and nothing here.
 *
 * Thread: the owner's only. Times are milliseconds of CLOCK_MONOTONIC.
 */
#ifndef RG_BASE_TIMER_H
#define RG_BASE_TIMER_H

#include <stdint.h>

#include "datapath/base/list.h"

#define RG_WHEEL_SLOTS   1024
#define RG_WHEEL_TICK_MS 16

struct rg_timer {
    struct rg_list link; /* linked to itself: not running */
    uint64_t due_ms;
};

struct rg_wheel {
    struct rg_list slots[RG_WHEEL_SLOTS];
    uint64_t used[RG_WHEEL_SLOTS / 64]; /* bit: the slot may hold a timer */
    uint64_t tick;                      /* every slot up to this one has been run */
};

typedef void rg_timer_fired(struct rg_timer *timer, void *arg);

void rg_wheel_init(struct rg_wheel *wheel, uint64_t now_ms);
void rg_timer_init(struct rg_timer *timer);
static inline bool rg_timer_is_running(const struct rg_timer *timer)
{
    return !rg_list_empty(&timer->link);
}

/* Starts or moves a timer. Fires at or after due_ms, at most one tick late, or at the horizon when due_ms lies beyond.
 */
void rg_timer_start(struct rg_wheel *wheel, struct rg_timer *timer, uint64_t due_ms);
void rg_timer_stop(struct rg_timer *timer);

/* Stops every timer that is due and hands it over; the callback may start and stop any timer. */
void rg_wheel_run(struct rg_wheel *wheel, uint64_t now_ms, rg_timer_fired *fired, void *arg);

/* Milliseconds until the next slot with a timer; UINT64_MAX: none. */
uint64_t rg_wheel_next(const struct rg_wheel *wheel, uint64_t now_ms);

#endif
