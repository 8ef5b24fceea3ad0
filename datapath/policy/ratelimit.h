/*
 * What basic-ratelimit and advanced-ratelimit share: quotas (a key and limits on it), the request phase that charges
 * them, the fields that tell clients about it. Owner: the policy. Thread: see policy.h.
 */
#ifndef RG_POLICY_RATELIMIT_H
#define RG_POLICY_RATELIMIT_H

#include "datapath/base/hash.h"
#include "datapath/policy/limit.h"
#include "datapath/policy/view.h"

#define RG_RATELIMIT_LIMITS_MAX 10 /* of a quota */
#define RG_RATELIMIT_PARTS_MAX  5  /* of a key */

/* Of what a key is made. */
enum rg_ratelimit_part {
    RG_RATELIMIT_HEADER,
    RG_RATELIMIT_IP,
    RG_RATELIMIT_API_NAME,
    RG_RATELIMIT_API_VERSION,
    RG_RATELIMIT_ROUTE_NAME,
    RG_RATELIMIT_CONSTANT
};

struct rg_ratelimit_key_part {
    enum rg_ratelimit_part what;
    struct rg_policy_name header;
    struct rg_str text; /* of what is the same for all requests */
};

struct rg_ratelimit_quota {
    struct rg_str name; /* "": none */
    unsigned n_parts, n_limits;
    bool has_many_keys;
    struct rg_ratelimit_key_part parts[RG_RATELIMIT_PARTS_MAX];
    struct rg_limit limits[RG_RATELIMIT_LIMITS_MAX];
    struct rg_limit_table *tables[RG_RATELIMIT_LIMITS_MAX];
};

struct rg_ratelimit {
    struct rg_hash_secret secret;
    struct rg_ratelimit_quota *quotas;
    unsigned n_quotas;
    uint16_t status;
    struct rg_str type, body;
};

/* Rows of the structs that a kind's parameters are decoded into: `in` has the member of that name. */
#define RG_RATELIMIT_ROW_COUNT(name_, in, member, least, is_required, text)                               \
    {                                                                                                     \
        .name = (name_), .type = RG_PARAM_INT, .offset = offsetof(in, member), .required = (is_required), \
        .min = (least), .max = 1000000000, .help = (text)                                                 \
    }
#define RG_RATELIMIT_ROW_DURATION(in)                                                                      \
    {                                                                                                      \
        .name = "duration", .type = RG_PARAM_DURATION, .offset = offsetof(in, duration), .required = true, \
        .min = 1000, .max = INT64_C(31622400000000), .help = "in this time: `1s`, `1m30s`, `24h`."         \
    }
#define RG_RATELIMIT_ROW_LIMITS(in, limit, rows)                                                                      \
    {                                                                                                                 \
        .name = "limits", .type = RG_PARAM_LIST, .offset = offsetof(in, limits), .required = true, .not_empty = true, \
        .max = RG_RATELIMIT_LIMITS_MAX, .fields = (rows), .size = sizeof(limit),                                      \
        .help = "The limits; a request has to keep all of them."                                                      \
    }
/* An enum rg_limit_algorithm. */
#define RG_RATELIMIT_ROW_ALGORITHM(in)                                                                        \
    {                                                                                                         \
        .name = "algorithm", .type = RG_PARAM_ENUM, .offset = offsetof(in, algorithm), .initial = "\"gcra\"", \
        .words = rg_ratelimit_algorithms,                                                                     \
        .help = "`gcra` gives the allowance back evenly, `fixed-window` all at once when a window begins."    \
    }
extern const char *const rg_ratelimit_algorithms[];

/* For `prepare`. Of `n` quotas, cleared. */
int rg_ratelimit_init(struct rg_ratelimit *rl, struct rg_policy_making *m, unsigned n);
/* path: of the limit, below params. */
int rg_ratelimit_add_limit(struct rg_ratelimit_quota *quota, struct rg_policy_making *m, const char *path,
                           enum rg_limit_algorithm algorithm, uint64_t limit, uint64_t window_us, uint64_t burst);
/* When keys and limits are known: the tables. */
int rg_ratelimit_make_tables(struct rg_ratelimit *rl, struct rg_policy_making *m);

/* What a kind's row names: of a struct rg_ratelimit. */
enum rg_policy_verdict rg_ratelimit_request(void *self, struct rg_policy_request *q, union rg_policy_state *state);
void rg_ratelimit_response(void *self, struct rg_policy_response *r, const union rg_policy_state *state);
void rg_ratelimit_drop(void *self);

#endif
