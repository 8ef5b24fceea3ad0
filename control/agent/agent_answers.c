/* What the admin endpoint shows of the connection to the control plane: GET /control. */

#include "control/agent/agent_parts.h"
#include "control/common/json.h"

static json_t *or_null(const char *text)
{
    return text && text[0] ? rg_json_text(rg_str_of(text)) : json_null();
}

static json_t *link_json(const struct rg_agent *a)
{
    uint64_t now = rg_now_ms();
    const struct rg_link *l = &a->up;
    char url[sizeof(a->remote.base) + sizeof(a->remote.path)];
    snprintf(url, sizeof(url), "%s%s", a->remote.base, a->remote.path);
    json_t *link = json_pack("{s:s, s:s, s:o, s:o, s:o}", "url", url, "state", rg_link_state_name(l->state), "instance",
                             or_null(l->instance), "gatewayId", or_null(l->gateway_id), "reason",
                             or_null(l->state == RG_LINK_UP ? NULL : l->why));
    if (l->state == RG_LINK_UP)
        json_object_set_new(link, "connectedForMs", json_integer((json_int_t)(now - l->up_since_ms)));
    if (l->state == RG_LINK_PAUSING)
        json_object_set_new(link, "nextTryInMs",
                            json_integer(l->next_try_ms > now ? (json_int_t)(l->next_try_ms - now) : 0));
    return link;
}

/* Instants of the wall clock are milliseconds since 1970 inside, text outside. */
static json_t *synced_json(const struct rg_agent *a)
{
    char text[RG_INSTANT_TEXT_MAX];
    if (a->synced_unix_ms == 0)
        return json_null();
    rg_instant_format((int64_t)a->synced_unix_ms * 1000000, text);
    return json_string(text);
}

static const char *state_of(const struct rg_entry *e)
{
    if (!e->is_known)
        return e->failure ? "failed" : "unknown";
    if (!e->live.deployed)
        return "undeployed";
    return e->live.unit ? "deployed" : "not served";
}

static json_t *order_json(const struct rg_order *o)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I}", "action", o->deploy ? "deploy" : "undeploy", "deploymentId",
                     o->version.deployment_id, "performedAt", o->version.performed_at, "state",
                     rg_order_state_name(o->state), "forMs", (json_int_t)(rg_now_ms() - o->began_ms));
}

static json_t *orders_json(const struct rg_agent *a, const struct rg_entry *e)
{
    json_t *orders = json_array();
    for (const struct rg_list *at = a->orders.next; e->n_orders > 0 && at != &a->orders; at = at->next) {
        const struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        if (o->entry == e)
            json_array_append_new(orders, order_json(o));
    }
    return orders;
}

static json_t *entry_json(const struct rg_agent *a, const struct rg_entry *e)
{
    return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:b, s:b, s:I, s:o, s:O*, s:o}", "artifactId", e->id, "kind",
                     rg_kind_info(e->kind)->name, "handle", or_null(e->handle[0] ? e->handle : NULL), "state",
                     state_of(e), "deploymentId", or_null(e->is_known ? e->live.deployment_id : NULL), "performedAt",
                     or_null(e->is_known ? e->live.performed_at : NULL), "acknowledged", e->is_acked, "saved",
                     e->is_known && !e->is_unsaved && e->ticket == 0, "apiKeys",
                     (json_int_t)json_object_size(e->key_list), "failure", or_null(e->failure), "errors", e->errors,
                     "orders", orders_json(a, e));
}

static json_t *state_json(const struct rg_agent *a)
{
    return json_pack("{s:s, s:o}", "directory", a->state.path, "error",
                     a->save_error ? json_pack("s++", a->failed_file, ": ", strerror(-a->save_error)) : json_null());
}

void rg_agent_write_json(const struct rg_agent *a, FILE *out)
{
    json_t *artifacts = json_array();
    for (const struct rg_list *at = a->entries.next; at != &a->entries; at = at->next)
        json_array_append_new(artifacts, entry_json(a, RG_CONTAINER(at, struct rg_entry, link)));
    json_t *root = json_pack("{s:b, s:o, s:o, s:o, s:{s:I, s:b}, s:o}", "enabled", 1, "connection", link_json(a),
                             "lastSync", synced_json(a), "stateDirectory", state_json(a), "routes", "generation",
                             (json_int_t)a->generation, "switching", a->is_switching, "artifacts", artifacts);
    if (root)
        json_dumpf(root, out, JSON_COMPACT);
    else
        fputs("{}", out);
    fputc('\n', out);
    json_decref(root);
}
