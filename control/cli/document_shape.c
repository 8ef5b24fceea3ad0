/*
 * Why: a file is an artifact (`kind`, `metadata.name`, `spec`) or a gateway as its operators write it (`type: gateway`,
 * `name`). Only what rgctl itself needs is checked here; what a kind may hold is for the platform and the gateway to
 * say. See document_shape.h.
 */
#include "control/cli/document_shape.h"

#include <string.h>

#include "control/common/conf.h"

#define KINDS_WANTED "Gateway, RestApi, LlmProviderTemplate, LlmProvider or LlmProxy"

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"a mapping", "a list", "a text", "a number",
                                        "a number",  "true",   "false",  "null"};
    return value ? names[json_typeof(value)] : "nothing";
}

static bool refuse_kind(const struct rg_document *d, const char *member, const char *name)
{
    char got[RG_CONF_TEXT_MAX], remedy[128] = "";
    const char *meant = NULL;
    unsigned best = 0, distance;
    for (unsigned i = 0; i < rg_cli_kinds_count; i++) {
        const char *known = rg_cli_kinds[i].name;
        if (rg_conf_is_near(rg_str_of(name), rg_str_of(known), &distance) && (!meant || distance < best)) {
            meant = known;
            best = distance;
        }
    }
    rg_conf_quote(rg_str_of(name), got, sizeof(got));
    if (meant)
        snprintf(remedy, sizeof(remedy), "did you mean %s?", meant);
    rg_document_complain(d, member, got, KINDS_WANTED, remedy);
    return false;
}

static bool take_name(struct rg_document *d, const json_t *object, const char *path)
{
    const json_t *name = json_object_get(object, "name");
    if (!json_is_string(name) || json_string_length(name) == 0 || json_string_length(name) >= RG_CLI_NAME_MAX) {
        rg_document_complain(d, path, json_is_string(name) ? "a text that is empty or too long" : type_name(name),
                             "a name, as hello-v1.0", json_is_number(name) ? "put it in quotes" : NULL);
        return false;
    }
    d->name = json_string_value(name);
    return true;
}

static bool is_gateway_type(struct rg_document *d, bool *ret_ok)
{
    const json_t *type = json_object_get(d->yaml.value, "type");
    if (json_object_get(d->yaml.value, "kind") || !json_is_string(type))
        return false;
    if (strcmp(json_string_value(type), "gateway") == 0) {
        d->kind = rg_cli_gateways;
        *ret_ok = take_name(d, d->yaml.value, "name");
    } else {
        char got[RG_CONF_TEXT_MAX];
        rg_conf_quote(rg_str_of(json_string_value(type)), got, sizeof(got));
        rg_document_complain(d, "type", got, "gateway, or a document with a kind", NULL);
        *ret_ok = false;
    }
    return true;
}

bool rg_document_shape(struct rg_document *document)
{
    const json_t *value = document->yaml.value;
    const json_t *kind = json_object_get(value, "kind"), *metadata = json_object_get(value, "metadata");
    bool ok;
    if (!json_is_object(value)) {
        rg_document_complain(document, "", type_name(value), "a mapping with kind, metadata and spec", NULL);
        return false;
    }
    if (is_gateway_type(document, &ok))
        return ok;
    if (!json_is_string(kind)) {
        rg_document_complain(document, "kind", type_name(kind), KINDS_WANTED, NULL);
        return false;
    }
    document->kind = rg_cli_kind_named(json_string_value(kind));
    if (!document->kind)
        return refuse_kind(document, "kind", json_string_value(kind));
    if (!take_name(document, metadata, "metadata.name"))
        return false;
    if (!json_is_object(json_object_get(value, "spec"))) {
        rg_document_complain(document, "spec", type_name(json_object_get(value, "spec")), "a mapping", NULL);
        return false;
    }
    return true;
}
