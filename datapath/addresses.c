/* See addresses.h. */
#include "datapath/addresses.h"

#include <stdlib.h>

#include "datapath/base/assert.h"

/* Others serve meanwhile, so there is time; whoever tries one that swallows packets waits for the whole of
 * `timeouts.connect`. */
#define BACK_OFF_MAX_MS 300000u

/* Ranks of addresses for a connect; the lowest is taken. The next one each is for the family that is not wanted. */
enum { TRIAL, UP = 2, DUE = 4, DOWN = 6, TRIED = 8 };

static bool ip_equal(const union rg_ip *a, const union rg_ip *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return false;
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
           IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
}

static unsigned family_at(sa_family_t family)
{
    return family == AF_INET6;
}

/* a->n: it is not among them. */
static unsigned find(const struct rg_addresses *a, const union rg_ip *ip)
{
    unsigned i = 0;
    while (i < a->n && !ip_equal(&a->list[i].ip, ip))
        i++;
    return i;
}

/* ---- control thread ---- */

static struct rg_reach copy_reach(const struct rg_reach *of)
{
    return (struct rg_reach){.down_until_ms = __atomic_load_n(&of->down_until_ms, __ATOMIC_RELAXED),
                             .failures = __atomic_load_n(&of->failures, __ATOMIC_RELAXED)};
}

static void take_over(struct rg_addresses *a, const struct rg_addresses *before)
{
    a->serial = before->serial + 1;
    for (unsigned i = 0; i < 2; i++)
        a->families[i] = copy_reach(&before->families[i]);
    for (unsigned i = 0; i < a->n; i++) {
        unsigned was = find(before, &a->list[i].ip);
        if (was < before->n)
            a->list[i].reach = copy_reach(&before->list[was].reach);
    }
}

struct rg_addresses *rg_addresses_create(const union rg_ip *list, unsigned n, const struct rg_addresses *before)
{
    RG_ASSERT(n > 0 && n <= RG_ADDRESSES_MAX);
    struct rg_addresses *a = calloc(1, sizeof *a + n * sizeof a->list[0]);
    if (!a)
        return NULL;
    a->serial = 1;
    a->n = n;
    for (unsigned i = 0; i < n; i++)
        a->list[i].ip = list[i];
    if (before)
        take_over(a, before);
    return a;
}

bool rg_addresses_are(const struct rg_addresses *a, const union rg_ip *list, unsigned n)
{
    bool same = a->n == n;
    for (unsigned i = 0; same && i < n; i++)
        same = ip_equal(&a->list[i].ip, &list[i]);
    return same;
}

/* ---- workers ---- */

bool rg_addresses_has(const struct rg_addresses *a, const union rg_ip *ip)
{
    return find(a, ip) < a->n;
}

static bool was_tried(const struct rg_addresses *a, const struct rg_addresses_tried *tried, unsigned i)
{
    return tried->serial == a->serial && (tried->failed >> i & 1);
}

/* What is known against its family counts against an address. */
static enum rg_reach_state state_of(const struct rg_addresses *a, unsigned i, uint64_t now_ms)
{
    enum rg_reach_state own = rg_reach_state(&a->list[i].reach, now_ms);
    enum rg_reach_state family = rg_reach_state(&a->families[family_at(a->list[i].ip.sa.sa_family)], now_ms);
    return own > family ? own : family;
}

/* The resolver has put first what this machine reaches best; after a failure it is the turn of the other family. */
static bool is_wanted(const struct rg_addresses *a, const struct rg_addresses_tried *tried, unsigned i)
{
    sa_family_t family = a->list[i].ip.sa.sa_family;
    return tried->family ? family != tried->family : family == a->list[0].ip.sa.sa_family;
}

/* An exchange that has failed once makes no trial, nor does anybody for a family that is not wanted. */
static unsigned rank(const struct rg_addresses *a, const struct rg_addresses_tried *tried, unsigned i, uint64_t now_ms)
{
    static const uint8_t ranks[] = {[RG_REACH_UP] = UP, [RG_REACH_DUE] = DUE, [RG_REACH_DOWN] = DOWN};
    enum rg_reach_state state = state_of(a, i, now_ms);
    bool wanted = is_wanted(a, tried, i);
    if (was_tried(a, tried, i))
        return TRIED;
    if (state == RG_REACH_DUE && wanted && !tried->family)
        return TRIAL;
    return ranks[state] + !wanted;
}

/* Of those of the best rank, in turn. */
static unsigned choose(const struct rg_addresses *a, const struct rg_addresses_tried *tried, uint32_t turn,
                       uint64_t now_ms)
{
    uint8_t best[RG_ADDRESSES_MAX];
    unsigned n = 0, lowest = TRIED + 1;
    for (unsigned i = 0; i < a->n; i++) {
        unsigned r = rank(a, tried, i, now_ms);
        if (r > lowest)
            continue;
        if (r < lowest)
            n = 0;
        lowest = r;
        best[n++] = (uint8_t)i;
    }
    RG_ASSERT(n > 0); /* a list is never empty */
    return best[turn % n];
}

/* Both, its own trial and that of its family, where they are due. */
static bool claim(struct rg_addresses *a, unsigned i, uint64_t now_ms)
{
    return rg_reach_claim(&a->families[family_at(a->list[i].ip.sa.sa_family)], now_ms, BACK_OFF_MAX_MS) &&
           rg_reach_claim(&a->list[i].reach, now_ms, BACK_OFF_MAX_MS);
}

const union rg_ip *rg_addresses_next(struct rg_addresses *a, const struct rg_addresses_tried *tried, uint32_t turn,
                                     uint64_t now_ms)
{
    if (a->n == 1)
        return &a->list[0].ip;
    unsigned i = choose(a, tried, turn, now_ms);
    while (state_of(a, i, now_ms) == RG_REACH_DUE && !claim(a, i, now_ms))
        i = choose(a, tried, turn, now_ms); /* another worker was faster: it is down now */
    return &a->list[i].ip;
}

bool rg_addresses_any_left(const struct rg_addresses *a, const struct rg_addresses_tried *tried, bool usable,
                           uint64_t now_ms)
{
    for (unsigned i = 0; i < a->n; i++)
        if (!was_tried(a, tried, i) && !(usable && state_of(a, i, now_ms) == RG_REACH_DOWN))
            return true;
    return false;
}

bool rg_addresses_all_down(const struct rg_addresses *a, uint64_t now_ms)
{
    for (unsigned i = 0; i < a->n; i++)
        if (rg_reach_state(&a->list[i].reach, now_ms) != RG_REACH_DOWN)
            return false;
    return true;
}

void rg_addresses_failed(struct rg_addresses *a, struct rg_addresses_tried *tried, const union rg_ip *ip,
                         uint64_t now_ms)
{
    unsigned i = find(a, ip);
    if (tried->serial != a->serial)
        *tried = (struct rg_addresses_tried){.serial = a->serial};
    tried->family = (uint8_t)ip->sa.sa_family;
    if (i == a->n)
        return;
    tried->failed |= 1u << i;
    rg_reach_failed(&a->list[i].reach, now_ms);
}

void rg_addresses_connected(struct rg_addresses *a, const struct rg_addresses_tried *tried, const union rg_ip *ip,
                            uint64_t now_ms)
{
    unsigned i = find(a, ip);
    if (i < a->n)
        rg_reach_connected(&a->list[i].reach);
    rg_reach_connected(&a->families[family_at(ip->sa.sa_family)]);
    if (tried->family && tried->family != ip->sa.sa_family)
        rg_reach_failed(&a->families[family_at(tried->family)], now_ms);
}
