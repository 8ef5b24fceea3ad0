/* See limit.h. */
#include "datapath/policy/limit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BUCKET    8u         /* counters that a key may have: two lines of the cache */
#define SCALE_MAX (1u << 14) /* seventeen years of microseconds times this are 63 bits */
#define WORD_MAX  (UINT64_C(1) << 62)

__extension__ typedef unsigned __int128 wide;

union counter {
    struct {
        uint64_t key, word;
    };
    wide whole;
};
_Static_assert(sizeof(union counter) == 16, "a counter is changed by one instruction");

#define LINE 64u /* of the cache */

#define LARGE 65536u /* bytes of a table that has a mapping of its own */

struct rg_limit_table {
    uint64_t mask; /* of the bucket's number */
    union counter *counters;
    size_t bytes; /* at the start of a line */
};

/* Of a large table the kernel gives a page when it is first written to. calloc doesn't do for that: it may clear what
 * it has. */
static bool map_counters(struct rg_limit_table *t)
{
    t->bytes = (size_t)(t->mask + 1) * BUCKET * sizeof(union counter);
    if (t->bytes >= LARGE) {
        void *memory = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        t->counters = memory == MAP_FAILED ? NULL : memory;
    } else {
        t->counters = aligned_alloc(LINE, t->bytes);
        if (t->counters)
            memset(t->counters, 0, t->bytes);
    }
    return t->counters != NULL;
}

static void unmap_counters(struct rg_limit_table *t)
{
    if (t->bytes >= LARGE)
        munmap(t->counters, t->bytes);
    else
        free(t->counters);
}

struct rg_limit_table *rg_limit_table_create(unsigned counters)
{
    struct rg_limit_table *t = calloc(1, sizeof *t);
    uint64_t buckets = 1;
    while (buckets * BUCKET < counters)
        buckets *= 2;
    if (!t)
        return NULL;
    t->mask = buckets - 1;
    if (map_counters(t))
        return t;
    free(t);
    return NULL;
}

void rg_limit_table_destroy(struct rg_limit_table *table)
{
    if (!table)
        return;
    unmap_counters(table);
    free(table);
}

/* ---- a limit ---- */

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

bool rg_limit_set(struct rg_limit *l, enum rg_limit_algorithm algorithm, uint64_t limit, uint64_t window_us,
                  uint64_t burst)
{
    *l = (struct rg_limit){.algorithm = algorithm, .limit = limit, .window_us = window_us};
    l->burst = burst > 0 ? burst : limit;
    if (limit == 0 || window_us == 0)
        return false;
    if (algorithm == RG_LIMIT_FIXED_WINDOW) /* number of the window and count have 32 bits each */
        return window_us >= 1000000 && limit <= UINT32_MAX;
    l->scale = limit / common_divisor(limit, window_us);
    if (l->scale > SCALE_MAX)
        l->scale = SCALE_MAX;
    wide units = (wide)window_us * l->scale;
    l->increment = (uint64_t)((units + limit - 1) / limit); /* rounded, if at all, against the client */
    wide tolerance = (wide)l->increment * l->burst;
    l->tolerance = (uint64_t)tolerance;
    return units < WORD_MAX && tolerance < WORD_MAX;
}

/* ---- one request: hot ---- */

static uint64_t from_units(const struct rg_limit *l, uint64_t units)
{
    return (units + l->scale - 1) / l->scale;
}

/* What becomes of the word. */
static struct rg_limit_result gcra(const struct rg_limit *l, uint64_t *word, uint64_t now_us)
{
    uint64_t now = now_us * l->scale, tat = *word > now ? *word : now, next = tat + l->increment;
    if (next - now > l->tolerance) {
        uint64_t left = tat - now < l->tolerance ? l->tolerance - (tat - now) : 0;
        return (struct rg_limit_result){.remaining = left / l->increment,
                                        .reset_us = from_units(l, tat - now),
                                        .retry_after_us = from_units(l, next - now - l->tolerance)};
    }
    *word = next;
    return (struct rg_limit_result){.allowed = true,
                                    .remaining = (l->tolerance - (next - now)) / l->increment,
                                    .reset_us = from_units(l, next - now)};
}

static struct rg_limit_result fixed_window(const struct rg_limit *l, uint64_t *word, uint64_t now_us)
{
    uint64_t window = now_us / l->window_us + 1, count = *word >> 32 == window ? *word & UINT32_MAX : 0;
    uint64_t left_us = l->window_us - now_us % l->window_us;
    /* Of a window to come: two CPUs need not agree on the time to the microsecond. */
    if (*word >> 32 > window) {
        window = *word >> 32;
        count = *word & UINT32_MAX;
    }
    if (count >= l->limit)
        return (struct rg_limit_result){.reset_us = left_us, .retry_after_us = left_us};
    *word = window << 32 | (count + 1);
    return (struct rg_limit_result){.allowed = true, .remaining = l->limit - count - 1, .reset_us = left_us};
}

static union counter load(const union counter *c)
{
    return (union counter){{__atomic_load_n(&c->key, __ATOMIC_ACQUIRE), __atomic_load_n(&c->word, __ATOMIC_ACQUIRE)}};
}

/* The key's own counter, else the one of the bucket with the smallest word. */
static union counter *choose(union counter *bucket, uint64_t key, union counter *seen)
{
    union counter *smallest = NULL;
    for (unsigned i = 0; i < BUCKET; i++) {
        union counter c = load(&bucket[i]);
        if (c.key == key) {
            *seen = c;
            return &bucket[i];
        }
        if (!smallest || c.word < seen->word) {
            smallest = &bucket[i];
            *seen = c;
        }
    }
    return smallest;
}

struct rg_limit_result rg_limit_take(const struct rg_limit *l, struct rg_limit_table *table, uint64_t key,
                                     rg_limit_clock *clock, bool charge)
{
    key |= key == 0; /* 0: a counter that nobody has taken */
    union counter *bucket = &table->counters[(key >> 8 & table->mask) * BUCKET];
    for (;;) { /* each turn more is somebody else's success */
        union counter seen, *c = choose(bucket, key, &seen);
        union counter next = {{key, seen.word}};
        uint64_t now_us = clock(); /* not before: see limit.h */
        struct rg_limit_result r =
            l->algorithm == RG_LIMIT_GCRA ? gcra(l, &next.word, now_us) : fixed_window(l, &next.word, now_us);
        if (!charge || !r.allowed) {
            if (__atomic_load_n(&c->key, __ATOMIC_ACQUIRE) == seen.key) /* the word was that key's */
                return r;
        } else if (__sync_bool_compare_and_swap(&c->whole, seen.whole, next.whole)) {
            return r;
        }
    }
}
