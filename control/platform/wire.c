/* See wire.h. */
#include "control/platform/wire.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/common/ids.h"
#include "control/common/json.h"
#include "control/common/problems.h"

char *rg_wire_event(const char *type, json_t *payload, int64_t now_ms, const char *correlation, const char *user)
{
    char made[RG_UUID_LEN + 1], now[RG_INSTANT_TEXT_MAX];
    if (!correlation || !*correlation) {
        rg_uuid_make(made, now_ms);
        correlation = made;
    }
    rg_instant_format(now_ms * 1000000, now);
    json_t *event = json_pack("{s:s, s:o, s:s, s:s, s:s*}", "type", type, "payload", payload, "timestamp", now,
                              "correlationId", correlation, "userId", user);
    char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
    json_decref(event);
    return text;
}

char *rg_wire_deployment(enum rg_artifact_type type, const char *verb, const char *artifact, const char *deployment,
                         const char *performed_at, int64_t now_ms, const char *correlation)
{
    const struct rg_kind_info *info = rg_type_info(type);
    char name[64];
    snprintf(name, sizeof(name), "%s.%s", info->resource, verb);
    json_t *payload = json_pack("{s:s, s:s*, s:s*}", info->id_member, artifact, "deploymentId", deployment,
                                "performedAt", performed_at);
    return payload ? rg_wire_event(name, payload, now_ms, correlation, NULL) : NULL;
}

/* ---- Acknowledgements ---- */

/* A member that has to be a string of 1 to max bytes; without `wanted` it may be missing, and is cut. */
static bool take(const json_t *payload, const char *name, bool required, char *out, size_t size, char *why,
                 size_t why_size)
{
    const json_t *value = json_object_get(payload, name);
    out[0] = '\0';
    if (!value || json_is_null(value)) {
        if (required)
            snprintf(why, why_size, "payload.%s is missing", name);
        return !required;
    }
    size_t len = json_string_length(value);
    if (!json_is_string(value) || (required && (len == 0 || len >= size))) {
        snprintf(why, why_size, "payload.%s must be a string of 1 to %zu bytes", name, size - 1);
        return false;
    }
    if (len >= size) { /* between two characters */
        const char *text = json_string_value(value);
        for (len = size - 1; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80; len--)
            ;
    }
    memcpy(out, json_string_value(value), len);
    out[len] = '\0';
    return true;
}

/* Bounded, and nothing but what we know of it: it is shown to others. Without memory the message alone is. */
static char *take_errors(const json_t *list)
{
    struct rg_problems problems;
    rg_problems_init(&problems);
    rg_problems_from_json(&problems, list);
    json_t *errors = rg_problems_any(&problems) ? rg_problems_json(&problems) : NULL;
    char *text = errors ? json_dumps(errors, JSON_COMPACT) : NULL;
    json_decref(errors);
    rg_problems_fini(&problems);
    return text;
}

void rg_ack_message_fini(struct rg_ack_message *ack)
{
    free(ack->errors);
    ack->errors = NULL;
}

static bool word(const char *text, const char *yes, const char *no, bool *ret)
{
    *ret = strcmp(text, yes) == 0;
    return *ret || strcmp(text, no) == 0;
}

static bool read_payload(const json_t *payload, struct rg_ack_message *ack, char *why, size_t size)
{
    char resource[64], action[16], status[16];
    int64_t ns;
    if (!json_is_object(payload)) {
        snprintf(why, size, "payload must be an object");
        return false;
    }
    if (!take(payload, "deploymentId", true, ack->deployment, sizeof(ack->deployment), why, size) ||
        !take(payload, "artifactId", true, ack->artifact, sizeof(ack->artifact), why, size) ||
        !take(payload, "resourceType", true, resource, sizeof(resource), why, size) ||
        !take(payload, "action", true, action, sizeof(action), why, size) ||
        !take(payload, "status", true, status, sizeof(status), why, size) ||
        !take(payload, "performedAt", true, ack->performed_at, sizeof(ack->performed_at), why, size) ||
        !take(payload, "errorCode", false, ack->code, sizeof(ack->code), why, size) ||
        !take(payload, "errorMessage", false, ack->message, sizeof(ack->message), why, size))
        return false;
    if (!word(action, "deploy", "undeploy", &ack->deploy) || !word(status, "success", "failed", &ack->success)) {
        snprintf(why, size, "payload.action is deploy or undeploy, payload.status success or failed");
        return false;
    }
    if (!rg_instant_parse(rg_str_of(ack->performed_at), &ns)) {
        snprintf(why, size, "payload.performedAt must be a time of RFC 3339");
        return false;
    }
    ack->performed_ms = ns % 1000000 == 0 ? ns / 1000000 : -1; /* finer than any of ours: stale */
    ack->type = rg_type_of_resource(resource);
    if (ack->success) {
        ack->code[0] = ack->message[0] = '\0';
    } else {
        if (!ack->code[0])
            snprintf(ack->code, sizeof(ack->code), "GATEWAY_PROCESSING_ERROR");
        ack->errors = take_errors(json_object_get(payload, "errors"));
    }
    return true;
}

enum rg_frame rg_wire_read(struct rg_str text, struct rg_ack_message *ret, char *why, size_t size)
{
    json_t *frame = rg_json_parse(text, why, size);
    enum rg_frame what = RG_FRAME_BAD;
    const char *type = json_string_value(json_object_get(frame, "type"));
    *ret = (struct rg_ack_message){0};
    if (!frame)
        return RG_FRAME_BAD;
    if (!type)
        snprintf(why, size, "a frame is an object with a type");
    else if (strcmp(type, "deployment.ack") != 0)
        what = RG_FRAME_OTHER;
    else if (read_payload(json_object_get(frame, "payload"), ret, why, size))
        what = RG_FRAME_ACK;
    json_decref(frame);
    return what;
}
