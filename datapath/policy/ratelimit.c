/*
 * See ratelimit.h. A request is charged to all limits or to none: all are asked first. Where two requests at once take
 * the last of one of several limits, the one that loses may have been charged to the limits before it.
 */
#include "datapath/policy/ratelimit.h"

#include <errno.h>

#include "datapath/base/client.h"

#define COUNTERS_FEW  64u    /* where keys are few: the names of routes */
#define COUNTERS_MANY 65536u /* where clients choose them: 1 MiB, touched as it is used */

const char *const rg_ratelimit_algorithms[] = {
    [RG_LIMIT_GCRA] = "gcra", [RG_LIMIT_FIXED_WINDOW] = "fixed-window", NULL};

int rg_ratelimit_init(struct rg_ratelimit *rl, struct rg_policy_making *m, unsigned n)
{
    rl->quotas = rg_arena_array(m->arena, n, sizeof *rl->quotas);
    rl->status = 429;
    m->needs_state = true;
    m->response_fields = 4;
    if (!rl->quotas || !rg_hash_secret_make(&rl->secret))
        return -ENOMEM;
    rl->n_quotas = n;
    rl->type = RG_STR("application/json");
    return rg_policy_body_make(m->arena, "Too Many Requests", "Rate limit exceeded. Please try again later.",
                               &rl->body);
}

int rg_ratelimit_add_limit(struct rg_ratelimit_quota *quota, struct rg_policy_making *m, const char *path,
                           enum rg_limit_algorithm algorithm, uint64_t limit, uint64_t window_us, uint64_t burst)
{
    RG_ASSERT(quota->n_limits < RG_RATELIMIT_LIMITS_MAX);
    if (rg_limit_set(&quota->limits[quota->n_limits], algorithm, limit, window_us, burst)) {
        quota->n_limits++;
        return 0;
    }
    if (algorithm == RG_LIMIT_FIXED_WINDOW)
        return rg_policy_refuse(m, path, "can't be counted in fixed windows: wanted a duration of 1s at least");
    return rg_policy_refuse(m, path, "can't be counted: the burst is too large for this limit and duration");
}

int rg_ratelimit_make_tables(struct rg_ratelimit *rl, struct rg_policy_making *m)
{
    for (unsigned i = 0; i < rl->n_quotas; i++) {
        struct rg_ratelimit_quota *quota = &rl->quotas[i];
        unsigned counters = quota->has_many_keys ? COUNTERS_MANY : COUNTERS_FEW;
        for (unsigned k = 0; k < quota->n_limits; k++) {
            quota->tables[k] = rg_limit_table_create(counters);
            if (!quota->tables[k])
                return -ENOMEM;
            m->counters += counters;
        }
    }
    return 0;
}

void rg_ratelimit_drop(void *self)
{
    struct rg_ratelimit *rl = self;
    for (unsigned i = 0; i < rl->n_quotas; i++)
        for (unsigned k = 0; k < rl->quotas[i].n_limits; k++)
            rg_limit_table_destroy(rl->quotas[i].tables[k]);
}

/* ---- at work ---- */

static struct rg_str text_of(const struct rg_ratelimit_key_part *part, const struct rg_policy_request *q,
                             struct in6_addr *room)
{
    const struct rg_field *f;
    switch (part->what) {
    case RG_RATELIMIT_HEADER:
        f = rg_policy_find_field(&q->head, &part->header, NULL);
        return f ? rg_field_value(f) : RG_STR_NONE;
    case RG_RATELIMIT_IP:
        return rg_client_network(q->client, room);
    case RG_RATELIMIT_ROUTE_NAME:
        return q->route;
    default:
        return part->text;
    }
}

static uint64_t key_of(const struct rg_ratelimit *rl, const struct rg_ratelimit_quota *quota,
                       const struct rg_policy_request *q)
{
    struct in6_addr room;
    uint64_t key = 0;
    for (unsigned i = 0; i < quota->n_parts; i++)
        key = rg_hash(&rl->secret, key, text_of(&quota->parts[i], q, &room));
    return key;
}

static const struct rg_policy_name retry_after = RG_POLICY_NAME("Retry-After", RG_FIELD_RETRY_AFTER);
static const struct rg_policy_name told_limit = RG_POLICY_NAME("RateLimit-Limit", RG_FIELD_OTHER);
static const struct rg_policy_name told_remaining = RG_POLICY_NAME("RateLimit-Remaining", RG_FIELD_OTHER);
static const struct rg_policy_name told_reset = RG_POLICY_NAME("RateLimit-Reset", RG_FIELD_OTHER);

/* What the client is told: of the limit that leaves least. */
struct outcome {
    const struct rg_limit *limit;
    struct rg_limit_result result;
};

static bool is_tighter(const struct rg_limit_result *a, const struct rg_limit_result *b)
{
    if (a->allowed != b->allowed)
        return !a->allowed;
    if (!a->allowed)
        return a->retry_after_us > b->retry_after_us;
    return a->remaining < b->remaining;
}

static struct outcome take(struct rg_ratelimit *rl, const uint64_t *keys, rg_limit_clock *clock, bool charge)
{
    struct outcome worst = {NULL, {.allowed = true, .remaining = UINT64_MAX}};
    for (unsigned i = 0; i < rl->n_quotas; i++) {
        const struct rg_ratelimit_quota *quota = &rl->quotas[i];
        for (unsigned k = 0; k < quota->n_limits; k++) {
            struct rg_limit_result r = rg_limit_take(&quota->limits[k], quota->tables[k], keys[i], clock, charge);
            if (!worst.limit || is_tighter(&r, &worst.result))
                worst = (struct outcome){&quota->limits[k], r};
        }
    }
    return worst;
}

static uint64_t seconds(uint64_t us)
{
    return (us + 999999) / 1000000;
}

/* 32 bits each for the limit, what remains of it and the seconds until it is whole; and a bit that it is there. */
static void keep(union rg_policy_state *state, const struct outcome *o)
{
    RG_ASSERT(o->limit); /* there is at least one */
    uint64_t reset = seconds(o->result.reset_us);
    state->n[0] = o->limit->burst << 32 | (o->result.remaining & UINT32_MAX);
    state->n[1] = (reset < UINT32_MAX ? reset : UINT32_MAX) << 1 | 1;
}

static enum rg_policy_verdict refuse(const struct rg_ratelimit *rl, struct rg_policy_request *q,
                                     const struct rg_limit_result *r)
{
    struct rg_field line;
    uint64_t after = seconds(r->retry_after_us);
    if (!rg_policy_line_number(&q->scratch, &retry_after, after > 0 ? after : 1, &line))
        return RG_POLICY_FULL;
    rg_policy_add_field(&q->answer.head, &line);
    q->answer.status = rl->status;
    q->answer.type = rl->type;
    q->answer.body = rl->body;
    return RG_POLICY_ANSWER;
}

#define QUOTAS_MAX 10

enum rg_policy_verdict rg_ratelimit_request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    struct rg_ratelimit *rl = self;
    uint64_t keys[QUOTAS_MAX];
    RG_ASSERT(rl->n_quotas <= QUOTAS_MAX);
    for (unsigned i = 0; i < rl->n_quotas; i++)
        keys[i] = key_of(rl, &rl->quotas[i], q);
    bool is_one = rl->n_quotas == 1 && rl->quotas[0].n_limits == 1;
    struct outcome o = {NULL, {.allowed = true}};
    if (!is_one)
        o = take(rl, keys, q->clock, false);
    if (o.result.allowed)
        o = take(rl, keys, q->clock, true);
    keep(state, &o);
    return o.result.allowed ? RG_POLICY_NEXT : refuse(rl, q, &o.result);
}

static bool number_of(const struct rg_field *f, uint64_t *ret)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < f->value_len && i < 19; i++) {
        if ((unsigned)f->value[i] - '0' > 9u)
            return false;
        n = n * 10 + (unsigned)(f->value[i] - '0');
    }
    *ret = n;
    return f->value_len > 0;
}

/* Several policies may limit a route: the client is told of the one that leaves least. */
static bool is_told_already(const struct rg_policy_response *r, uint64_t remaining)
{
    uint64_t told = 0;
    if (!(r->head.names & told_remaining.bit))
        return false;
    for (uint16_t i = r->head.n_received; i < r->head.n; i++)
        if (rg_policy_is_named(&r->head.fields[i], &told_remaining))
            return number_of(&r->head.fields[i], &told) && told <= remaining;
    return false;
}

static void tell(struct rg_policy_response *r, const struct rg_policy_name *name, uint64_t n)
{
    struct rg_field line;
    rg_policy_remove_field(&r->head, name);
    if (rg_policy_line_number(&r->scratch, name, n, &line))
        rg_policy_add_field(&r->head, &line);
}

void rg_ratelimit_response(void *self, struct rg_policy_response *r, const union rg_policy_state *state)
{
    (void)self;
    uint64_t remaining = state->n[0] & UINT32_MAX;
    if (!(state->n[1] & 1) || is_told_already(r, remaining))
        return;
    tell(r, &told_limit, state->n[0] >> 32);
    tell(r, &told_remaining, remaining);
    tell(r, &told_reset, state->n[1] >> 1);
}
