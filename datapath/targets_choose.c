/* How a target is chosen for an exchange. See targets.h. Thread: the worker's. */
#include "datapath/targets.h"

#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/upstream_endpoint.h"

#define TRIES_MAX      RG_ADDRESSES_MAX /* connects of an exchange */
#define SLOW_TRIES_MAX 3                /* those of them that are not refused at once: each takes its time */
#define DRAWS          4                /* for one that can be used, before all are looked at */

static const struct rg_targets_item *draw(struct rg_worker *w, const struct rg_targets *t)
{
    uint64_t at = rg_rand_next(&w->rand) % t->items[t->n - 1].until;
    size_t low = 0, high = t->n - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (at < t->items[middle].until)
            high = middle;
        else
            low = middle + 1;
    }
    return &t->items[low];
}

/* Of this worker, for its weight: a * weight of b against b * weight of a. */
static uint64_t load(const struct rg_worker *w, const struct rg_targets_item *of, const struct rg_targets_item *other)
{
    const struct rg_upstream *u = of->endpoint->of_worker[w->id];
    return u ? (uint64_t)u->exchanges * other->weight : 0;
}

static const struct rg_targets_item *less_loaded(const struct rg_worker *w, const struct rg_targets_item *a,
                                                 const struct rg_targets_item *b)
{
    return load(w, b, a) < load(w, a, b) ? b : a;
}

static bool is_usable(const struct rg_worker *w, const struct rg_targets_item *item,
                      const struct rg_endpoint *other_than)
{
    struct rg_endpoint *e = item->endpoint;
    return e != other_than && rg_endpoint_state(e) == RG_ENDPOINT_RESOLVED && !rg_endpoint_is_down(e, w->now_ms);
}

/* Few can be used: the first from a place drawn at random. NULL: none. */
static RG_COLD const struct rg_targets_item *look_at_all(struct rg_worker *w, const struct rg_targets *t,
                                                         const struct rg_endpoint *other_than)
{
    size_t from = (size_t)(draw(w, t) - t->items);
    for (size_t i = 0; i < t->n; i++) {
        const struct rg_targets_item *item = &t->items[(from + i) % t->n];
        if (is_usable(w, item, other_than))
            return item;
    }
    return NULL;
}

static const struct rg_targets_item *pick(struct rg_worker *w, const struct rg_targets *t,
                                          const struct rg_endpoint *other_than)
{
    for (unsigned i = 0; i < DRAWS; i++) {
        const struct rg_targets_item *item = draw(w, t);
        if (is_usable(w, item, other_than))
            return item;
    }
    return look_at_all(w, t, other_than);
}

/* One whose time to be tried has come is tried: that was told to nobody else. */
static bool is_trial(const struct rg_targets_item *item)
{
    return __atomic_load_n(&item->endpoint->reach.down_until_ms, __ATOMIC_RELAXED) != 0;
}

/* other_than: NULL, or one that is not wanted. NULL: there is none that can be used. */
static struct rg_endpoint *choose(struct rg_worker *w, const struct rg_targets *t, const struct rg_endpoint *other_than)
{
    const struct rg_targets_item *a = pick(w, t, other_than);
    if (!a || is_trial(a))
        return a ? a->endpoint : NULL;
    const struct rg_targets_item *b = draw(w, t);
    if (b == a || !is_usable(w, b, other_than))
        return a->endpoint;
    return is_trial(b) ? b->endpoint : less_loaded(w, a, b)->endpoint;
}

/* Connects to all have failed: that may be over. One without an address is the last resort. */
static RG_COLD struct rg_endpoint *choose_nonetheless(struct rg_worker *w, const struct rg_targets *t)
{
    size_t from = (size_t)(draw(w, t) - t->items);
    for (size_t i = 0; i < t->n; i++) {
        struct rg_endpoint *e = t->items[(from + i) % t->n].endpoint;
        if (rg_endpoint_state(e) == RG_ENDPOINT_RESOLVED)
            return e;
    }
    return t->items[from].endpoint;
}

static void go_to(struct rg_exchange *x, struct rg_upstream *u)
{
    rg_exchange_leave_upstream(x);
    x->upstream = u;
    u->exchanges++;
}

bool rg_targets_lead(struct rg_worker *w, struct rg_exchange *x, const struct rg_targets *t)
{
    if (t->n == 0)
        return false;
    struct rg_endpoint *e = t->n == 1 ? t->items[0].endpoint : choose(w, t, NULL);
    if (!e)
        e = choose_nonetheless(w, t);
    struct rg_upstream *u = rg_upstream_to(w, e);
    if (!u)
        return false;
    go_to(x, u);
    x->targets = t;
    return true;
}

/* The head that was written for the other one: what it calls itself is all that differs. */
static bool fits(struct rg_exchange *x, const struct rg_endpoint *next)
{
    if (!x->own_host || rg_str_eq(x->upstream->endpoint->authority, next->authority))
        return true;
    return rg_h1_replace_host(x->head->data, x->head->cap, &x->head->len, next->authority);
}

static bool lead_to_other_target(struct rg_worker *w, struct rg_exchange *x)
{
    struct rg_endpoint *e = x->targets->n > 1 ? choose(w, x->targets, x->upstream->endpoint) : NULL;
    struct rg_upstream *u = e ? rg_upstream_to(w, e) : NULL;
    if (!u || !fits(x, e))
        return false;
    go_to(x, u);
    x->tried = (struct rg_addresses_tried){0};
    return true;
}

/* One that refused may serve at another address. Where no answer came in time another target is the better choice. */
bool rg_targets_lead_elsewhere(struct rg_worker *w, struct rg_exchange *x)
{
    if (!x->targets || !x->head || x->tries + 1 >= TRIES_MAX || x->slow_tries >= SLOW_TRIES_MAX)
        return false;
    bool stays = x->up && x->slow_tries == 0 && rg_upstream_has_untried(w, x, true);
    if (!stays && !lead_to_other_target(w, x) && !(x->up && rg_upstream_has_untried(w, x, false)))
        return false;
    x->tries++;
    return true;
}
