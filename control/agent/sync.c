/*
 * At every connect, and again until it succeeds: what the control plane wants to be live here is compared with what is.
 * What differs is brought like any deployment, and acknowledged like one; what the control plane may not have heard of
 * is told again; what it does not know any more goes.
 */
#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "control/agent/retry.h"
#include "control/common/ids.h"
#include "control/common/json.h"
#include "datapath/base/log.h"

#define LIST_MAX  (32u << 20) /* 10,000 deployments are 3 MB */
#define IDS_MAX   1000u       /* asked about at once: the platform takes no more */
#define RECENT_MS 3600000     /* older ones wait for no acknowledgement any more */

/* ---- One of the list ---- */

static bool take_text(const json_t *object, const char *name, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text && (size_t)snprintf(to, size, "%s", text) < size;
}

/* As if it came as an event. */
static bool read_item(const json_t *item, struct rg_event *ret)
{
    char kind[32], state[32];
    *ret = (struct rg_event){.name = "sync"};
    bool ok = take_text(item, "kind", kind, sizeof(kind)) && rg_kind_of(rg_str_of(kind), &ret->kind);
    ok = ok && take_text(item, "artifactId", ret->artifact_id, sizeof(ret->artifact_id));
    ok = ok && take_text(item, "deploymentId", ret->deployment_id, sizeof(ret->deployment_id));
    ok = ok && take_text(item, "deployedAt", ret->performed_at, sizeof(ret->performed_at));
    ok = ok && take_text(item, "state", state, sizeof(state));
    if (!ok || !rg_id_is_valid(rg_str_of(ret->artifact_id)) || !rg_id_is_valid(rg_str_of(ret->deployment_id)) ||
        !rg_instant_parse(rg_str_of(ret->performed_at), &ret->performed_ns))
        return false;
    bool deployed = rg_str_eq_nocase(rg_str_of(state), RG_STR("DEPLOYED"));
    ret->type = deployed ? RG_EVENT_DEPLOYED : RG_EVENT_UNDEPLOYED;
    return deployed || rg_str_eq_nocase(rg_str_of(state), RG_STR("UNDEPLOYED"));
}

/* What could not be served at the start, or any more, is none: it is brought anew, or fails aloud. */
static bool is_same(const struct rg_entry *e, const struct rg_event *item)
{
    bool served = !e->live.deployed || e->live.unit || e->n_orders > 0;
    return e->is_known && served && e->live.deployed == (item->type == RG_EVENT_DEPLOYED) &&
           e->live.performed_ns == item->performed_ns && strcmp(e->live.deployment_id, item->deployment_id) == 0;
}

static bool is_recent(int64_t performed_ns)
{
    return performed_ns / 1000000 > rg_wall_ms() - RECENT_MS;
}

/* What an event brought since the list was made is newer than the list. An order that failed is tried once more. */
static bool is_overtaken(const struct rg_entry *e, const struct rg_event *item)
{
    return e->newest_ns > item->performed_ns || (e->order && e->newest_ns == item->performed_ns);
}

static void compare(struct rg_agent *a, const struct rg_event *item)
{
    struct rg_entry *e = rg_entry_find(a, item->artifact_id);
    bool deployed = item->type == RG_EVENT_DEPLOYED;
    if (e)
        e->is_listed = true;
    if (e && is_same(e, item)) {
        a->sync.unchanged++;
        if (!e->is_acked && e->n_orders == 0 && is_recent(e->live.performed_ns))
            rg_agent_ack_live(a, e);
        return;
    }
    if (e && is_overtaken(e, item))
        return;
    if (!deployed && (!e || (!e->is_known && !e->order))) {
        if (is_recent(item->performed_ns))
            rg_agent_take_event(a, item); /* it is not there, and the control plane may wait to hear so */
        return;
    }
    if (!rg_kind_info(item->kind)->supported || (!e && rg_entries_full(a))) {
        rg_agent_take_event(a, item); /* refuses it, with the reason */
        return;
    }
    if (!e)
        e = rg_entry_get(a, item->kind, item->artifact_id);
    if (!e || !rg_order_begin(a, e, item)) {
        rg_error("control: no memory to bring an artifact artifact=%s", item->artifact_id);
        return;
    }
    e->is_listed = true;
    a->sync.fetched++;
}

/* ---- The end of a sync ---- */

static void again_later(struct rg_agent *a, const char *why)
{
    uint64_t ms = rg_retry_delay(a->sync.failures++, a->settings.reconnect_initial_ms, a->settings.reconnect_max_ms);
    rg_agent_count(a, RG_AM_SYNC_FAILURES);
    rg_warn("control: can't compare deployments, trying again reason=\"%s\" next_try_ms=%llu", why,
            (unsigned long long)ms);
    rg_loop_set_alarm(a->loop, &a->sync.again, ms);
}

static void complete(struct rg_agent *a)
{
    a->sync.failures = 0;
    a->synced_unix_ms = (uint64_t)rg_wall_ms();
    a->metrics[RG_AM_SYNC_TIME] = a->synced_unix_ms / 1000;
    rg_info("control: compared deployments changed=%u unchanged=%u removed=%u took_ms=%llu", a->sync.fetched,
            a->sync.unchanged, a->sync.removed, (unsigned long long)(rg_now_ms() - a->sync.began_ms));
    rg_agent_fetch_keys(a);
}

/* ---- What is here and not in the list ---- */

static void remove_gone(struct rg_agent *a, const json_t *artifacts)
{
    size_t i;
    json_t *item;
    json_array_foreach(artifacts, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "artifactId"));
        struct rg_entry *e = id ? rg_entry_find(a, id) : NULL;
        if (!e || e->is_listed || e->order || !json_is_false(json_object_get(item, "exists")))
            continue;
        a->sync.removed++;
        rg_agent_forget(a, e, "the control plane does not know it any more");
    }
}

static void ask_for_unlisted(struct rg_agent *a);

/* If it can't be asked, nothing more is removed. */
static void existence_came(void *owner, const struct rg_fetch_answer *answer)
{
    struct rg_agent *a = owner;
    char why[128] = "";
    a->sync.fetch = NULL;
    json_t *root = answer->ok ? rg_json_parse(answer->body, why, sizeof(why)) : NULL;
    if (!root) {
        rg_warn("control: can't ask which artifacts still exist, keeping all that were not answered for reason=\"%s\"",
                answer->ok ? why : answer->why);
        complete(a);
        return;
    }
    remove_gone(a, json_object_get(root, "artifacts"));
    json_decref(root);
    ask_for_unlisted(a);
}

/* The next of them, each once. */
static json_t *unlisted(struct rg_agent *a)
{
    json_t *ids = json_array();
    for (struct rg_list *at = a->entries.next; at != &a->entries && json_array_size(ids) < IDS_MAX; at = at->next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        if (e->is_listed || e->is_asked || e->order)
            continue;
        e->is_asked = true; /* also what was refused, or has nothing but keys: it counts, too */
        json_array_append_new(ids, json_string(e->id));
    }
    return ids;
}

static void ask_for_unlisted(struct rg_agent *a)
{
    json_t *ids = unlisted(a);
    bool any = json_array_size(ids) > 0;
    json_t *root = json_pack("{s:o}", "artifactIds", ids);
    char *body = any && root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    struct rg_fetch_request request = {
        .path = "/artifacts/exists", .body = body ? rg_str_of(body) : RG_STR_NONE, .max_bytes = LIST_MAX, .owner = a};
    if (body)
        a->sync.fetch = rg_fetch_begin(&a->fetcher, &request, existence_came);
    free(body);
    if (!a->sync.fetch)
        complete(a);
}

/* ---- The list ---- */

static int by_kind(const void *va, const void *vb)
{
    const struct rg_event *x = va, *y = vb;
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : 0;
}

/* Providers before proxies, which are compiled against them. */
static bool compare_all(struct rg_agent *a, const json_t *list)
{
    size_t n = 0, i;
    json_t *item;
    struct rg_event *events = calloc(json_array_size(list) + 1, sizeof(*events));
    if (!events)
        return false;
    json_array_foreach(list, i, item)
    {
        if (read_item(item, &events[n]))
            n++;
        else
            rg_warn("control: the list of deployments has an item that can't be read, ignoring it item=%zu", i);
    }
    qsort(events, n, sizeof(*events), by_kind);
    for (i = 0; i < n; i++)
        compare(a, &events[i]);
    free(events);
    return true;
}

static void list_came(void *owner, const struct rg_fetch_answer *answer)
{
    struct rg_agent *a = owner;
    char why[128] = "";
    a->sync.fetch = NULL;
    if (!answer->ok) {
        again_later(a, answer->why);
        return;
    }
    json_t *root = rg_json_parse(answer->body, why, sizeof(why));
    const json_t *list = json_object_get(root, "deployments");
    bool is_list = json_is_array(list);
    for (struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        e->is_listed = e->is_asked = false;
    }
    bool compared = is_list && compare_all(a, list);
    a->sync.is_compared = compared;
    json_decref(root);
    if (compared)
        ask_for_unlisted(a);
    else
        again_later(a, why[0] ? why : is_list ? "no memory" : "the answer to /deployments has no list");
}

/* ---- From outside ---- */

void rg_agent_sync(struct rg_agent *a)
{
    struct rg_fetch_request request = {.path = "/deployments", .max_bytes = LIST_MAX, .owner = a};
    rg_agent_stop_sync(a);
    a->sync.fetched = a->sync.unchanged = a->sync.removed = 0;
    a->sync.began_ms = rg_now_ms();
    a->sync.fetch = rg_fetch_begin(&a->fetcher, &request, list_came);
    if (!a->sync.fetch)
        again_later(a, "no memory");
}

static void again_due(struct rg_alarm *alarm)
{
    rg_agent_sync(RG_OWNER(alarm, struct rg_agent, sync.again));
}

void rg_sync_init(struct rg_agent *a)
{
    a->sync.again.due = again_due;
}

void rg_agent_stop_sync(struct rg_agent *a)
{
    rg_fetch_cancel(a->sync.fetch);
    a->sync.fetch = NULL;
    a->sync.is_compared = false;
    rg_loop_clear_alarm(a->loop, &a->sync.again);
}
