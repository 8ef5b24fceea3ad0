/*
 * The texts of frames: events for gateways, the greeting, notices for event streams, and what an acknowledgement says.
 * Pure but for memory. Thread: any. Texts are of malloc; NULL: no memory.
 */
#ifndef RG_PLATFORM_WIRE_H
#define RG_PLATFORM_WIRE_H

#include <jansson.h>

#include "control/common/instant.h"
#include "control/platform/kinds.h"

#define RG_ERROR_CODE_MAX    50
#define RG_ERROR_MESSAGE_MAX 2048
#define RG_ID_TEXT_MAX       100

/* {"type": type, "payload": payload, "timestamp", "correlationId", "userId"}; takes payload over. The last two may be
 * NULL. */
char *rg_wire_event(const char *type, json_t *payload, int64_t now_ms, const char *correlation, const char *user);

/* "api.deployed", "llmproxy.undeployed", ...: verb is "deployed", "undeployed" or "deleted". */
char *rg_wire_deployment(enum rg_artifact_type type, const char *verb, const char *artifact, const char *deployment,
                         const char *performed_at, int64_t now_ms, const char *correlation);

/* A deployment.ack of a gateway. */
struct rg_ack_message {
    enum rg_artifact_type type; /* RG_TYPES: a resource that is not known here */
    bool deploy, success;
    char deployment[RG_ID_TEXT_MAX + 1], artifact[RG_ID_TEXT_MAX + 1];
    int64_t performed_ms;
    char performed_at[RG_INSTANT_TEXT_MAX];
    char code[RG_ERROR_CODE_MAX + 1]; /* "" of a success */
    char message[RG_ERROR_MESSAGE_MAX + 1];
    char *errors; /* the same one by one, as rg_problems_json has them; NULL: there is one sentence */
};

enum rg_frame { RG_FRAME_ACK, RG_FRAME_OTHER /* a type that is not known: ignored */, RG_FRAME_BAD };

/* `why` says what is wrong with a bad one. An ACK is to be fini'd. */
enum rg_frame rg_wire_read(struct rg_str text, struct rg_ack_message *ret, char *why, size_t size);
void rg_ack_message_fini(struct rg_ack_message *ack);

#endif
