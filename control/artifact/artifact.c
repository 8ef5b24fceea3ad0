/*
 * Why: the frame of an artifact: kind, name, what it needs. See artifact.h for owner and thread; artifact_tables.c for
 * what stands in it.
 */
#include "control/artifact/artifact_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "control/common/conf.h"
#include "datapath/base/ascii.h"
#include "datapath/policy/policy.h"

#define GROUP         "gateway.api-platform.wso2.com"
#define ID_ANNOTATION GROUP "/artifact-id"
#define HANDLE_MAX    253

/* Kinds that are not deployed but that control planes know. */
static const char *const other_kinds[] = {"LlmProviderTemplate", "Secret",           "ApiKey",
                                          "Subscription",        "SubscriptionPlan", "ManagedSecret"};

/* ---- The frame ---- */

struct head {
    struct rg_str api_version, kind;
};

struct metadata {
    struct rg_str name;
};

static const struct rg_param head_rows[] = {
    {.name = "apiVersion",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct head, api_version),
     .required = true,
     .not_empty = true},
    {.name = "kind",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct head, kind),
     .required = true,
     .not_empty = true},
    {.name = NULL},
};

static const struct rg_param metadata_rows[] = {
    {.name = "name",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct metadata, name),
     .required = true,
     .not_empty = true,
     .scalar = true},
    {.name = NULL},
};

static void check_api_version(struct rg_str version, struct rg_problems *why)
{
    char got[256];
    if (rg_str_eq(version, RG_STR(GROUP "/v1")) || rg_str_eq(version, RG_STR(GROUP "/v1alpha1")))
        return;
    rg_conf_quote(version, got, sizeof(got));
    rg_problems_add(why, "apiVersion", got, GROUP "/v1, or .../v1alpha1", NULL);
}

static bool is_other_kind(struct rg_str name)
{
    enum rg_kind kind;
    if (rg_kind_of(name, &kind))
        return true;
    for (size_t i = 0; i < sizeof(other_kinds) / sizeof(*other_kinds); i++)
        if (rg_str_eq(name, rg_str_of(other_kinds[i])))
            return true;
    return false;
}

static void refuse_kind(struct rg_str kind, struct rg_problems *why)
{
    char got[256], remedy[128] = "";
    unsigned distance;
    rg_conf_quote(kind, got, sizeof(got));
    if (is_other_kind(kind))
        snprintf(remedy, sizeof(remedy), "this gateway does not support that kind");
    for (int i = 0; i < RG_KINDS && !*remedy; i++) {
        const struct rg_kind_info *info = rg_kind_info((enum rg_kind)i);
        if (info->supported && rg_conf_is_near(kind, rg_str_of(info->name), &distance))
            snprintf(remedy, sizeof(remedy), "did you mean %s?", info->name);
    }
    rg_problems_add(why, "kind", got, "RestApi, LlmProvider or LlmProxy", remedy);
}

static bool is_supported(struct rg_str name, enum rg_kind *ret)
{
    return rg_kind_of(name, ret) && rg_kind_info(*ret)->supported;
}

static bool is_handle(struct rg_str name)
{
    if (name.len == 0 || name.len > HANDLE_MAX || name.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!rg_is_alnum(c) && !(c && strchr("-._", c)))
            return false;
    }
    return true;
}

/* false: said why. */
static bool check_handle(struct rg_str handle, const char *path, struct rg_problems *why)
{
    char got[256];
    if (is_handle(handle))
        return true;
    rg_conf_quote(handle, got, sizeof(got));
    rg_problems_add(why, path, got, "a name of letters, digits, '-', '.' and '_', at most 253", NULL);
    return false;
}

static struct rg_str string_member(const json_t *object, const char *key)
{
    const json_t *value = rg_spec_member(object, key);
    return json_is_string(value) ? (struct rg_str){json_string_value(value), json_string_length(value)} : RG_STR("");
}

static int decode_metadata(struct rg_artifact *a, struct rg_problems *why)
{
    const json_t *value = rg_spec_member(a->doc.value, "metadata");
    struct metadata m = {0};
    int rc = rg_params_decode(
        metadata_rows,
        &(struct rg_params_source){.value = value, .path = "metadata", .written = a->doc.written, .tolerant = true},
        &a->arena, &m, why);
    if (rc == 0)
        check_handle(m.name, "metadata.name", why);
    a->info.handle = m.name;
    a->info.id = string_member(rg_spec_member(value, "annotations"), ID_ANNOTATION);
    return rc == -ENOMEM ? rc : 0;
}

/* *ret_kind: whether its kind is known, so that what stands in it can be told. */
static int decode_frame(struct rg_artifact *a, struct rg_problems *why, bool *ret_kind)
{
    struct head head = {0};
    if (!json_is_object(a->doc.value)) {
        rg_problems_add(why, "", "a document that is no object", "an artifact with apiVersion, kind, metadata and spec",
                        NULL);
        return -EINVAL;
    }
    int rc = rg_params_decode(
        head_rows, &(struct rg_params_source){.value = a->doc.value, .written = a->doc.written, .tolerant = true},
        &a->arena, &head, why);
    if (rc == -ENOMEM)
        return rc;
    if (head.api_version.len > 0)
        check_api_version(head.api_version, why);
    *ret_kind = head.kind.len > 0 && is_supported(head.kind, &a->info.kind);
    if (head.kind.len > 0 && !*ret_kind)
        refuse_kind(head.kind, why);
    rc = decode_metadata(a, why);
    a->spec_json = rg_spec_member(a->doc.value, "spec");
    if (rc == 0 && !json_is_object(a->spec_json))
        rg_problems_add(why, "spec", a->spec_json ? "something else" : "nothing", "an object", NULL);
    return rc < 0 ? rc : rg_problems_any(why) ? -EINVAL : 0;
}

/* ---- What it needs ---- */

static int collect_secrets(struct rg_artifact *a)
{
    size_t n = 0;
    for (const struct rg_template_name *s = a->found.secrets; s; s = s->next)
        n++;
    struct rg_artifact_secret *list = rg_arena_array(&a->arena, n, sizeof(*list));
    if (!list)
        return -ENOMEM;
    a->info.secrets = list;
    a->info.n_secrets = n;
    for (const struct rg_template_name *s = a->found.secrets; s; s = s->next)
        list[--n] = (struct rg_artifact_secret){s->text, s->path}; /* in the order of the text */
    return 0;
}

/* They are needed before anything is rendered, so they can't be made by a template. */
static bool add_provider(const json_t *ref, const char *path, struct rg_str *list, size_t *n, struct rg_problems *why)
{
    struct rg_str id = string_member(ref, "id");
    if (id.len == 0)
        return true; /* the table says what is wrong with it */
    list[(*n)++] = id;
    return check_handle(id, path, why);
}

static int collect_providers(struct rg_artifact *a, struct rg_problems *why)
{
    const json_t *more = rg_spec_member(a->spec_json, "additionalProviders");
    char path[64];
    size_t n = 0;
    if (a->info.kind != RG_KIND_LLM_PROXY)
        return 0;
    struct rg_str *list = rg_arena_array(&a->arena, 1 + json_array_size(more), sizeof(*list));
    if (!list)
        return -ENOMEM;
    bool good = add_provider(rg_spec_member(a->spec_json, "provider"), "spec.provider.id", list, &n, why);
    for (size_t i = 0; i < json_array_size(more); i++) {
        snprintf(path, sizeof(path), "spec.additionalProviders[%zu].id", i);
        good &= add_provider(json_array_get(more, i), path, list, &n, why);
    }
    a->info.providers = list;
    a->info.n_providers = n;
    return good ? 0 : -EINVAL;
}

static int decode_spec(struct rg_artifact *a, struct rg_problems *why)
{
    if (a->found.any)
        return 0;
    int rc = rg_spec_decode(&a->spec, a->info.kind, a->spec_json, a->doc.written, "spec", &a->arena, why);
    if (rc < 0)
        return rc;
    a->spec.handle = a->info.handle;
    a->info.display_name = a->spec.display_name;
    a->info.version = a->spec.version;
    return 0;
}

/* No memory is the end of it; after anything else the next step may have more to tell. */
static int worse(int a, int b)
{
    return a == -ENOMEM || b == -ENOMEM ? -ENOMEM : a < 0 ? a : b;
}

static int decode(struct rg_artifact *a, struct rg_str text, struct rg_problems *why)
{
    bool has_kind = false;
    int rc = rg_yaml_json(text, RG_ARTIFACT_TEXT_MAX, &a->doc, why);
    if (rc == 0)
        rc = decode_frame(a, why, &has_kind);
    if (rc == -ENOMEM || !has_kind || !json_is_object(a->spec_json))
        return rc;
    rc = worse(rc, rg_template_scan(a->spec_json, "spec", &a->arena, &a->found, why));
    if (rc == 0)
        rc = collect_secrets(a);
    if (rc != -ENOMEM)
        rc = worse(rc, collect_providers(a, why));
    return rc == -ENOMEM ? rc : worse(rc, decode_spec(a, why));
}

int rg_artifact_decode(const char *text, size_t len, struct rg_artifact **ret, struct rg_problems *why)
{
    struct rg_artifact *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->info.display_name = a->info.version = RG_STR("");
    int rc = decode(a, (struct rg_str){text, len}, why);
    if (rc < 0) {
        rg_artifact_destroy(a);
        return rc;
    }
    *ret = a;
    return 0;
}

struct rg_artifact_policy *rg_artifact_policies(const struct rg_artifact *artifact)
{
    return artifact->policies;
}

struct rg_artifact_policy *rg_artifact_take_policies(struct rg_artifact *artifact)
{
    struct rg_artifact_policy *policies = artifact->policies;
    artifact->policies = NULL;
    return policies;
}

void rg_artifact_policies_free(struct rg_artifact_policy *policies)
{
    while (policies) {
        struct rg_artifact_policy *p = policies;
        policies = p->next;
        rg_policy_unref(p->policy);
        free(p);
    }
}

void rg_artifact_destroy(struct rg_artifact *artifact)
{
    if (!artifact)
        return;
    rg_artifact_policies_free(artifact->policies);
    rg_yaml_json_fini(&artifact->doc);
    rg_arena_fini(&artifact->arena);
    free(artifact);
}

/* ---- Questions ---- */

const struct rg_artifact_info *rg_artifact_info(const struct rg_artifact *artifact)
{
    return &artifact->info;
}

bool rg_artifact_depends(const struct rg_artifact *artifact, enum rg_kind kind, struct rg_str handle)
{
    if (kind != RG_KIND_LLM_PROVIDER)
        return false;
    for (size_t i = 0; i < artifact->info.n_providers; i++)
        if (rg_str_eq(artifact->info.providers[i], handle))
            return true;
    return false;
}
