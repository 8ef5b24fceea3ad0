/*
 * A policy: what an artifact wants done to the requests of a route and to their responses. This is the interface that
 * each kind of policy implements (one file each, listed in policies.def), and what the control side asks for by name.
 *
 * A kind is constant data. A policy is a kind with its parameters, compiled once by the control thread, immutable from
 * then on but for what it counts (rate limits), and shared by reference: the policies of a whole API by the chains
 * (chain.h) of all its routes. Thread: the control thread makes and drops policies; workers run them.
 */
#ifndef RG_POLICY_POLICY_H
#define RG_POLICY_POLICY_H

#include "datapath/base/arena.h"
#include "datapath/policy/param.h"

struct rg_key_set;         /* keys.h */
struct rg_policy_request;  /* view.h: the request as policies see it */
struct rg_policy_response; /* view.h */
struct rg_policy;

/* Why a policy can't be had: `path` is below the policy's attachment: "name", "params.limits[0].requests". */
struct rg_policy_problem {
    char path[128];
    char text[256]; /* a sentence: what it says, what was wanted */
};

/* Whose policy it is. */
struct rg_policy_place {
    struct rg_str kind, handle, version; /* of the artifact: "RestApi", metadata.name, spec.version */
    struct rg_key_set *keys;             /* its API keys; NULL: it has none, and nobody is let in by a key */
};

/* What a policy keeps from the request to its response: views into the request's head need `keeps_head`. */
union rg_policy_state {
    struct rg_str text;
    uint64_t n[2];
};

enum rg_policy_verdict {
    RG_POLICY_NEXT,   /* the request goes on */
    RG_POLICY_ANSWER, /* the policy has filled in the answer: nothing goes to the upstream */
    RG_POLICY_FULL    /* what it adds has no room: the request is refused as too large */
};

/* What `prepare` works with, and what it says of the policy it makes. */
struct rg_policy_making {
    struct rg_arena *arena; /* the policy's own; all that it keeps is in there */
    const struct rg_policy_place *place;
    struct rg_policy_problem *problem;
    uint16_t request_fields, response_fields; /* so many it adds at most */
    uint32_t field_bytes;                     /* of those that artifacts write; counted by rg_policy_line_make */
    uint32_t counters;                        /* that it keeps at most, each 16 bytes */
    bool keeps_head;                          /* its response phase reads views into the request's head */
    bool needs_state;
    bool asks_prefix; /* its request phase reads how far the route's prefix goes */
};

struct rg_policy_kind {
    const char *name;              /* "set-headers" */
    const char *version;           /* "v1.1.0": of the definition that it follows; artifacts name the major alone */
    const char *help;              /* one sentence, for the documentation */
    const struct rg_param *params; /* of `params_size` bytes, decoded by control/common/params.h */
    size_t params_size;
    size_t size; /* of what `prepare` fills in, zeroed */
    bool guards; /* lets in or refuses: it also runs where its condition can't be told */
    bool counts; /* what it has counted goes on where the same policy is deployed again */
    /* Checks what a table can't and compiles. Copies what it keeps: the parameters are gone afterwards. -EINVAL after
     * rg_policy_refuse, or -ENOMEM. */
    int (*prepare)(void *self, const void *params, struct rg_policy_making *m);
    /* Hot. NULL: nothing to do in this phase. */
    enum rg_policy_verdict (*request)(void *self, struct rg_policy_request *q, union rg_policy_state *state);
    void (*response)(void *self, struct rg_policy_response *r, const union rg_policy_state *state);
    /* Lets go of what is not in the arena; also of what a failed `prepare` left. NULL: nothing is. */
    void (*drop)(void *self);
};

/* Of all kinds, in the order of their names; NULL: i is behind the last. For documents and the gateway's manifest. */
const struct rg_policy_kind *rg_policy_kind_at(unsigned i);

/*
 * The kind of this name, in this version: "v1", or "" for the newest. A definition that is still v0 is also found as
 * v1, as artifacts write it. NULL with *problem: no such policy, or not in this version.
 */
const struct rg_policy_kind *rg_policy_find(struct rg_str name, struct rg_str version,
                                            struct rg_policy_problem *problem);

/*
 * A policy of decoded parameters (params_size bytes by the kind's table; they may go afterwards). condition: its
 * executionCondition, in CEL (condition.h); "": always. -EINVAL with *problem, or -ENOMEM. One reference, the caller's.
 */
int rg_policy_create(struct rg_policy **ret, const struct rg_policy_kind *kind, const void *params,
                     struct rg_str condition, const struct rg_policy_place *place, struct rg_policy_problem *problem);
struct rg_policy *rg_policy_ref(struct rg_policy *policy);
void rg_policy_unref(struct rg_policy *policy); /* NULL is fine */
const struct rg_policy_kind *rg_policy_kind_of(const struct rg_policy *policy);
uint32_t rg_policy_counters(const struct rg_policy *policy);

/* For `prepare`: notes what is wrong with the parameter at `path` ("limits[0].requests", below "params"), returns
 * -EINVAL. */
int rg_policy_refuse(struct rg_policy_making *m, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
