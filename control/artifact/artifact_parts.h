/* An artifact from inside, for those who read and compile it. Private to artifact*.c and compile*.c; see artifact.h.
 * Thread: any one at a time. */
#ifndef RG_ARTIFACT_ARTIFACT_PARTS_H
#define RG_ARTIFACT_ARTIFACT_PARTS_H

#include "control/artifact/artifact_spec.h"
#include "control/artifact/artifact_template.h"
#include "control/common/yaml_json.h"
#include "datapath/policy/digest.h"

struct rg_policy;

/* What makes it the same policy in the next deployment (compile_kept.h). */
struct rg_artifact_policy_id {
    uint8_t digest[RG_DIGEST_LEN];
};

/*
 * One that counts, for the artifact's next deployment; and any of a provider, for its proxies: what goes through them
 * counts against the same limits.
 */
struct rg_artifact_policy {
    struct rg_artifact_policy *next;
    struct rg_policy *policy; /* a reference */
    bool counts, is_taken;    /* has an id; goes over into the unit that is being made */
    struct rg_artifact_policy_id id;
    char place[]; /* where its parameters stand, below `spec` */
};

struct rg_artifact {
    struct rg_artifact_info info;
    struct rg_arena arena;
    struct rg_yaml_json doc;
    const json_t *spec_json;             /* in doc */
    struct rg_template_found found;      /* its templates; nothing is rendered yet */
    struct rg_spec spec;                 /* decoded where there is no template */
    struct rg_artifact_policy *policies; /* of the last unit that was compiled of it */
};

#endif
