/*
 * Policies whose counts go on when their artifact is deployed again with nothing about them changed: the same policy
 * goes over into the new unit. What has counted for a client so far can't be made undone by a deployment.
 *
 * Two policies are the same where kind, parameters (rendered), condition, artifact and version are, and where they are
 * attached: to the whole artifact, or to an operation of the same method and path. Where they stand in a list does not
 * matter. Of several that are the same, the first goes over to the first.
 *
 * Owner: the artifact that was compiled last, then whoever keeps its version. Thread: the control thread.
 */
#ifndef RG_ARTIFACT_COMPILE_KEPT_H
#define RG_ARTIFACT_COMPILE_KEPT_H

#include "control/artifact/compile_parts.h"

struct rg_policy_kind;

struct rg_kept {
    struct rg_artifact_policy *all, *next; /* of the deployment before; next: where to look first */
};

void rg_kept_init(struct rg_kept *k, struct rg_artifact_policy *before); /* NULL: there is none */

/* route: the first that has the policy. false: no memory. */
bool rg_kept_identify(const struct rg_compile_rendered *of, const struct rg_lower_policy *policy,
                      const struct rg_policy_kind *kind, const struct rg_route_spec *route,
                      struct rg_artifact_policy_id *ret);

/* A reference; NULL: there is none like it that is not taken. */
struct rg_policy *rg_kept_take(struct rg_kept *k, const struct rg_artifact_policy_id *id);

#endif
