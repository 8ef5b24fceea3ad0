/*
 * From an artifact to a unit: template functions are rendered, the definition is lowered to routes, upstreams and
 * policies (lower.h), and these become a unit that a snapshot can hold. Nothing is published here, so that a failure
 * changes nothing.
 *
 * Owner: the unit is the caller's, one reference. Thread: the control thread.
 */
#ifndef RG_ARTIFACT_COMPILE_H
#define RG_ARTIFACT_COMPILE_H

#include "control/artifact/artifact.h"

struct rg_key_set; /* datapath/policy/keys.h */
struct rg_unit;    /* datapath/route/unit.h */
struct rg_unit_place;
struct rg_address; /* datapath/settings.h */

/* What an artifact may ask for. A function that is NULL knows nothing. */
struct rg_compile_context {
    /* The deployed artifact of this kind and handle, compiled or not; NULL: there is none. */
    const struct rg_artifact *(*find)(void *owner, enum rg_kind kind, struct rg_str handle);
    /* The value of a secret, valid until rg_compile returns. false: it can't be had; `*ret` may then say why. */
    bool (*secret)(void *owner, struct rg_str handle, struct rg_str *ret);
    /* The value of an environment variable. false: not set. NULL: that of this process. */
    bool (*env)(void *owner, struct rg_str name, struct rg_str *ret);
    /* The API keys of an artifact: that which is compiled, and the provider of a proxy. NULL: it has none. The policies
     * that ask for it take references. */
    struct rg_key_set *(*keys)(void *owner, const struct rg_artifact *artifact);
    void *owner;
    /* Of what is deployed of the same artifact now: counts of rate limits that stay as they are go on. NULL: nothing.
     */
    struct rg_artifact_policy *before;
    const struct rg_unit_place *place; /* where the unit will live */
    /* Addresses that no upstream may lead to: those of the gateway's own that are not for everybody. */
    const struct rg_address *const *forbidden;
    size_t n_forbidden;
};

/*
 * 0, -EINVAL (problems say why) or -ENOMEM. The unit of an artifact whose deploymentState is `undeployed` has no
 * routes. No value of a secret or of the environment stands in a problem. An LlmProxy needs its provider in `context`
 * and, for the provider's own policies, the provider's secrets as well (rg_artifact_info of both says which).
 */
int rg_compile(const struct rg_artifact *artifact, const struct rg_compile_context *context, struct rg_unit **ret,
               struct rg_problems *why);

#endif
