/*
 * What this gateway is and what its policies take, told to the control plane at each connect: it shows that to those
 * who write definitions, and knows what it may send. Parameters are JSON Schema, made of the tables by which they are
 * decoded.
 */
#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "datapath/base/log.h"
#include "datapath/policy/policy.h"

#define DURATION_PATTERN "^([0-9]+(\\.[0-9]+)?(us|ms|s|m|h))+$"

static json_t *schema_of(const struct rg_param *p);
static json_t *schema_of_object(const struct rg_param *fields);

static json_t *words_of(const struct rg_param *p)
{
    json_t *words = json_array();
    for (const char *const *w = p->words; *w; w++)
        json_array_append_new(words, json_string(*w));
    return json_pack("{s:s, s:o}", "type", "string", "enum", words);
}

static json_t *schema_of_list(const struct rg_param *p)
{
    return json_pack("{s:s, s:o, s:I}", "type", "array", "items",
                     p->fields ? schema_of_object(p->fields) : schema_of(p->item), "maxItems",
                     (json_int_t)(p->max ? p->max : RG_PARAM_LIST_MAX));
}

static json_t *bare_schema(const struct rg_param *p)
{
    switch (p->type) {
    case RG_PARAM_STRING:
        return json_pack("{s:s}", "type", "string");
    case RG_PARAM_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case RG_PARAM_INT:
        return json_pack("{s:s, s:I}", "type", "integer", "minimum", (json_int_t)p->min);
    case RG_PARAM_DURATION:
        return json_pack("{s:s, s:s}", "type", "string", "pattern", DURATION_PATTERN);
    case RG_PARAM_ENUM:
        return words_of(p);
    case RG_PARAM_OBJECT:
        return schema_of_object(p->fields);
    case RG_PARAM_LIST:
        return schema_of_list(p);
    case RG_PARAM_ANY:
        break;
    }
    return json_object();
}

static json_t *schema_of(const struct rg_param *p)
{
    json_t *schema = bare_schema(p);
    if (p->help)
        json_object_set_new(schema, "description", json_string(p->help));
    if (p->type == RG_PARAM_INT && p->max)
        json_object_set_new(schema, "maximum", json_integer((json_int_t)p->max));
    if (p->not_empty && p->type == RG_PARAM_STRING)
        json_object_set_new(schema, "minLength", json_integer(1));
    if (p->not_empty && p->type == RG_PARAM_LIST)
        json_object_set_new(schema, "minItems", json_integer(1));
    if (p->initial)
        json_object_set_new(schema, "default", json_loads(p->initial, JSON_DECODE_ANY, NULL));
    return schema;
}

static json_t *schema_of_object(const struct rg_param *fields)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct rg_param *p = fields; p && p->name; p++) {
        json_object_set_new(properties, p->name, schema_of(p));
        if (p->required)
            json_array_append_new(required, json_string(p->name));
    }
    json_t *schema =
        json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
    if (json_array_size(required) > 0)
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}

json_t *rg_manifest(void)
{
    json_t *policies = json_array();
    const struct rg_policy_kind *kind;
    for (unsigned i = 0; (kind = rg_policy_kind_at(i)); i++)
        json_array_append_new(policies, json_pack("{s:s, s:s, s:s, s:s, s:o, s:{}, s:s}", "name", kind->name, "version",
                                                  kind->version, "displayName", kind->name, "description", kind->help,
                                                  "parameters", schema_of_object(kind->params), "systemParameters",
                                                  "managedBy", "wso2"));
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
    json_t *manifest = rg_manifest();
    char *body = manifest ? json_dumps(manifest, JSON_COMPACT) : NULL;
    json_decref(manifest);
    snprintf(path, sizeof(path), "/gateways/%s/manifest", a->up.gateway_id);
    struct rg_fetch_request request = {
        .path = path, .body = body ? rg_str_of(body) : RG_STR_NONE, .max_bytes = 65536, .owner = a};
    rg_fetch_cancel(a->manifest);
    a->manifest = body ? rg_fetch_begin(&a->fetcher, &request, sent) : NULL;
    free(body);
}
