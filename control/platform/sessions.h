/*
 * Gateways that are connected, as the store knows them: who may connect, which instances a deployment waits for, and
 * what they send. The sockets and the fan-out are the hub's (hub.h).
 *
 * The carrier calls begin before the upgrade; on 0 it upgrades, sends `greeting` as the first frame, adds the
 * connection to the hub and carries out the effects. Nothing is missed in between: jobs are done in order. Thread: the
 * store's, each call in a job.
 */
#ifndef RG_PLATFORM_SESSIONS_H
#define RG_PLATFORM_SESSIONS_H

#include "control/platform/api.h"

#define RG_SESSION_GREETING 256
#define RG_SESSION_INSTANCE 64

struct rg_session {
    char connection[RG_UUID_LEN + 1];
    char gateway[RG_UUID_LEN + 1];
    char organization[RG_UUID_LEN + 1];
    char token[RG_UUID_LEN + 1];
    char instance[RG_SESSION_INSTANCE + 1]; /* a name that the gateway gave; else the connection's id */
    char greeting[RG_SESSION_GREETING];     /* connection.ack */
};

/* `instance` may be "". -EACCES: `answer` has the 401 to give. Other negative errno: 503. */
int rg_session_begin(struct rg_store *store, struct rg_str api_key, struct rg_str instance, struct rg_str peer,
                     struct rg_session *ret, struct rg_api_answer *answer, struct rg_effects *effects);
int rg_session_end(struct rg_store *store, const struct rg_session *session, struct rg_effects *effects);

/* A text frame of the gateway. What is not understood, stale, or not its own is counted and dropped: 0. */
int rg_session_receive(struct rg_store *store, const struct rg_session *session, struct rg_str text,
                       struct rg_effects *effects);

#endif
