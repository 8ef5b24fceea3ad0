/*
 * deployment.ack: what the gateway tells of a deployment, once it knows. The only message that it sends. Pure.
 * Thread: the control thread.
 */
#ifndef RG_AGENT_ACK_H
#define RG_AGENT_ACK_H

#include "control/agent/event.h"

#define RG_ACK_MESSAGE_MAX 2048 /* bytes of errorMessage */

#define RG_ACK_PROCESSING_ERROR "GATEWAY_PROCESSING_ERROR"
#define RG_ACK_ID_MISMATCH      "DEPLOYMENT_ID_MISMATCH"

struct rg_ack {
    enum rg_kind kind;
    bool deploy; /* false: undeploy */
    const char *artifact_id, *deployment_id, *performed_at;
    const char *error_code;    /* NULL: success */
    const char *error_message; /* cut to size, between two characters; NULL: none */
    json_t *errors;            /* the problems one by one, as rg_problems_json has them; NULL: there is one sentence */
};

/* The caller's to free(); NULL: no memory. Bytes of the message that are no UTF-8 are shown as "?". */
char *rg_ack_write(const struct rg_ack *ack);

#endif
