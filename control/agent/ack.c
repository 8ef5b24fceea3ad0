/* See ack.h. */
#include "control/agent/ack.h"

#include "control/common/utf8.h"

char *rg_ack_write(const struct rg_ack *ack)
{
    json_t *root = json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s}}", "type", "deployment.ack", "payload",
                             "deploymentId", ack->deployment_id, "artifactId", ack->artifact_id, "resourceType",
                             rg_kind_info(ack->kind)->resource, "action", ack->deploy ? "deploy" : "undeploy", "status",
                             ack->error_code ? "failed" : "success", "performedAt", ack->performed_at);
    json_t *payload = json_object_get(root, "payload");
    if (ack->error_code)
        json_object_set_new(payload, "errorCode", json_string(ack->error_code));
    if (ack->error_code && ack->error_message) {
        char message[RG_ACK_MESSAGE_MAX];
        size_t len = rg_utf8_copy(message, sizeof(message), rg_str_of(ack->error_message));
        json_object_set_new(payload, "errorMessage", json_stringn(message, len));
    }
    if (ack->error_code && ack->errors)
        json_object_set(payload, "errors", ack->errors);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}
