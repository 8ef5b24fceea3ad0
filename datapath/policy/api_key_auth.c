/*
 * api-key-auth: lets in who shows one of the artifact's API keys, in a field or in the query. The key is taken out of
 * what goes on to the upstream. Keys are compared by their hashes (keys.h).
 */
#include <errno.h>

#include "datapath/policy/keys.h"
#include "datapath/policy/kinds.h"
#include "datapath/policy/query.h"
#include "datapath/policy/unauthorized.h"
#include "datapath/policy/view.h"

enum { IN_HEADER, IN_QUERY };

struct params {
    struct rg_str key, prefix;
    int32_t in;
};

static const char *const places[] = {"header", "query", NULL};

static const struct rg_param params_table[] = {
    {.name = "key",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct params, key),
     .required = true,
     .not_empty = true,
     .help = "Name of the field (in any case) or of the query parameter (as it is written) that carries the key."},
    {.name = "in",
     .type = RG_PARAM_ENUM,
     .offset = offsetof(struct params, in),
     .required = true,
     .words = places,
     .help = "Where the key is."},
    {.name = "valuePrefix",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct params, prefix),
     .help = "What stands before the key in the value, in any case, such as `Bearer`; a space may follow it."},
    {0}};

struct self {
    struct rg_policy_name field; /* of the header */
    struct rg_str parameter;     /* of the query */
    struct rg_str prefix;
    struct rg_key_set *keys; /* NULL: nobody has one */
    struct rg_policy_unauthorized unauthorized;
};

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    struct self *s = self;
    const struct params *p = params;
    int rc = 0;
    if (p->key.len > 128)
        return rg_policy_refuse(m, "key", "has %zu bytes: wanted 128 at most", p->key.len);
    if (p->in == IN_HEADER)
        rc = rg_policy_name_make(m, RG_POLICY_OF_REQUEST, "key", p->key, &s->field);
    else if (!rg_arena_copy(m->arena, p->key, &s->parameter))
        rc = -ENOMEM;
    if (rc == 0 && !rg_arena_copy(m->arena, p->prefix, &s->prefix))
        rc = -ENOMEM;
    if (rc == 0)
        rc = rg_policy_unauthorized_make(m->arena, RG_STR("ApiKey"), "Valid API key required", &s->unauthorized);
    if (rc == 0 && m->place->keys)
        s->keys = rg_key_set_ref(m->place->keys);
    return rc;
}

static void drop(void *self)
{
    rg_key_set_unref(((struct self *)self)->keys);
}

/* false: the value does not begin with the prefix. */
static bool strip_prefix(const struct self *s, struct rg_str *value)
{
    if (s->prefix.len == 0)
        return true;
    if (value->len < s->prefix.len || !rg_str_eq_nocase((struct rg_str){value->ptr, s->prefix.len}, s->prefix))
        return false;
    *value = (struct rg_str){value->ptr + s->prefix.len, value->len - s->prefix.len};
    while (value->len > 0 && *value->ptr == ' ')
        *value = (struct rg_str){value->ptr + 1, value->len - 1};
    return true;
}

/* The one key that the request shows; two would leave open which of them counts elsewhere. */
static bool find_key(const struct self *s, const struct rg_policy_request *q, char room[RG_QUERY_VALUE_MAX],
                     const struct rg_field **ret_field, struct rg_str *ret)
{
    if (s->parameter.len > 0)
        return rg_query_only(q->query, s->parameter, room, ret);
    const struct rg_field *f = rg_policy_find_field(&q->head, &s->field, NULL);
    if (!f || rg_policy_find_field(&q->head, &s->field, f))
        return false;
    *ret_field = f;
    *ret = rg_field_value(f);
    return true;
}

static enum rg_policy_verdict request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    const struct self *s = self;
    char room[RG_QUERY_VALUE_MAX];
    const struct rg_field *field = NULL;
    struct rg_str key;
    (void)state;
    bool shown = find_key(s, q, room, &field, &key) && strip_prefix(s, &key) && key.len > 0;
    if (!shown || !s->keys || rg_key_set_check(s->keys, q->worker, key, q->unix_ms) != RG_KEY_GOOD)
        return rg_policy_unauthorized_answer(&s->unauthorized, q);
    if (field)
        rg_policy_remove_found(&q->head, field);
    else if (!rg_query_remove(&q->query, s->parameter, &q->scratch))
        return RG_POLICY_FULL;
    return RG_POLICY_NEXT;
}

const struct rg_policy_kind rg_policy_api_key_auth = {
    .name = "api-key-auth",
    .version = "v1.2.1",
    .help = "Lets in only who shows a valid API key of this artifact; the key does not reach the upstream.",
    .params = params_table,
    .params_size = sizeof(struct params),
    .size = sizeof(struct self),
    .guards = true,
    .prepare = prepare,
    .request = request,
    .drop = drop,
};
