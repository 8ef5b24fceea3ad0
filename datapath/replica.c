/*
 * The shared verdict on the replica's health. Writers are the prober (control thread) and workers whose connects fail;
 * both change the state by an atomic exchange, so that each change is reported, and counted, by exactly one of them.
 */
#include "datapath/replica.h"

static bool change_state(struct rg_replica *r, enum rg_replica_state state)
{
    if (__atomic_exchange_n(&r->state, (uint8_t)state, __ATOMIC_ACQ_REL) == state)
        return false;
    __atomic_add_fetch(&r->generation, 1, __ATOMIC_RELEASE);
    return true;
}

bool rg_replica_set(struct rg_replica *r, enum rg_replica_state state)
{
    /* Before the state: failures from before the probe must not take it down again at once. */
    if (state != RG_REPLICA_DOWN)
        rg_replica_connected(r);
    return change_state(r, state);
}

bool rg_replica_connect_failed(struct rg_replica *r, unsigned fall, int error)
{
    __atomic_store_n(&r->connect_error, error, __ATOMIC_RELAXED); /* published by the change of state */
    uint32_t failures = __atomic_add_fetch(&r->connect_failures, 1, __ATOMIC_RELAXED);
    if (fall == 0 || failures < fall || rg_replica_is_down(r))
        return false;
    return change_state(r, RG_REPLICA_DOWN);
}

void rg_replica_connected(struct rg_replica *r)
{
    /* Read first: in normal operation the line stays shared between the workers' CPUs. */
    if (__atomic_load_n(&r->connect_failures, __ATOMIC_RELAXED) != 0)
        __atomic_store_n(&r->connect_failures, 0, __ATOMIC_RELAXED);
}
