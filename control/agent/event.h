/*
 * Messages of the control plane: JSON text in, an event out. What is malformed is refused with a reason, what is
 * unknown is not an error: both sides of the protocol ignore types that they don't know. Pure.
 *
 * Owner: an event owns its copy of the payload. Thread: the control thread.
 */
#ifndef RG_AGENT_EVENT_H
#define RG_AGENT_EVENT_H

#include <jansson.h>

#include "control/common/instant.h"
#include "control/common/kinds.h"

#define RG_ID_MAX 100 /* bytes of an identifier; a UUID has 36 */

/* Identifiers become names of files and parts of paths: letters, digits, "-", "_" and ".", the first no dot. */
bool rg_id_is_valid(struct rg_str id);

enum rg_event_type {
    RG_EVENT_UNKNOWN,   /* to be ignored */
    RG_EVENT_CONNECTED, /* connection.ack */
    RG_EVENT_REFUSED,   /* "error": the platform ends the connection */
    RG_EVENT_DEPLOYED,
    RG_EVENT_UNDEPLOYED,
    RG_EVENT_DELETED,
    RG_EVENT_KEY_CREATED, /* created or updated: the payload has the key */
    RG_EVENT_KEY_REVOKED
};

struct rg_event {
    enum rg_event_type type;
    char name[64];                          /* its type as it came, for the log */
    char correlation_id[RG_ID_MAX + 1];     /* "": it has none */
    char gateway_id[RG_ID_MAX + 1];         /* CONNECTED */
    enum rg_kind kind;                      /* DEPLOYED, UNDEPLOYED, DELETED */
    char artifact_id[RG_ID_MAX + 1];        /* those and KEY_* */
    char deployment_id[RG_ID_MAX + 1];      /* DEPLOYED, UNDEPLOYED */
    char performed_at[RG_INSTANT_TEXT_MAX]; /* the same, as it came: acknowledgements repeat it */
    int64_t performed_ns;
    json_t *payload; /* KEY_*; or NULL */
};

#define RG_EVENT_WHY_MAX 256

/* 0, or -EINVAL with `why` when it can't be taken. Of REFUSED `why` is what the platform says. */
int rg_event_parse(struct rg_str text, struct rg_event *ret, char why[RG_EVENT_WHY_MAX]);
void rg_event_fini(struct rg_event *event);

#endif
