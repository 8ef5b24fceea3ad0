/* See documents.h: each kind from definition to document, and what is hidden of it. */
#include "control/platform/documents.h"

#define API_VERSION "gateway.api-platform.wso2.com/v1"
#define ANNOTATION  "gateway.api-platform.wso2.com/"
#define ANY_HOST    "_gateway_default_"

static void copy(json_t *to, const json_t *from, const char *name)
{
    json_t *value = json_object_get(from, name);
    if (value && !json_is_null(value))
        json_object_set_new(to, name, json_deep_copy(value));
}

static void copy_all(json_t *to, const json_t *from, const char *const *names)
{
    for (; *names; names++)
        copy(to, from, *names);
}

/* ---- RestApi ---- */

/* The public API has {name, request: {...}}, gateways have it flat; both are taken. */
static json_t *operation_of(const json_t *operation)
{
    static const char *const names[] = {"method", "path", "match", "policies", "resilience", NULL};
    const json_t *request = json_object_get(operation, "request");
    if (!json_is_object(operation))
        return json_deep_copy(operation);
    json_t *flat = json_object();
    copy_all(flat, operation, names);
    if (json_is_object(request))
        copy_all(flat, request, names);
    return flat;
}

static void make_rest_api(json_t *spec, const json_t *definition)
{
    static const char *const names[] = {"context",           "upstreamDefinitions", "upstream", "policies",
                                        "subscriptionPlans", "resilience",          NULL};
    const json_t *operations = json_object_get(definition, "operations"), *operation;
    size_t i;
    copy_all(spec, definition, names);
    copy(spec, definition, "vhosts");
    if (!json_object_get(spec, "vhosts"))
        json_object_set_new(spec, "vhosts", json_pack("{s:s}", "main", ANY_HOST));
    if (!json_is_array(operations)) {
        copy(spec, definition, "operations");
        return;
    }
    json_t *list = json_array();
    json_array_foreach(operations, i, operation) json_array_append_new(list, operation_of(operation));
    json_object_set_new(spec, "operations", list);
}

/* ---- LLM kinds ---- */

/* {main: {...}} is what the public API of others has; gateways have what is in it. */
static void make_upstream(json_t *spec, const json_t *definition)
{
    const json_t *upstream = json_object_get(definition, "upstream"), *inner = json_object_get(upstream, "main");
    json_object_set_new(spec, "upstream", json_deep_copy(json_is_object(inner) ? inner : upstream));
}

/* `security` asks for the consumers' keys: the first of the global policies. */
static void make_security(json_t *spec, const json_t *definition)
{
    const json_t *security = json_object_get(definition, "security"), *key = json_object_get(security, "apiKey");
    json_t *policies = json_object_get(spec, "globalPolicies"), *params = json_object();
    bool off = json_is_false(json_object_get(security, "enabled")) || json_is_false(json_object_get(key, "enabled"));
    static const char *const names[] = {"key", "in", "valuePrefix", NULL};
    copy_all(params, key, names);
    if (!json_is_object(key) || off) {
        json_decref(params);
        return;
    }
    json_t *policy = json_pack("{s:s, s:s, s:o}", "name", "api-key-auth", "version", "v1", "params", params);
    if (!json_is_array(policies)) {
        policies = json_array();
        json_object_set_new(spec, "globalPolicies", policies);
    }
    json_array_insert_new(policies, 0, policy);
}

static void make_llm(json_t *spec, const json_t *definition)
{
    static const char *const names[] = {"context",    "vhost", "globalPolicies", "operationPolicies", "policies",
                                        "resilience", NULL};
    copy_all(spec, definition, names);
    make_security(spec, definition);
}

static void make_provider(json_t *spec, const json_t *definition)
{
    copy(spec, definition, "template");
    make_upstream(spec, definition);
    copy(spec, definition, "accessControl");
    if (!json_object_get(spec, "accessControl"))
        json_object_set_new(spec, "accessControl", json_pack("{s:s}", "mode", "allow_all"));
    make_llm(spec, definition);
}

static void make_proxy(json_t *spec, const json_t *definition)
{
    const json_t *provider = json_object_get(definition, "provider");
    json_object_set_new(spec, "provider",
                        json_is_string(provider) ? json_pack("{s:O}", "id", provider) : json_deep_copy(provider));
    copy(spec, definition, "additionalProviders");
    make_llm(spec, definition);
}

/* ---- Documents ---- */

static json_t *metadata_of(const struct rg_document_identity *identity, const json_t *definition)
{
    json_t *labels = json_deep_copy(json_object_get(definition, "labels"));
    if (!json_is_object(labels)) {
        json_decref(labels);
        labels = json_object();
    }
    json_t *annotations = json_pack("{s:s}", ANNOTATION "artifact-id", identity->uuid);
    if (identity->project) {
        json_object_set_new(labels, "project-id", json_string(identity->project));
        json_object_set_new(annotations, ANNOTATION "project-id", json_string(identity->project));
    }
    json_t *metadata = json_pack("{s:s, s:o}", "name", identity->handle, "annotations", annotations);
    if (json_object_size(labels))
        json_object_set(metadata, "labels", labels);
    json_decref(labels);
    return metadata;
}

json_t *rg_document_make(const struct rg_document_identity *identity, const json_t *definition)
{
    json_t *spec = json_object();
    copy(spec, definition, "displayName");
    copy(spec, definition, "version");
    if (identity->type == RG_TYPE_REST_API)
        make_rest_api(spec, definition);
    else if (identity->type == RG_TYPE_LLM_PROVIDER)
        make_provider(spec, definition);
    else
        make_proxy(spec, definition);
    json_object_set_new(spec, "deploymentState", json_string("deployed"));
    return json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", API_VERSION, "kind", rg_type_info(identity->type)->name,
                     "metadata", metadata_of(identity, definition), "spec", spec);
}

static void put(json_t *object, const char *name, struct rg_str value)
{
    if (value.len)
        json_object_set_new(object, name, json_stringn(value.ptr, value.len));
}

/* The member, made an object when it is none. */
static json_t *member_object(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (json_is_object(value))
        return value;
    value = json_object();
    json_object_set_new(object, name, value);
    return value;
}

void rg_document_override(json_t *document, const struct rg_deploy_metadata *metadata)
{
    json_t *spec = json_object_get(document, "spec");
    bool rest = strcmp(json_string_value(json_object_get(document, "kind")), "RestApi") == 0;
    if (metadata->endpoint_url.len) {
        json_t *upstream = member_object(spec, "upstream");
        json_t *main = rest ? member_object(upstream, "main") : upstream;
        json_object_del(main, "ref");
        put(main, "url", metadata->endpoint_url);
    }
    if (rest) {
        json_t *vhosts = member_object(spec, "vhosts");
        put(vhosts, "main", metadata->vhost_main);
        put(vhosts, "sandbox", metadata->vhost_sandbox);
    } else {
        put(spec, "vhost", metadata->vhost_main);
    }
}

static bool is_named(const json_t *reference, const char *handle)
{
    const json_t *id = json_is_object(reference) ? json_object_get(reference, "id") : reference;
    return json_is_string(id) && strcmp(json_string_value(id), handle) == 0;
}

bool rg_definition_names(const json_t *definition, const char *handle)
{
    const json_t *more = json_object_get(definition, "additionalProviders"), *provider;
    size_t i;
    if (is_named(json_object_get(definition, "template"), handle) ||
        is_named(json_object_get(definition, "provider"), handle))
        return true;
    json_array_foreach(more, i, provider) if (is_named(provider, handle)) return true;
    return false;
}

/* ---- Secrets ---- */

static void skip_blanks(struct rg_str *text)
{
    while (text->len > 0 && (*text->ptr == ' ' || *text->ptr == '\t')) {
        text->ptr++;
        text->len--;
    }
}

/* After "{{": secret "handle", with the quotes as they are or escaped (inside of a quoted text). */
static bool take_secret(struct rg_str rest, struct rg_str *ret)
{
    static const struct rg_str word = {"secret", 6};
    skip_blanks(&rest);
    if (rest.len < word.len || memcmp(rest.ptr, word.ptr, word.len) != 0)
        return false;
    rest.ptr += word.len;
    rest.len -= word.len;
    skip_blanks(&rest);
    while (rest.len > 0 && (*rest.ptr == '\\' || *rest.ptr == '"' || *rest.ptr == '\'')) {
        rest.ptr++;
        rest.len--;
    }
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != '"' && rest.ptr[n] != '\\' && rest.ptr[n] != '\'' && rest.ptr[n] != ' ' &&
           rest.ptr[n] != '}')
        n++;
    *ret = (struct rg_str){rest.ptr, n};
    return n > 0;
}

void rg_document_secrets(struct rg_str text, void (*found)(struct rg_str handle, void *arg), void *arg)
{
    while (text.len > 2) {
        const char *at = memmem(text.ptr, text.len, "{{", 2);
        if (!at)
            return;
        text.len -= (size_t)(at - text.ptr) + 2;
        text.ptr = at + 2;
        struct rg_str handle;
        if (take_secret(text, &handle))
            found(handle, arg);
    }
}

/* A text that is nothing but a template function says where a secret is, and may be shown. */
static bool is_secret(const char *parent, const char *name, const json_t *value)
{
    if (!json_is_string(value) || json_string_length(value) == 0)
        return false;
    if (strcmp(name, "password") != 0 && (strcmp(name, "value") != 0 || strcmp(parent, "auth") != 0))
        return false;
    return strstr(json_string_value(value), "{{") == NULL;
}

static void redact(json_t *value, const char *parent)
{
    const char *name;
    json_t *member;
    size_t i;
    if (json_is_array(value)) {
        json_array_foreach(value, i, member) redact(member, parent);
        return;
    }
    json_object_foreach(value, name, member)
    {
        if (is_secret(parent, name, member))
            json_string_set(member, RG_REDACTED);
        else
            redact(member, name);
    }
}

void rg_definition_redact(json_t *definition)
{
    redact(definition, "");
}

static void keep(json_t *value, const json_t *old, const char *parent)
{
    const char *name;
    json_t *member;
    size_t i;
    if (json_is_array(value)) {
        json_array_foreach(value, i, member) keep(member, json_array_get(old, i), parent);
        return;
    }
    json_object_foreach(value, name, member)
    {
        const json_t *before = json_object_get(old, name);
        if (is_secret(parent, name, member) && strcmp(json_string_value(member), RG_REDACTED) == 0 &&
            json_is_string(before))
            json_string_setn(member, json_string_value(before), json_string_length(before));
        else
            keep(member, before, name);
    }
}

void rg_definition_keep_secrets(json_t *definition, const json_t *old)
{
    keep(definition, old, "");
}
