/*
 * Decides which worker gets a connection: one sk_reuseport/migrate program per listener (reuseport group). The kernel
 * runs it when a SYN meets the group, and once more for each waiting connection of a listener that is shut down.
 *
 * It fails open. Returning SK_PASS without a selection leaves the choice to the kernel's own hash, and every path that
 * can't decide does so: a connection on a slow worker is better than no connection.
 *
 * Shared with: the workers, through `rows` (steer.h says who writes what), and the loader, through `verdicts`.
 * Runs in softirq on any CPU, several at once. `assigned` is exact; the marks beside it are hints, written without
 * order, and every use of them survives a value that is a moment old.
 */
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "bpf/steer.h"

#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#define NO_WORKER   RG_STEER_WORKERS_MAX
#define TRIES_MAX   3            /* workers without a socket that are skipped before the kernel's hash has to do */
#define SLOW_WEIGHT (1ull << 62) /* more than any load: among several, a slow worker comes last */

/* Constants of this instance, set by the loader before the program is verified; dead branches then cost nothing. */
const volatile __u32 rg_workers = 1;
const volatile bool rg_by_load = true;
const volatile bool rg_prefer_near = true;
const volatile __u8 rg_worker_of_cpu[RG_STEER_CPUS_MAX] = {};

/* The group's listening sockets, one per worker. Each instance has its own; an entry leaves when its socket is shut
 * down. */
struct {
    __uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
    __uint(max_entries, RG_STEER_WORKERS_MAX);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(__u64));
} sockets SEC(".maps");

/* Every worker's state, shared by all instances: a worker's load is that of all its listeners together. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, RG_STEER_WORKERS_MAX);
    __type(key, __u32);
    __type(value, struct rg_steer_worker);
} rows SEC(".maps");

/* How often each verdict was reached, shared by all instances. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, RG_STEER_VERDICT_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} verdicts SEC(".maps");

/*
 * Only whole words on the stack: to a process with CAP_BPF and without CAP_PERFMON, Linux 6.1 refuses a program that
 * writes a part of a stack slot which holds something already. So keys of maps have eight bytes here, of which the
 * first four count; that is right on little-endian machines.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys of maps are the lower halves of whole words");

/* What one look at a worker tells. */
struct view {
    __u64 load;    /* open and waiting connections, and requests in progress */
    __u64 waiting; /* given, and nothing accepted since */
    __u64 turn_ns; /* how long its turn has lasted; 0 while it sleeps */
    __u64 worker;
    __u64 fit; /* 0 or 1 */
};

/* Arguments and result of the search through all workers. */
struct search {
    __u64 now;
    __u64 skip;  /* bit per worker that turned out to have no socket here */
    __u64 start; /* breaks ties */
    __u64 best;
    __u64 best_cost;
};

static __always_inline __u32 scale(__u32 hash, __u32 range)
{
    return (__u32)(((__u64)hash * range) >> 32);
}

/* The kernel's hash decides scale(hash) alone; the second candidate needs bits that don't follow from its upper ones.
 */
static __always_inline __u32 rehash(__u32 hash)
{
    hash ^= hash >> 16;
    hash *= 0x85ebca6bu;
    hash ^= hash >> 13;
    hash *= 0xc2b2ae35u;
    return hash ^ (hash >> 16);
}

static __always_inline void count(__u64 verdict)
{
    __u64 key = verdict;
    __u64 *n = bpf_map_lookup_elem(&verdicts, &key);

    if (n)
        ++*n; /* per CPU, and softirq does not nest */
}

/*
 * How many connections wait for the worker. Not `assigned - accepted`: a SYN that is never followed by an ACK (a scan,
 * a health check that resets) would stay in that difference for ever. The worker accepts all that waits in one go, so
 * when `accepted` moves, what was given before no longer counts, a moment later: while it is about to accept them, they
 * are neither accepted nor settled, and a burst of connections must not make it look empty.
 */
static __always_inline __u64 waiting(struct rg_steer_worker *row, __u64 now)
{
    __u64 accepted = READ_ONCE(row->accepted), assigned = READ_ONCE(row->assigned);
    __s64 n;

    if (accepted != READ_ONCE(row->seen_accepted)) {
        __u64 settled = READ_ONCE(row->seen_assigned) + (accepted - READ_ONCE(row->seen_accepted));

        n = (__s64)(assigned - settled);
        if (n < 0 || (__s64)(now - READ_ONCE(row->waiting_since)) > (__s64)RG_STEER_SETTLE_NS)
            n = 0;
        WRITE_ONCE(row->seen_assigned, assigned - (__u64)n);
        WRITE_ONCE(row->seen_accepted, accepted);
        return (__u64)n;
    }
    n = (__s64)(assigned - READ_ONCE(row->seen_assigned));
    if (n <= 0) /* another CPU has moved the mark since `assigned` was read */
        return 0;
    if ((__s64)(now - READ_ONCE(row->waiting_since)) < (__s64)RG_STEER_RETRY_NS)
        return (__u64)n;

    /* Nothing was accepted for long. Few: handshakes that were given up. Many: let one through, to see whether it
     * moves. */
    n = n > RG_STEER_BEHIND ? RG_STEER_BEHIND : 0;
    WRITE_ONCE(row->seen_assigned, assigned - (__u64)n);
    WRITE_ONCE(row->waiting_since, now);
    return (__u64)n;
}

/* struct view in one word: bits of load, of waiting, of the turn's microseconds, and one for fit. */
#define LOAD_BITS    27
#define WAITING_BITS 16
#define TURN_BITS    20

static __always_inline __u64 at_most(__u64 value, unsigned bits)
{
    __u64 most = (1ull << bits) - 1;

    return value < most ? value : most;
}

/*
 * Not static, and without pointers: the verifier goes through it once, by itself, and knows nothing of what it returns.
 * Inlined, three looks take it seconds where it follows mispredicted branches as well (no CAP_PERFMON), or too long.
 */
__noinline __u64 look_packed(__u64 worker, __u64 now);
__noinline __u64 look_packed(__u64 worker, __u64 now)
{
    struct rg_steer_worker *row = bpf_map_lookup_elem(&rows, &worker);
    __u64 busy_since, turn_ns, waits, load;
    bool stuck, fit;

    if (!row)
        return 0;
    busy_since = READ_ONCE(row->busy_since);
    turn_ns = busy_since && busy_since < now ? now - busy_since : 0; /* it may have begun after `now` was read */
    waits = waiting(row, now);
    load = READ_ONCE(row->open) + READ_ONCE(row->requests) + waits;
    stuck = waits > RG_STEER_BEHIND && (__s64)(now - READ_ONCE(row->waiting_since)) > (__s64)RG_STEER_HUNG_NS;
    fit = !READ_ONCE(row->retired) && turn_ns <= RG_STEER_HUNG_NS && !stuck;
    return at_most(load, LOAD_BITS) << (WAITING_BITS + TURN_BITS + 1) |
           at_most(waits, WAITING_BITS) << (TURN_BITS + 1) | at_most(turn_ns / 1000, TURN_BITS) << 1 | fit;
}

static __always_inline void look(struct view *v, __u64 worker, __u64 now)
{
    __u64 packed = look_packed(worker, now);

    v->worker = worker;
    v->load = packed >> (WAITING_BITS + TURN_BITS + 1);
    v->waiting = packed >> (TURN_BITS + 1) & ((1ull << WAITING_BITS) - 1);
    v->turn_ns = (packed >> 1 & ((1ull << TURN_BITS) - 1)) * 1000;
    v->fit = packed & 1;
}

/* Not static, for the same reason: of an access to an unknown place, the mispredicted ways are followed as well. */
__noinline __u64 near_worker(void);
__noinline __u64 near_worker(void)
{
    return rg_worker_of_cpu[bpf_get_smp_processor_id() & (RG_STEER_CPUS_MAX - 1)];
}

/* Both are fit, but v is plainly the slower one. When both are slow, only a large difference says more than noise does.
 */
static __always_inline bool lags(const struct view *v, const struct view *other)
{
    if (v->turn_ns > RG_STEER_SLOW_NS &&
        (other->turn_ns <= RG_STEER_SLOW_NS || v->turn_ns > other->turn_ns * RG_STEER_MUCH_MORE))
        return true;
    return v->waiting > RG_STEER_BEHIND && v->waiting > other->waiting * RG_STEER_MUCH_MORE;
}

/*
 * A client's thread mostly stays on the CPU from which it connects. Its connections on one worker: then the two wake
 * each other for many events at a time, instead of every worker waking every client.
 */
static __always_inline bool serves_as_well(const struct view *near, const struct view *best)
{
    return near->fit && !lags(near, best) &&
           near->load <= best->load + best->load / RG_STEER_NEAR_PART + RG_STEER_NEAR_MORE;
}

/* 0, or a negative errno: the worker has no socket in this group (any more). */
static __always_inline long give(struct sk_reuseport_md *ctx, __u64 now, bool counted, __u64 worker, __u64 verdict)
{
    struct rg_steer_worker *row;
    long err = bpf_sk_select_reuseport(ctx, &sockets, &worker, 0);

    if (err || !counted)
        return err;
    count(verdict);
    row = bpf_map_lookup_elem(&rows, &worker);
    if (!row)
        return 0;
    if (READ_ONCE(row->assigned) == READ_ONCE(row->seen_assigned))
        WRITE_ONCE(row->waiting_since, now);
    __sync_fetch_and_add(&row->assigned, 1);
    return 0;
}

static __always_inline int leave_to_kernel(bool counted, enum rg_steer_verdict verdict)
{
    if (counted)
        count(verdict);
    return SK_PASS;
}

/*
 * One turn of the search for the least loaded of all that are fit. Until Linux 6.7 the verifier follows a callback
 * through its first turn only and removes whatever that turn can't reach. So nothing here may depend on whether it is
 * the first: `best_cost` begins as the largest number, which any cost is compared with in the same way as with a real
 * one.
 */
static long search_step(__u32 i, struct search *s)
{
    __u32 worker = (__u32)s->start + i;
    struct view v;
    __u64 cost;

    if (worker >= rg_workers)
        worker -= rg_workers;
    if (s->skip & (1ull << (worker & 63)))
        return 0;
    look(&v, worker, s->now);
    if (!v.fit)
        return 0;
    cost = v.load + (v.turn_ns > RG_STEER_SLOW_NS ? SLOW_WEIGHT : 0);
    if (cost < s->best_cost) {
        s->best = worker;
        s->best_cost = cost;
    }
    return 0;
}

/*
 * The rare way. Not a plain loop: a process with CAP_BPF and without CAP_PERFMON can't have one, because the verifier
 * then follows mispredicted branches, too, and finds no end.
 */
static __noinline int give_to_any(struct sk_reuseport_md *ctx, __u64 now, bool counted, __u64 skip,
                                  enum rg_steer_verdict verdict)
{
    struct search s = {.now = now, .skip = skip, .start = scale(ctx->hash, rg_workers)};

    for (int i = 0; i < TRIES_MAX; i++) {
        s.best = NO_WORKER;
        s.best_cost = ~0ull;
        bpf_loop(rg_workers, search_step, &s, 0);
        if (s.best >= NO_WORKER)
            return leave_to_kernel(counted, s.skip ? RG_STEER_ERROR : RG_STEER_NONE_FIT);
        if (give(ctx, now, counted, s.best, verdict) == 0)
            return SK_PASS;
        s.skip |= 1ull << (s.best & 63);
    }
    return leave_to_kernel(counted, RG_STEER_ERROR);
}

static __always_inline int steer_by_hash(struct sk_reuseport_md *ctx, __u64 now, bool counted)
{
    __u64 worker = scale(ctx->hash, rg_workers);
    struct rg_steer_worker *row = bpf_map_lookup_elem(&rows, &worker);

    if (row && READ_ONCE(row->retired))
        return give_to_any(ctx, now, counted, 0, RG_STEER_AVOIDED);
    if (give(ctx, now, counted, worker, RG_STEER_HASH))
        return leave_to_kernel(counted, RG_STEER_ERROR);
    return SK_PASS;
}

static __always_inline int steer_by_load(struct sk_reuseport_md *ctx, __u64 now, bool counted)
{
    __u32 hash = ctx->hash;
    __u64 first = scale(hash, rg_workers), second = first, verdict = RG_STEER_LOAD;
    struct view a, b, near, *best;

    if (rg_workers > 1) {
        second += 1 + scale(rehash(hash), rg_workers - 1);
        if (second >= rg_workers)
            second -= rg_workers;
    }
    look(&a, first, now);
    look(&b, second, now);
    if (!a.fit && !b.fit)
        return give_to_any(ctx, now, counted, 0, RG_STEER_SCANNED);

    if (a.fit != b.fit) {
        best = a.fit ? &a : &b;
        verdict = RG_STEER_AVOIDED;
    } else {
        bool a_lags = lags(&a, &b), b_lags = lags(&b, &a);

        if (a_lags != b_lags) {
            best = a_lags ? &b : &a;
            verdict = RG_STEER_AVOIDED;
        } else {
            best = b.load < a.load ? &b : &a;
        }
    }
    if (rg_prefer_near && verdict == RG_STEER_LOAD) {
        look(&near, near_worker(), now);
        if (serves_as_well(&near, best)) {
            best = &near;
            verdict = RG_STEER_NEAR;
        }
    }
    if (give(ctx, now, counted, best->worker, verdict) == 0)
        return SK_PASS;
    return give_to_any(ctx, now, counted, 1ull << (best->worker & 63), RG_STEER_SCANNED);
}

enum segment { SEGMENT_SYN, SEGMENT_RST, SEGMENT_OTHER };

static __always_inline enum segment segment_of(const struct sk_reuseport_md *ctx)
{
    const struct tcphdr *th = ctx->data;

    if ((const void *)(th + 1) > ctx->data_end)
        return SEGMENT_OTHER;
    if (th->rst)
        return SEGMENT_RST;
    return th->syn && !th->ack ? SEGMENT_SYN : SEGMENT_OTHER;
}

SEC("sk_reuseport/migrate")
int steer(struct sk_reuseport_md *ctx)
{
    __u64 now = bpf_ktime_get_ns();
    bool counted = true;

    if (ctx->migrating_sk)
        return give_to_any(ctx, now, counted, 0, RG_STEER_MIGRATED);

    /*
     * Any segment without a connection gets here. Only a SYN begins one. An ACK may answer a SYN cookie and then makes
     * a connection on the socket chosen now, but it can't be told from a stray one, so it is steered and not counted.
     */
    switch (segment_of(ctx)) {
    case SEGMENT_SYN:
        break;
    case SEGMENT_RST:
        return SK_PASS;
    case SEGMENT_OTHER:
        counted = false;
        break;
    }
    return rg_by_load ? steer_by_load(ctx, now, counted) : steer_by_hash(ctx, now, counted);
}
