/* See reach.h. */
#include "datapath/reach.h"

#define BACK_OFF_MS   1000u
#define DOUBLINGS_MAX 20u /* far beyond what anybody waits */

static uint64_t back_off_ms(uint32_t failures, uint64_t most_ms)
{
    uint32_t doublings = failures - 1 < DOUBLINGS_MAX ? failures - 1 : DOUBLINGS_MAX;
    uint64_t ms = (uint64_t)BACK_OFF_MS << doublings;
    return ms < most_ms ? ms : most_ms;
}

bool rg_reach_claim(struct rg_reach *r, uint64_t now_ms, uint64_t most_ms)
{
    uint64_t until = __atomic_load_n(&r->down_until_ms, __ATOMIC_RELAXED);
    if (until == 0 || now_ms < until)
        return until == 0;
    uint32_t failures = __atomic_load_n(&r->failures, __ATOMIC_RELAXED) + 1;
    uint64_t next = now_ms + back_off_ms(failures, most_ms);
    if (!__atomic_compare_exchange_n(&r->down_until_ms, &until, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(&r->failures, failures, __ATOMIC_RELAXED);
    return true;
}

void rg_reach_failed(struct rg_reach *r, uint64_t now_ms)
{
    uint64_t none = 0;
    if (__atomic_compare_exchange_n(&r->down_until_ms, &none, now_ms + BACK_OFF_MS, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        __atomic_store_n(&r->failures, 1, __ATOMIC_RELAXED);
}

void rg_reach_connected(struct rg_reach *r)
{
    /* Read first: in normal operation the line stays shared between the workers' CPUs. */
    if (__atomic_load_n(&r->down_until_ms, __ATOMIC_RELAXED) != 0)
        __atomic_store_n(&r->down_until_ms, 0, __ATOMIC_RELAXED);
}
