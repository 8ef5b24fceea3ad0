/*
 * Why: a file is what gateways read (kind, metadata, spec), the platform's API has flat objects with an id, and beside
 * it what metadata says. See body.h.
 */
#include "control/cli/body.h"

#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"

#define PROJECT_DEFAULT  "default"
#define ANNOTATION       "ringgate/gateway"
#define LABEL            "gateway"
#define PROJECT_PREFIXED "gateway.api-platform.wso2.com/project-id"

static bool is_among(const char *member, const char *const members[])
{
    while (*members && strcmp(member, *members) != 0)
        members++;
    return *members != NULL;
}

static json_t *metadata_of(const struct rg_document *d, const char *part)
{
    return json_object_get(json_object_get(d->yaml.value, "metadata"), part);
}

/* A version that YAML reads as a number stands in the file as its writer means it: 1.10 is not 1.1. How it was written
 * is known of the document's own value, not of a copy. */
static void set_text(const struct rg_document *d, const json_t *from, json_t *body, const char *member)
{
    const json_t *value = json_object_get(from, member);
    struct rg_str written;
    char *text;
    if (!json_is_number(value))
        return;
    if (rg_yaml_written(d->yaml.written, value, &written)) {
        json_object_set_new(body, member, json_stringn(written.ptr, written.len));
    } else if ((text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15))) != NULL) {
        json_object_set_new(body, member, json_string(text));
        free(text);
    }
}

static void set_project(const struct rg_document *d, json_t *body)
{
    const char *project = rg_cli_text(metadata_of(d, "annotations"), PROJECT_PREFIXED);
    if (!project[0])
        project = rg_cli_text(metadata_of(d, "labels"), "project-id");
    json_object_set_new(body, "projectId", json_string(project[0] ? project : PROJECT_DEFAULT));
}

static json_t *artifact_body(const struct rg_document *d)
{
    const json_t *spec = json_object_get(d->yaml.value, "spec");
    json_t *body = json_deep_copy(spec);
    json_object_set_new(body, "id", json_string(d->name));
    json_object_del(body, "deploymentState");
    set_text(d, spec, body, "displayName");
    set_text(d, spec, body, "version");
    if (d->kind->deployable && strcmp(d->kind->name, "LlmProvider") != 0)
        set_project(d, body);
    if (json_is_object(metadata_of(d, "labels")))
        json_object_set(body, "labels", metadata_of(d, "labels"));
    return body;
}

/* ---- gateways ---- */

static const char *const gateway_members[] = {"displayName", "description", "endpoints",  "functionalityType",
                                              "isCritical",  "version",     "properties", NULL};

static bool is_gateway_member(const char *name)
{
    return is_among(name, gateway_members);
}

/* What instances of a gateway need comes with a later version; a file that asks for it must not pass for done. */
static bool is_refused(const struct rg_document *d, const char *name, const json_t *value)
{
    if (strcmp(name, "replicas") == 0 && json_is_integer(value) && json_integer_value(value) == 1)
        return false;
    if (strcmp(name, "replicas") == 0 || strcmp(name, "certificate") == 0) {
        if (json_is_null(value))
            return false;
        rg_document_complain(d, name, "a member that this version does not support", "it left out",
                             strcmp(name, "replicas") == 0 ? "start each instance with a token of the gateway"
                                                           : "name certificates in the gateway's own file");
        return true;
    }
    return false;
}

static bool take_gateway_member(const struct rg_document *d, json_t *body, const char *name, json_t *value)
{
    if (is_refused(d, name, value))
        return false;
    if (is_gateway_member(name))
        return json_object_set(body, name, value) == 0;
    if (strcmp(name, "domain") == 0 && json_is_string(value)) {
        json_object_set_new(body, "endpoints", json_pack("[o]", json_sprintf("https://%s", json_string_value(value))));
        return true;
    }
    static const char *const known[] = {"type",     "name",     "kind",        "apiVersion",
                                        "metadata", "replicas", "certificate", NULL};
    if (is_among(name, known))
        return true;
    rg_document_complain(d, name, "an unknown key",
                         "one of displayName, description, domain, endpoints, functionalityType, isCritical, version, "
                         "properties",
                         NULL);
    return false;
}

static json_t *gateway_body(const struct rg_document *d)
{
    json_t *spec = json_object_get(d->yaml.value, "spec");
    json_t *from = json_is_object(spec) ? spec : d->yaml.value;
    json_t *body = json_pack("{s:s,s:s,s:s,s:b}", "id", d->name, "displayName", d->name, "functionalityType", "regular",
                             "isCritical", 0);
    bool ok = body != NULL;
    for (void *i = json_object_iter(from); i; i = json_object_iter_next(from, i))
        ok = take_gateway_member(d, body, json_object_iter_key(i), json_object_iter_value(i)) && ok;
    set_text(d, from, body, "version");
    if (ok)
        return body;
    json_decref(body);
    return NULL;
}

json_t *rg_body_of(const struct rg_document *document)
{
    return document->kind == rg_cli_gateways ? gateway_body(document) : artifact_body(document);
}

bool rg_body_is_undeployed(const struct rg_document *document)
{
    return strcmp(rg_cli_text(json_object_get(document->yaml.value, "spec"), "deploymentState"), "undeployed") == 0;
}

const char *rg_body_gateways(const struct rg_document *document)
{
    const char *names = rg_cli_text(metadata_of(document, "annotations"), ANNOTATION);
    if (!names[0])
        names = rg_cli_text(metadata_of(document, "labels"), LABEL);
    return names[0] ? names : NULL;
}

/* ---- back to a file ---- */

/* What only the platform knows: shown, and passed over where it is applied. */
static bool is_state(const char *member)
{
    static const char *const members[] = {"uuid",      "createdAt", "createdBy", "updatedAt",  "updatedBy",
                                          "managedBy", "isActive",  "instances", "lastSeenAt", NULL};
    return is_among(member, members);
}

static void put_metadata(json_t *metadata, const char *member, json_t *value)
{
    bool is_default = json_is_string(value) && strcmp(json_string_value(value), PROJECT_DEFAULT) == 0;
    if (strcmp(member, "id") == 0)
        json_object_set(metadata, "name", value);
    else if (strcmp(member, "labels") == 0)
        json_object_set(metadata, "labels", value);
    else if (strcmp(member, "projectId") == 0 && !is_default)
        json_object_set_new(metadata, "annotations", json_pack("{s:O}", PROJECT_PREFIXED, value));
}

json_t *rg_body_to_document(const struct rg_cli_kind *kind, const json_t *object)
{
    static const char *const of_metadata[] = {"id", "labels", "projectId", NULL};
    json_t *metadata = json_object(), *spec = json_object(), *state = json_object(), *value;
    const char *member;
    json_object_foreach((json_t *)(uintptr_t)object, member, value)
    {
        if (is_among(member, of_metadata))
            put_metadata(metadata, member, value);
        else if (is_state(member))
            json_object_set(state, member, value);
        else if (kind != rg_cli_gateways || is_gateway_member(member))
            json_object_set(spec, member, value);
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "kind", kind->name, "metadata", metadata, "spec", spec, "status", state);
}

/* ---- the same or not ---- */

/* What the platform adds of its own, and defaults that it fills in. */
static bool is_the_platforms(const char *member)
{
    static const char *const defaults[] = {
        "kind", "projectId", "lifeCycleStatus", "transport", "version", "functionalityType", NULL};
    return is_state(member) || is_among(member, defaults);
}

static bool says_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static bool is_same(const json_t *a, const json_t *b, bool top);

static bool has_all_members(const json_t *a, const json_t *b, bool top)
{
    json_t *members = (json_t *)(uintptr_t)a; /* iterating changes nothing */
    for (void *i = json_object_iter(members); i; i = json_object_iter_next(members, i)) {
        const json_t *value = json_object_iter_value(i), *other = json_object_get(b, json_object_iter_key(i));
        if (other ? !is_same(value, other, false) : !says_nothing(value))
            return false;
    }
    for (void *i = json_object_iter((json_t *)(uintptr_t)b); i; i = json_object_iter_next((json_t *)(uintptr_t)b, i)) {
        const char *key = json_object_iter_key(i);
        if (!json_object_get(a, key) && !says_nothing(json_object_iter_value(i)) && !(top && is_the_platforms(key)))
            return false;
    }
    return true;
}

static bool is_same(const json_t *a, const json_t *b, bool top)
{
    if (json_is_object(a) && json_is_object(b))
        return has_all_members(a, b, top);
    if (!json_is_array(a) || !json_is_array(b))
        return json_equal(a, b) || (says_nothing(a) && says_nothing(b));
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!is_same(json_array_get(a, i), json_array_get(b, i), false))
            return false;
    return true;
}

bool rg_body_is_same(const json_t *body, const json_t *existing)
{
    return is_same(body, existing, true);
}

/* ---- paths ---- */

/* "LlmProvider acme: spec.upstream": what a proxy is made of stands in another file. */
static bool is_of_another(const char *field)
{
    char kind[32];
    snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(field, " "), field);
    return strchr(field, ' ') && rg_cli_kind_named(kind);
}

void rg_body_path(const struct rg_document *document, const char *field, char ret[RG_PROBLEM_PATH_MAX])
{
    bool is_whole =
        strncmp(field, "spec", 4) == 0 || strncmp(field, "metadata", 8) == 0 || strncmp(field, "kind", 4) == 0;
    if (strcmp(field, "id") == 0)
        snprintf(ret, RG_PROBLEM_PATH_MAX, "metadata.name");
    else if (is_whole || is_of_another(field) || !json_is_object(json_object_get(document->yaml.value, "spec")))
        snprintf(ret, RG_PROBLEM_PATH_MAX, "%s", field);
    else
        snprintf(ret, RG_PROBLEM_PATH_MAX, "spec%s%s", field[0] ? "." : "", field);
}
