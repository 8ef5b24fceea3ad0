/*
 * The one definition of the steering maps, compiled by the BPF program and by the gateway. Only fixed-width types.
 * Compatibility: the layout belongs to one build; the program is embedded in the gateway, so both sides always agree.
 */
#ifndef RG_BPF_STEER_H
#define RG_BPF_STEER_H

#ifndef __bpf__
#include <stdint.h>
typedef uint64_t __rg_u64;
typedef uint32_t __rg_u32;
#else
typedef __u64 __rg_u64;
typedef __u32 __rg_u32;
#endif

#define RG_STEER_WORKERS_MAX 64
#define RG_STEER_GROUPS_MAX  16 /* listeners: one reuseport group each */

/* When a worker is passed over. docs/adr/0003-steering.md says where the values come from. */
#define RG_STEER_SLOW_NS 5000000ull   /* a turn longer than this loses against a shorter one */
#define RG_STEER_HUNG_NS 200000000ull /* a turn longer than this gets nothing */
#define RG_STEER_RETRY_NS                                                                                            \
    1000000000ull                      /* one that accepts nothing is tried again, and lost handshakes are forgotten \
                                        */
#define RG_STEER_SETTLE_NS 50000000ull /* given longer ago than this, and something was accepted since: settled */
#define RG_STEER_BEHIND    16u         /* connections that may wait before it counts */
#define RG_STEER_MUCH_MORE 4u          /* times as slow, times as many waiting: enough to tell two workers apart */
#define RG_STEER_NEAR_MORE 8u          /* the near worker may carry so much more, */
#define RG_STEER_NEAR_PART 8u          /* and this part of the other's load, before the other gets the connection */

#define RG_STEER_CPUS_MAX 256 /* a power of two; CPUs beyond share the places of these */

/*
 * One cache line pair per worker, in an mmapped array. The worker writes `open`, `accepted`, `busy_since`, `requests`
 * with plain relaxed stores; the program writes the second line.
 */
struct rg_steer_worker {
    /* written by the worker */
    __rg_u64 open;       /* client connections open now */
    __rg_u64 accepted;   /* connections accepted since start */
    __rg_u64 busy_since; /* CLOCK_MONOTONIC ns when this turn of the loop began; 0 while it sleeps in the kernel */
    __rg_u64 retired;    /* not 0: takes no new connections (drain, hung) */
    __rg_u64 requests;   /* in progress on those connections, streams and tunnels included; as of the last turn */
    __rg_u64 pad0[3];
    /* written by the program */
    __rg_u64 assigned;      /* connections given to the worker since start (atomic add) */
    __rg_u64 seen_accepted; /* `accepted` when it was last seen to move */
    __rg_u64 seen_assigned; /* `assigned` at that moment: what came after it is waiting */
    __rg_u64 waiting_since; /* CLOCK_MONOTONIC ns when the first of those was given */
    __rg_u64 pad1[4];
};

/* Why a connection went where it went: one counter per verdict. RG_STEER_VERDICTS(X) with X(ID, "name", "help"). */
#define RG_STEER_VERDICTS(X)                                                                  \
    X(NEAR, "near", "The worker of the CPU on which the SYN came; it is about as loaded.")    \
    X(LOAD, "load", "The less loaded of two candidates.")                                     \
    X(AVOIDED, "avoided", "The other candidate was busy, behind or retired.")                 \
    X(SCANNED, "scanned", "Both candidates were unfit; another worker took it.")              \
    X(HASH, "hash", "By hash, as steering.mode asks.")                                        \
    X(NONE_FIT, "none-fit", "No worker was fit; the kernel's hash decided.")                  \
    X(MIGRATED, "migrated", "A waiting connection moved from a listener that was shut down.") \
    X(ERROR, "error", "A map look-up failed; the kernel's hash decided.")

enum rg_steer_verdict {
#define RG_STEER_X(id, name, help) RG_STEER_##id,
    RG_STEER_VERDICTS(RG_STEER_X)
#undef RG_STEER_X
        RG_STEER_VERDICT_COUNT
};

#endif
