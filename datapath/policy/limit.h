/*
 * Rate limits, exact across workers: one table of counters for each limit, shared by all of them, without a lock.
 *
 * A counter is a key (a hash; two keys with the same one, of 2^64, would share a counter) beside a word, changed
 * together by one compare-and-swap of 16 bytes. The word only ever grows: with GCRA (generic cell rate algorithm) it is
 * the time at which the key will have its whole allowance again (theoretical arrival time, TAT), with fixed windows the
 * number of the window and the count in it. Whoever is new takes the counter with the smallest word of its bucket,
 * whether that is free, over or, when all are in use, the one that is charged least; then it takes over the charge, so
 * that a flood of keys never makes anybody's allowance larger. Because words only grow, and all who are new choose the
 * smallest, two workers can't make two counters for one key (docs/adr/0019).
 *
 * Owner: the policy. Thread: made and destroyed by the control thread, used by all workers.
 */
#ifndef RG_POLICY_LIMIT_H
#define RG_POLICY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum rg_limit_algorithm { RG_LIMIT_GCRA, RG_LIMIT_FIXED_WINDOW };

struct rg_limit {
    enum rg_limit_algorithm algorithm;
    uint64_t limit, window_us, burst;
    /* GCRA, in units of 1/scale microsecond, so that nothing is rounded */
    uint64_t scale, increment, tolerance;
};

struct rg_limit_table;

/* At most so many counters; a power of two is made of it. NULL: no memory. */
struct rg_limit_table *rg_limit_table_create(unsigned counters);
void rg_limit_table_destroy(struct rg_limit_table *table); /* NULL is fine */

/* limit requests in window_us, at most burst (0: limit) at once. false: beyond what can be counted. */
bool rg_limit_set(struct rg_limit *l, enum rg_limit_algorithm algorithm, uint64_t limit, uint64_t window_us,
                  uint64_t burst);

struct rg_limit_result {
    bool allowed;
    uint64_t remaining;      /* requests that would be allowed now */
    uint64_t reset_us;       /* until the whole allowance is there */
    uint64_t retry_after_us; /* until one request is allowed; 0 when this one is */
};

/* Monotonic microseconds, the same for all workers. */
typedef uint64_t rg_limit_clock(void);

/*
 * Hot. One request of the key, now. charge: it counts, if it is allowed. The clock is read when the key's counter has
 * been: by the time at which its turn began, a worker would refuse what another one's later request has left.
 */
struct rg_limit_result rg_limit_take(const struct rg_limit *l, struct rg_limit_table *table, uint64_t key,
                                     rg_limit_clock *clock, bool charge);

#endif
