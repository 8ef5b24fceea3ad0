/*
 * Secrets that definitions name: fetched when a definition comes, kept for those that are compiled anew and for the
 * next start. Their values are in no message, log line or answer.
 */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "control/common/json.h"

#define BODY_MAX 65536u

static struct rg_secret *find(const struct rg_agent *a, struct rg_str handle)
{
    struct rg_secret *s = a->secrets;
    while (s && !rg_str_eq(rg_str_of(s->handle), handle))
        s = s->next;
    return s;
}

static struct rg_secret *get(struct rg_agent *a, struct rg_str handle)
{
    struct rg_secret *s = find(a, handle);
    if (s || !rg_id_is_valid(handle))
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->agent = a;
    memcpy(s->handle, handle.ptr, handle.len);
    s->next = a->secrets;
    a->secrets = s;
    return s;
}

static bool set_value(struct rg_secret *s, const char *text, size_t len)
{
    char *value = malloc(len + 1);
    if (!value)
        return false;
    memcpy(value, text, len);
    value[len] = '\0';
    if (s->value)
        OPENSSL_cleanse(s->value, s->len);
    free(s->value);
    s->value = value;
    s->len = len;
    return true;
}

/* ---- Fetching ---- */

static void value_came(void *owner, const struct rg_fetch_answer *answer)
{
    struct rg_secret *s = owner;
    char unused[128];
    s->fetch = NULL;
    s->failure[0] = '\0';
    json_t *root = answer->ok ? rg_json_parse(answer->body, unused, sizeof(unused)) : NULL;
    const json_t *value = json_object_get(root, "value");
    if (!answer->ok)
        snprintf(s->failure, sizeof(s->failure), "%s", answer->why);
    else if (!json_is_string(value))
        snprintf(s->failure, sizeof(s->failure), "the control plane's answer has no value");
    else if (!set_value(s, json_string_value(value), json_string_length(value)))
        snprintf(s->failure, sizeof(s->failure), "no memory");
    json_decref(root);
    if (!s->failure[0])
        rg_persist_secrets(s->agent);
    rg_agent_build_soon(s->agent);
}

static void fetch(struct rg_secret *s)
{
    char path[RG_ID_MAX + 32];
    snprintf(path, sizeof(path), "/secrets/%s/value", s->handle);
    struct rg_fetch_request request = {.path = path, .max_bytes = BODY_MAX, .owner = s};
    s->fetch = rg_fetch_begin(&s->agent->fetcher, &request, value_came);
    s->asked_ms = rg_now_ms();
    if (!s->fetch)
        snprintf(s->failure, sizeof(s->failure), "no memory");
}

/* The place in front, as of all that is wrong with a definition. */
static void complain(const struct rg_artifact_secret *secret, const char *cause, struct rg_problems *why)
{
    char got[RG_ID_MAX + RG_FETCH_WHY_MAX + 64];
    snprintf(got, sizeof(got), "the secret \"%.*s\", which can't be had (%s)",
             (int)(secret->handle.len < RG_ID_MAX ? secret->handle.len : RG_ID_MAX), secret->handle.ptr, cause);
    rg_problems_add(why, secret->path, got, "one that the control plane has", "set it there, then deploy again");
}

/* Of the order's own; those of a proxy's provider came with that. */
enum rg_secrets_state rg_secrets_look(struct rg_agent *a, const struct rg_order *o, struct rg_problems *why)
{
    const struct rg_artifact_info *info = rg_artifact_info(o->version.artifact);
    bool is_coming = false;
    for (size_t i = 0; i < info->n_secrets; i++) {
        struct rg_secret *s = get(a, info->secrets[i].handle);
        if (s && !s->fetch && s->asked_ms < o->began_ms)
            fetch(s); /* what was asked for earlier may be older than the definition; one answer serves a burst */
        if (s && s->fetch) {
            is_coming = true;
        } else if (!s || s->failure[0]) {
            complain(&info->secrets[i], s ? s->failure : "its name is none", why);
        }
    }
    if (is_coming)
        return RG_SECRETS_COMING; /* so that all that are missing are told at once */
    return rg_problems_any(why) ? RG_SECRETS_MISSING : RG_SECRETS_THERE;
}

bool rg_secret_value(const struct rg_agent *a, struct rg_str handle, struct rg_str *ret)
{
    const struct rg_secret *s = find(a, handle);
    if (!s || !s->value)
        return false;
    *ret = (struct rg_str){s->value, s->len};
    return true;
}

/* ---- On the disk ---- */

json_t *rg_secrets_to_json(const struct rg_agent *a)
{
    json_t *root = json_object();
    for (const struct rg_secret *s = a->secrets; root && s; s = s->next)
        if (s->value)
            json_object_set_new(root, s->handle, json_stringn(s->value, s->len));
    return root;
}

void rg_secrets_from_json(struct rg_agent *a, const json_t *value)
{
    const char *handle;
    json_t *text;
    json_object_foreach((json_t *)value, handle, text)
    {
        struct rg_secret *s = json_is_string(text) ? get(a, rg_str_of(handle)) : NULL;
        if (s)
            set_value(s, json_string_value(text), json_string_length(text));
    }
}

void rg_secrets_stop(struct rg_agent *a)
{
    for (struct rg_secret *s = a->secrets; s; s = s->next) {
        rg_fetch_cancel(s->fetch);
        s->fetch = NULL;
    }
}

void rg_secrets_fini(struct rg_agent *a)
{
    rg_secrets_stop(a);
    while (a->secrets) {
        struct rg_secret *s = a->secrets;
        a->secrets = s->next;
        if (s->value)
            OPENSSL_cleanse(s->value, s->len);
        free(s->value);
        free(s);
    }
}
