/*
 * The event loop of a control thread: descriptors by epoll, alarms by a heap. In the gateway it serves the admin
 * endpoint, the prober, signals and the link to the platform, in the platform thousands of gateways; never the traffic.
 *
 * Ownership: watches and alarms are fields of their owner; the loop only links them. Thread: the control thread alone.
 * A watch or an alarm may be removed, and its owner freed, from any callback of the same turn.
 */
#ifndef RG_COMMON_LOOP_H
#define RG_COMMON_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define RG_LOOP_BATCH 32 /* events taken from the kernel in one turn */

/* The owner of an embedded watch or alarm. */
#define RG_OWNER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct rg_watch {
    int fd; /* owned by whoever embeds the watch */
    void (*ready)(struct rg_watch *w, uint32_t events);
};

struct rg_alarm {
    void (*due)(struct rg_alarm *a);
    uint64_t at_ms;
    uint64_t order; /* of two that are due at once, the one that was set first */
    struct rg_alarm *child, *next, *prev;
    bool set;
};

struct rg_loop {
    int epoll_fd;
    int n_batch;             /* events of the current turn that are not delivered yet sit in batch */
    uint64_t n_set;          /* alarms, ever */
    struct rg_alarm *alarms; /* the soonest: the root of a pairing heap */
    struct epoll_event batch[RG_LOOP_BATCH];
};

uint64_t rg_now_ms(void); /* CLOCK_MONOTONIC */

int rg_loop_init(struct rg_loop *loop);
void rg_loop_fini(struct rg_loop *loop);

/* Level-triggered. Negative errno on failure. */
int rg_loop_watch(struct rg_loop *loop, struct rg_watch *w, uint32_t events);
int rg_loop_rewatch(struct rg_loop *loop, struct rg_watch *w, uint32_t events);
void rg_loop_unwatch(struct rg_loop *loop, struct rg_watch *w); /* before the descriptor is closed */

void rg_loop_set_alarm(struct rg_loop *loop, struct rg_alarm *a, uint64_t delay_ms); /* moves it when it is set */
void rg_loop_clear_alarm(struct rg_loop *loop, struct rg_alarm *a);

/* Waits for the next event or alarm and delivers what is due. Negative errno only when epoll itself fails. */
int rg_loop_turn(struct rg_loop *loop);

#endif
