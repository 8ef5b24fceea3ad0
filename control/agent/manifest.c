/*
 * What this gateway is and what its policies take, told to the control plane at each connect: it shows that to those
 * who write definitions, and knows what it may send. Parameters are JSON Schema, made of the tables by which they are
 * decoded.
 */
#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "control/common/params_schema.h"
#include "datapath/base/log.h"
#include "datapath/policy/policy.h"

static json_t *make_manifest(void)
{
    static const struct rg_params_schema strict = {.closed = true};
    json_t *policies = json_array();
    const struct rg_policy_kind *kind;
    for (unsigned i = 0; (kind = rg_policy_kind_at(i)); i++)
        json_array_append_new(policies, json_pack("{s:s, s:s, s:s, s:s, s:o, s:{}, s:s}", "name", kind->name, "version",
                                                  kind->version, "displayName", kind->name, "description", kind->help,
                                                  "parameters", rg_params_schema(kind->params, &strict),
                                                  "systemParameters", "managedBy", "wso2"));
    return json_pack("{s:s, s:s, s:o}", "version", RG_VERSION, "functionalityType", "regular", "policies", policies);
}

/* ---- Sending ---- */

static void sent(void *owner, const struct rg_fetch_answer *answer)
{
    struct rg_agent *a = owner;
    a->manifest = NULL;
    if (!answer->ok)
        rg_error("control: the control plane did not take this gateway's manifest; deployments go on reason=\"%s\"",
                 answer->why);
}

void rg_agent_send_manifest(struct rg_agent *a)
{
    char path[RG_ID_MAX + 32];
    json_t *manifest = make_manifest();
    char *body = manifest ? json_dumps(manifest, JSON_COMPACT) : NULL;
    json_decref(manifest);
    snprintf(path, sizeof(path), "/gateways/%s/manifest", a->up.gateway_id);
    struct rg_fetch_request request = {
        .path = path, .body = body ? rg_str_of(body) : RG_STR_NONE, .max_bytes = 65536, .owner = a};
    rg_fetch_cancel(a->manifest);
    a->manifest = body ? rg_fetch_begin(&a->fetcher, &request, sent) : NULL;
    free(body);
}
