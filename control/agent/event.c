/* See event.h: identifiers and members are checked first, then what each type of message needs of them. */
#include "control/agent/event.h"

#include <errno.h>
#include <stdio.h>

#include "control/common/json.h"
#include "datapath/base/ascii.h"

/* ---- Identifiers ---- */

bool rg_id_is_valid(struct rg_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool word = rg_is_alnum(c) || c == '-' || c == '_';
        if (!word && (c != '.' || i == 0))
            return false;
    }
    return id.len > 0 && id.len <= RG_ID_MAX;
}

/* ---- Members ---- */

/* false: it is there and no text. A member that is missing or null is "". */
static bool text_of(const json_t *object, const char *name, struct rg_str *ret)
{
    const json_t *value = json_object_get(object, name);
    *ret = RG_STR("");
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return false;
    *ret = (struct rg_str){json_string_value(value), json_string_length(value)};
    return true;
}

static void copy(char *to, struct rg_str from)
{
    memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
}

static int take_id(const json_t *object, const char *name, char to[RG_ID_MAX + 1], char *why)
{
    struct rg_str id;
    if (!text_of(object, name, &id) || !rg_id_is_valid(id)) {
        snprintf(why, RG_EVENT_WHY_MAX, "%s: got %s, wanted an identifier (letters, digits, '-', '_', '.', at most %d)",
                 name, json_object_get(object, name) ? "something else" : "nothing", RG_ID_MAX);
        return -EINVAL;
    }
    copy(to, id);
    return 0;
}

static int take_instant(const json_t *payload, struct rg_event *e, char *why)
{
    struct rg_str text;
    if (!text_of(payload, "performedAt", &text) || text.len >= sizeof(e->performed_at) ||
        !rg_instant_parse(text, &e->performed_ns)) {
        snprintf(why, RG_EVENT_WHY_MAX, "performedAt: got %s, wanted an instant like 2026-08-22T09:15:04.127Z",
                 text.len == 0 ? "nothing" : "something else");
        return -EINVAL;
    }
    copy(e->performed_at, text);
    return 0;
}

/* ---- Types ---- */

static int take_deployment(const json_t *payload, struct rg_event *e, char *why)
{
    int r = take_id(payload, rg_kind_info(e->kind)->id_member, e->artifact_id, why);
    if (r == 0 && e->type != RG_EVENT_DELETED)
        r = take_id(payload, "deploymentId", e->deployment_id, why);
    if (r == 0 && e->type != RG_EVENT_DELETED)
        r = take_instant(payload, e, why);
    return r;
}

static bool is_deployment(struct rg_str type, struct rg_event *e)
{
    static const struct {
        const char *verb;
        enum rg_event_type type;
    } verbs[] = {
        {".deployed", RG_EVENT_DEPLOYED}, {".undeployed", RG_EVENT_UNDEPLOYED}, {".deleted", RG_EVENT_DELETED}};
    for (unsigned k = 0; k < RG_KINDS; k++) {
        const char *resource = rg_kind_info((enum rg_kind)k)->resource;
        size_t len = strlen(resource);
        if (type.len <= len || memcmp(type.ptr, resource, len) != 0)
            continue;
        struct rg_str verb = {type.ptr + len, type.len - len};
        for (unsigned v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++) {
            if (!rg_str_eq(verb, rg_str_of(verbs[v].verb)))
                continue;
            e->kind = (enum rg_kind)k;
            e->type = verbs[v].type;
            return true;
        }
    }
    return false;
}

static const struct {
    const char *name;
    enum rg_event_type type;
} others[] = {
    {"connection.ack", RG_EVENT_CONNECTED},   {"error", RG_EVENT_REFUSED},
    {"apikey.created", RG_EVENT_KEY_CREATED}, {"apikey.updated", RG_EVENT_KEY_CREATED},
    {"apikey.revoked", RG_EVENT_KEY_REVOKED},
};

static enum rg_event_type other_type(struct rg_str type)
{
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (rg_str_eq(type, rg_str_of(others[i].name)))
            return others[i].type;
    return RG_EVENT_UNKNOWN;
}

static int take_payload(json_t *payload, struct rg_event *e, char *why)
{
    if (!json_is_object(payload)) {
        snprintf(why, RG_EVENT_WHY_MAX, "payload: got %s, wanted an object", payload ? "something else" : "nothing");
        return -EINVAL;
    }
    if (e->type == RG_EVENT_DEPLOYED || e->type == RG_EVENT_UNDEPLOYED || e->type == RG_EVENT_DELETED)
        return take_deployment(payload, e, why);
    e->payload = json_incref(payload);
    return take_id(payload, "apiId", e->artifact_id, why);
}

static int take(json_t *root, struct rg_event *e, char *why)
{
    struct rg_str type, correlation;
    if (!json_is_object(root) || !text_of(root, "type", &type) || type.len == 0) {
        snprintf(why, RG_EVENT_WHY_MAX, "type: got %s, wanted an object with a type",
                 json_is_object(root) ? "nothing or no text" : "no object");
        return -EINVAL;
    }
    snprintf(e->name, sizeof(e->name), "%.*s", (int)type.len, type.ptr);
    if (text_of(root, "correlationId", &correlation) && rg_id_is_valid(correlation))
        copy(e->correlation_id, correlation);
    if (!is_deployment(type, e))
        e->type = other_type(type);
    if (e->type == RG_EVENT_CONNECTED)
        return take_id(root, "gatewayId", e->gateway_id, why);
    if (e->type == RG_EVENT_UNKNOWN)
        return 0;
    if (e->type != RG_EVENT_REFUSED)
        return take_payload(json_object_get(root, "payload"), e, why);
    text_of(root, "message", &correlation);
    snprintf(why, RG_EVENT_WHY_MAX, "%.*s", (int)correlation.len, correlation.ptr);
    return 0;
}

int rg_event_parse(struct rg_str text, struct rg_event *ret, char why[RG_EVENT_WHY_MAX])
{
    struct rg_event e = {0};
    json_t *root = rg_json_parse(text, why, RG_EVENT_WHY_MAX);
    if (!root)
        return -EINVAL;
    why[0] = '\0';
    int r = take(root, &e, why);
    json_decref(root);
    if (r < 0) {
        json_decref(e.payload);
        return r;
    }
    *ret = e;
    return 0;
}

void rg_event_fini(struct rg_event *event)
{
    json_decref(event->payload);
    event->payload = NULL;
}
