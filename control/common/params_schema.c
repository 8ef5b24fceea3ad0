/* See params_schema.h. */
#include "control/common/params_schema.h"

#include <string.h>

/* As rg_params_parse_duration takes it. */
#define DURATION_PATTERN "^([0-9]+(\\.[0-9]+)?(us|ms|s|m|h))+$"

static json_t *schema_of(const struct rg_param *p, const struct rg_params_schema *how);

static json_t *words_of(const struct rg_param *p)
{
    json_t *words = json_array();
    for (const char *const *w = p->words; *w; w++)
        json_array_append_new(words, json_string(*w));
    return json_pack("{s:s, s:o}", "type", "string", "enum", words);
}

static json_t *list_of(const struct rg_param *p, const struct rg_params_schema *how)
{
    json_t *item = p->fields ? rg_params_schema(p->fields, how) : schema_of(p->item, how);
    return json_pack("{s:s, s:o, s:I}", "type", "array", "items", item, "maxItems",
                     (json_int_t)(p->max ? p->max : RG_PARAM_LIST_MAX));
}

static json_t *bare_schema(const struct rg_param *p, const struct rg_params_schema *how)
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
        return rg_params_schema(p->fields, how);
    case RG_PARAM_LIST:
        return list_of(p, how);
    case RG_PARAM_ANY:
        break;
    }
    return json_object();
}

static void describe(json_t *schema, const char *help, const struct rg_params_schema *how)
{
    size_t len = how->read_only ? strlen(how->read_only) : 0;
    bool read_only = len > 0 && strncmp(help, how->read_only, len) == 0;
    json_object_set_new(schema, "description", json_string(read_only ? help + len : help));
    if (read_only)
        json_object_set_new(schema, "readOnly", json_true());
}

static json_t *schema_of(const struct rg_param *p, const struct rg_params_schema *how)
{
    json_t *schema = bare_schema(p, how);
    if (p->help)
        describe(schema, p->help, how);
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

json_t *rg_params_schema(const struct rg_param *fields, const struct rg_params_schema *how)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct rg_param *p = fields; p && p->name; p++) {
        json_object_set_new(properties, p->name, schema_of(p, how));
        if (p->required)
            json_array_append_new(required, json_string(p->name));
    }
    json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    if (how->closed)
        json_object_set_new(schema, "additionalProperties", json_false());
    if (json_array_size(required) > 0)
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}
