/*
 * Artifacts: what is deployed, as values. The text of a RestApi, LlmProvider or LlmProxy is read once; what was wrong
 * with it is said with the path of the field. Kinds that are not supported are refused by name.
 *
 * What a definition takes from outside it (secrets, environment, the provider of a proxy) is asked for when it is
 * compiled (compile.h); here is only said what that will be, so that it can be fetched first.
 *
 * Owner: whoever called rg_artifact_decode; immutable. Thread: any one at a time (reading it counts references of
 * values), in the gateway the control thread.
 */
#ifndef RG_ARTIFACT_ARTIFACT_H
#define RG_ARTIFACT_ARTIFACT_H

#include "control/common/kinds.h"

struct rg_artifact;
struct rg_problems; /* control/common/params.h */

#define RG_ARTIFACT_TEXT_MAX (16u * 1024 * 1024) /* bytes of YAML */

struct rg_artifact_secret {
    struct rg_str handle;
    const char *path; /* where it is named first, "spec.upstream.auth.value" */
};

struct rg_artifact_info {
    enum rg_kind kind;                        /* one that is supported */
    struct rg_str handle;                     /* metadata.name */
    struct rg_str id;                         /* the artifact's UUID, where an annotation pins it; "": it does not */
    struct rg_str display_name;               /* "" where only rendering tells (it has a template function) */
    struct rg_str version;                    /* the same */
    const struct rg_artifact_secret *secrets; /* those that it names itself */
    size_t n_secrets;
    const struct rg_str *providers; /* LlmProxy: handles of the LlmProviders that it is compiled against */
    size_t n_providers;
};

/*
 * 0, -EINVAL (problems say why) or -ENOMEM. *ret is untouched on failure. What a template function makes is checked
 * when the artifact is compiled, everything else here.
 */
int rg_artifact_decode(const char *text, size_t len, struct rg_artifact **ret, struct rg_problems *why);
void rg_artifact_destroy(struct rg_artifact *artifact); /* NULL is fine */

const struct rg_artifact_info *rg_artifact_info(const struct rg_artifact *artifact);

/* The policies that the last unit made of it has and that count, for the next one (compile.h); they outlive it when
 * they are taken. */
struct rg_artifact_policy;
struct rg_artifact_policy *rg_artifact_policies(const struct rg_artifact *artifact);
struct rg_artifact_policy *rg_artifact_take_policies(struct rg_artifact *artifact);
void rg_artifact_policies_free(struct rg_artifact_policy *policies); /* NULL is fine */

/* Whether `artifact` has to be compiled anew when the one of this kind and handle comes, changes or goes. */
bool rg_artifact_depends(const struct rg_artifact *artifact, enum rg_kind kind, struct rg_str handle);

#endif
