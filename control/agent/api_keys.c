/*
 * API keys of artifacts: all of them at every connect, single ones by events. Only hashes are ever known here. A key is
 * let in, or is not any more, at once, without a deployment (datapath/policy/keys.h).
 */
#include <stdlib.h>
#include <string.h>

#include "control/agent/agent_parts.h"
#include "control/common/json.h"
#include "datapath/base/log.h"

#define LIST_MAX (32u << 20)

/* ---- One key ---- */

/* {"name", "sha256", "expiresAt"} of what the control plane sends: hashes are an object in lists, and in events a
 * string with one in it. NULL: no SHA-256 of it is known. */
static json_t *read_key(const json_t *from)
{
    char unused[128];
    uint8_t hash[RG_KEY_HASH_LEN];
    const json_t *hashes = json_object_get(from, "apiKeyHashes");
    json_t *parsed =
        json_is_string(hashes) ? rg_json_parse(rg_str_of(json_string_value(hashes)), unused, sizeof(unused)) : NULL;
    const char *hex = json_string_value(json_object_get(parsed ? parsed : hashes, "sha256"));
    const char *name = json_string_value(json_object_get(from, "name"));
    json_t *expires = json_object_get(from, "expiresAt"); /* also what is no instant: fill() refuses such a key */
    if (!name)
        name = json_string_value(json_object_get(from, "keyName"));
    json_t *key = NULL;
    if (name && hex && rg_key_hash_parse(rg_str_of(hex), hash))
        key = json_pack("{s:s, s:s}", "name", name, "sha256", hex);
    if (key && expires && !json_is_null(expires))
        json_object_set(key, "expiresAt", expires);
    json_decref(parsed);
    return key;
}

static bool is_active(const json_t *key)
{
    const char *status = json_string_value(json_object_get(key, "status"));
    return !status || rg_str_eq_nocase(rg_str_of(status), RG_STR("active"));
}

/* ---- Letting in ---- */

/* false: when it ends is not known. 0: never. */
static bool take_end(const json_t *expires, int64_t *ret_ms)
{
    int64_t ns;
    *ret_ms = 0;
    if (!expires)
        return true;
    if (!json_is_string(expires) || !rg_instant_parse(rg_str_of(json_string_value(expires)), &ns))
        return false;
    *ret_ms = ns < 1000000 ? 1 : ns / 1000000; /* at the epoch itself is long ago as well, not never */
    return true;
}

/* false: it is not let in. */
static bool fill(const json_t *from, struct rg_key *to)
{
    const char *name = json_string_value(json_object_get(from, "name"));
    const char *hex = json_string_value(json_object_get(from, "sha256"));
    if (!name || !hex || !rg_key_hash_parse(rg_str_of(hex), to->hash))
        return false;
    to->name = rg_str_of(name);
    return take_end(json_object_get(from, "expiresAt"), &to->expires_ms);
}

static void apply(struct rg_entry *e)
{
    size_t n = 0, all = json_object_size(e->key_list);
    const char *name;
    json_t *key;
    struct rg_key *keys = calloc(all + 1, sizeof(*keys));
    if (!e->keys)
        e->keys = rg_key_set_create();
    json_object_foreach(e->key_list, name, key) n += keys && fill(key, &keys[n]);
    if (!keys || !e->keys || rg_key_set_replace(e->keys, keys, n) < 0)
        rg_error("control: no memory for the API keys of an artifact, those from before stay artifact=%s", e->id);
    free(keys);
}

/* Keys come in bursts, and letting one in costs as much as letting all in: once for what a turn of the loop brings. */
static void keys_due(struct rg_alarm *alarm)
{
    struct rg_agent *a = RG_OWNER(alarm, struct rg_agent, keys_due);
    while (!rg_list_empty(&a->rekeyed)) {
        struct rg_entry *e = RG_CONTAINER(a->rekeyed.next, struct rg_entry, rekeyed);
        rg_list_remove(&e->rekeyed);
        apply(e);
    }
}

static void list_changed(struct rg_agent *a, struct rg_entry *e)
{
    rg_list_remove(&e->rekeyed);
    rg_list_append(&a->rekeyed, &e->rekeyed);
    if (!a->keys_due.set)
        rg_loop_set_alarm(a->loop, &a->keys_due, 0);
    rg_persist_keys(a);
}

static void set_list(struct rg_agent *a, struct rg_entry *e, json_t *list)
{
    if (json_object_size(list) == 0 && json_object_size(e->key_list) == 0)
        return;
    if (list && e->key_list && json_equal(list, e->key_list))
        return;
    json_decref(e->key_list);
    e->key_list = json_incref(list);
    list_changed(a, e);
}

/* ---- Events ---- */

/* key NULL: it goes. */
static int change_key(struct rg_agent *a, struct rg_entry *e, const char *name, json_t *key)
{
    if (!e->key_list)
        e->key_list = json_object();
    const json_t *before = json_object_get(e->key_list, name);
    if (key ? json_equal(before, key) : !before)
        return 0; /* told again */
    int r = key ? json_object_set(e->key_list, name, key) : json_object_del(e->key_list, name);
    if (r == 0)
        list_changed(a, e);
    return r;
}

void rg_agent_take_key_event(struct rg_agent *a, const struct rg_event *event)
{
    bool revoked = event->type == RG_EVENT_KEY_REVOKED;
    /* A key may come before its artifact; one that goes leaves no trace of what is not here. */
    struct rg_entry *e = rg_entry_find(a, event->artifact_id);
    if (!e && !revoked && !rg_entries_full(a))
        e = rg_entry_get(a, RG_KIND_REST_API, event->artifact_id);
    json_t *key = revoked ? NULL : read_key(event->payload);
    const char *name = json_string_value(json_object_get(revoked ? event->payload : key, revoked ? "keyName" : "name"));
    memset(a->key_lists_old, true, sizeof(a->key_lists_old));
    bool taken = name && (e ? change_key(a, e, name, key) == 0 : revoked);
    if (!taken)
        rg_warn("control: an event of an API key can't be taken event=%s artifact=%s correlation=%s", event->name,
                event->artifact_id, event->correlation_id);
    else
        rg_info("control: API key event=%s artifact=%s name=\"%s\" correlation=%s", event->name, event->artifact_id,
                name, event->correlation_id);
    json_decref(key);
}

/* ---- Lists ---- */

static json_t *by_artifact(const json_t *list)
{
    json_t *all = json_object(), *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "artifactUuid"));
        json_t *key = id && is_active(item) ? read_key(item) : NULL;
        if (key && !json_object_get(all, id))
            json_object_set_new(all, id, json_object());
        if (key)
            json_object_set_new(json_object_get(all, id), json_string_value(json_object_get(key, "name")), key);
    }
    return all;
}

static void fetch_list(struct rg_agent *a, enum rg_kind kind);

/* What an event has said since may not be in it: a key that was revoked must not come back. */
static void list_came(struct rg_agent *a, enum rg_kind kind, const struct rg_fetch_answer *answer)
{
    char why[128] = "";
    a->key_fetches[kind] = NULL;
    if (a->key_lists_old[kind] && answer->ok) {
        fetch_list(a, kind);
        return;
    }
    json_t *root = answer->ok ? rg_json_parse(answer->body, why, sizeof(why)) : NULL;
    if (!json_is_array(root)) {
        rg_warn("control: can't get the API keys, those from before stay kind=%s reason=\"%s\"",
                rg_kind_info(kind)->name,
                !answer->ok ? answer->why
                : why[0]    ? why
                            : "the answer is no list");
        json_decref(root);
        return;
    }
    json_t *all = by_artifact(root);
    for (struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        if (e->kind == kind)
            set_list(a, e, json_object_get(all, e->id));
    }
    json_decref(all);
    json_decref(root);
}

/* A callback for each kind: who asked is all that an answer knows. */
static void apis_came(void *owner, const struct rg_fetch_answer *answer)
{
    list_came(owner, RG_KIND_REST_API, answer);
}

static void providers_came(void *owner, const struct rg_fetch_answer *answer)
{
    list_came(owner, RG_KIND_LLM_PROVIDER, answer);
}

static void proxies_came(void *owner, const struct rg_fetch_answer *answer)
{
    list_came(owner, RG_KIND_LLM_PROXY, answer);
}

static void fetch_list(struct rg_agent *a, enum rg_kind kind)
{
    static const rg_fetch_done came[RG_KINDS] = {
        [RG_KIND_REST_API] = apis_came, [RG_KIND_LLM_PROVIDER] = providers_came, [RG_KIND_LLM_PROXY] = proxies_came};
    char path[64];
    if (!came[kind])
        return;
    snprintf(path, sizeof(path), "/%s/api-keys", rg_kind_info(kind)->path);
    struct rg_fetch_request request = {.path = path, .max_bytes = LIST_MAX, .owner = a};
    a->key_lists_old[kind] = false;
    a->key_fetches[kind] = rg_fetch_begin(&a->fetcher, &request, came[kind]);
}

void rg_agent_fetch_keys(struct rg_agent *a)
{
    rg_agent_stop_keys(a);
    for (unsigned kind = 0; kind < RG_KINDS; kind++)
        fetch_list(a, (enum rg_kind)kind);
}

void rg_agent_stop_keys(struct rg_agent *a)
{
    for (unsigned kind = 0; kind < RG_KINDS; kind++) {
        rg_fetch_cancel(a->key_fetches[kind]);
        a->key_fetches[kind] = NULL;
    }
}

void rg_keys_init(struct rg_agent *a)
{
    a->keys_due.due = keys_due;
    rg_list_init(&a->rekeyed);
}

/* ---- On the disk ---- */

static json_t *list_of(json_t *keys)
{
    json_t *list = json_array(), *key;
    const char *name;
    json_object_foreach(keys, name, key) json_array_append(list, key);
    return list;
}

json_t *rg_keys_to_json(const struct rg_agent *a)
{
    json_t *root = json_object();
    for (const struct rg_list *at = a->entries.next; root && at != &a->entries; at = at->next) {
        const struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        if (json_object_size(e->key_list) > 0)
            json_object_set_new(root, e->id, list_of(e->key_list));
    }
    return root;
}

static json_t *by_name(const json_t *list)
{
    json_t *keys = json_object(), *key;
    size_t i;
    json_array_foreach(list, i, key)
    {
        const char *name = json_string_value(json_object_get(key, "name"));
        if (name)
            json_object_set(keys, name, key);
    }
    return keys;
}

void rg_keys_from_json(struct rg_agent *a, const json_t *value)
{
    const char *id;
    json_t *list;
    json_object_foreach((json_t *)value, id, list)
    {
        struct rg_entry *e = rg_entry_find(a, id);
        if (!e)
            continue;
        json_decref(e->key_list);
        e->key_list = by_name(list);
        apply(e);
    }
}
