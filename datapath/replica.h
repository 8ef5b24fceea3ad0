/*
 * What is known of the replica's health. The control thread's prober writes the verdict; workers read it with one
 * relaxed load per request and report connect failures (passive health). Thread: as marked.
 */
#ifndef RG_REPLICA_H
#define RG_REPLICA_H

#include "datapath/settings.h"

enum rg_replica_state {
    RG_REPLICA_UNKNOWN, /* not probed yet: requests are tried */
    RG_REPLICA_HEALTHY,
    RG_REPLICA_DOWN
};

struct rg_replica {
    uint8_t state;             /* enum rg_replica_state; atomic */
    uint32_t connect_failures; /* in a row, all workers; atomic; reset by any connect that succeeds */
    int32_t connect_error;     /* errno of the last connect that failed, of whichever worker; atomic */
    uint64_t generation;       /* counts changes of state; atomic */
};

static inline bool rg_replica_is_down(const struct rg_replica *r)
{
    return __atomic_load_n(&r->state, __ATOMIC_RELAXED) == RG_REPLICA_DOWN;
}

/* Control thread. Returns whether the state changed. */
bool rg_replica_set(struct rg_replica *r, enum rg_replica_state state);

/* Worker. A connect failed with this errno; after `fall` in a row the replica counts as down until a probe succeeds.
 * Returns whether it became down now. */
bool rg_replica_connect_failed(struct rg_replica *r, unsigned fall, int error);
void rg_replica_connected(struct rg_replica *r);

#endif
