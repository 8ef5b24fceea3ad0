/* See timer.h. */
#include "datapath/base/timer.h"

void rg_wheel_init(struct rg_wheel *wheel, uint64_t now_ms)
{
    for (unsigned i = 0; i < RG_WHEEL_SLOTS; i++)
        rg_list_init(&wheel->slots[i]);
    for (unsigned i = 0; i < RG_WHEEL_SLOTS / 64; i++)
        wheel->used[i] = 0;
    wheel->tick = now_ms / RG_WHEEL_TICK_MS;
}

void rg_timer_init(struct rg_timer *timer)
{
    rg_list_init(&timer->link);
    timer->due_ms = 0;
}

void rg_timer_start(struct rg_wheel *wheel, struct rg_timer *timer, uint64_t due_ms)
{
    uint64_t tick = (due_ms + RG_WHEEL_TICK_MS - 1) / RG_WHEEL_TICK_MS;
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    if (tick > wheel->tick + RG_WHEEL_SLOTS - 1)
        tick = wheel->tick + RG_WHEEL_SLOTS - 1;
    unsigned slot = (unsigned)(tick % RG_WHEEL_SLOTS);
    rg_list_remove(&timer->link);
    rg_list_append(&wheel->slots[slot], &timer->link);
    wheel->used[slot / 64] |= 1ull << (slot % 64);
    timer->due_ms = tick * RG_WHEEL_TICK_MS;
}

void rg_timer_stop(struct rg_timer *timer)
{
    rg_list_remove(&timer->link);
}

static void run_slot(struct rg_wheel *wheel, unsigned slot, rg_timer_fired *fired, void *arg)
{
    struct rg_list due;
    wheel->used[slot / 64] &= ~(1ull << (slot % 64));
    if (rg_list_empty(&wheel->slots[slot]))
        return;
    /* The whole slot moves aside first: a timer that is started again meanwhile can't be run twice. */
    due = wheel->slots[slot];
    due.next->prev = due.prev->next = &due;
    rg_list_init(&wheel->slots[slot]);
    while (!rg_list_empty(&due)) {
        struct rg_timer *timer = RG_CONTAINER(due.next, struct rg_timer, link);
        rg_list_remove(&timer->link);
        fired(timer, arg);
    }
}

void rg_wheel_run(struct rg_wheel *wheel, uint64_t now_ms, rg_timer_fired *fired, void *arg)
{
    uint64_t target = now_ms / RG_WHEEL_TICK_MS;
    /* After a long sleep every slot is looked at once, not once per lap. */
    if (target > wheel->tick + RG_WHEEL_SLOTS)
        wheel->tick = target - RG_WHEEL_SLOTS;
    while (wheel->tick < target) {
        wheel->tick++;
        run_slot(wheel, (unsigned)(wheel->tick % RG_WHEEL_SLOTS), fired, arg);
    }
}

uint64_t rg_wheel_next(const struct rg_wheel *wheel, uint64_t now_ms)
{
    for (unsigned i = 1; i < RG_WHEEL_SLOTS;) {
        unsigned slot = (unsigned)((wheel->tick + i) % RG_WHEEL_SLOTS);
        uint64_t word = wheel->used[slot / 64] >> (slot % 64);
        if (word) {
            i += (unsigned)__builtin_ctzll(word);
            if (i >= RG_WHEEL_SLOTS)
                break;
            uint64_t due_ms = (wheel->tick + i) * RG_WHEEL_TICK_MS;
            return due_ms > now_ms ? due_ms - now_ms : 0;
        }
        i += 64 - slot % 64;
    }
    return UINT64_MAX;
}
