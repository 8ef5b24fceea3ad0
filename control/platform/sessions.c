/* See sessions.h: coming and going, then acknowledgements. */
#include "control/platform/sessions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/platform/transitions.h"
#include "control/platform/wire.h"
#include "datapath/base/ascii.h"
#include "datapath/base/log.h"

#define PENDING_MAX 1000 /* operations told again to one that comes back; the rest runs into its time limit */

/* ---- Coming and going ---- */

/* A name of letters, digits and "-_.:", so that it can be shown anywhere. */
static bool is_instance_name(struct rg_str name)
{
    if (name.len == 0 || name.len > RG_SESSION_INSTANCE)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!rg_is_alnum(c) && c != '-' && c != '_' && c != '.' && c != ':')
            return false;
    }
    return true;
}

/* By the hash of the token, an index: how long it takes says nothing of the token. */
static bool find_token(struct rg_store *store, struct rg_str api_key, struct rg_session *s)
{
    char hash[RG_SHA256_LEN + 1];
    struct rg_rows rows;
    if (!rg_token_is_valid(api_key))
        return false;
    rg_sha256_hex(hash, api_key);
    rg_db_query(&store->db, &rows,
                "SELECT t.uuid, g.uuid, g.organization_uuid FROM gateway_tokens t JOIN gateways g ON"
                " g.uuid = t.gateway_uuid WHERE t.token_hash = ?1 AND t.status = 'active'",
                RG_WITH(rg_text(hash)));
    bool found = rg_rows_next(&rows);
    if (found) {
        snprintf(s->token, sizeof(s->token), "%s", rg_rows_text(&rows, 0));
        snprintf(s->gateway, sizeof(s->gateway), "%s", rg_rows_text(&rows, 1));
        snprintf(s->organization, sizeof(s->organization), "%s", rg_rows_text(&rows, 2));
    }
    rg_rows_end(&rows);
    return found;
}

static void set_active(struct rg_store *store, const char *gateway, bool active)
{
    char now[RG_INSTANT_TEXT_MAX];
    rg_store_time(now, rg_store_now(store));
    rg_db_exec(&store->db, "UPDATE gateways SET is_active = ?2, last_seen_at = ?3 WHERE uuid = ?1",
               RG_WITH(rg_text(gateway), rg_int(active), rg_text(now)));
}

static void notify(struct rg_store *store, const struct rg_session *s, bool connected, struct rg_effects *effects)
{
    char now[RG_INSTANT_TEXT_MAX], text[512];
    struct rg_rows rows;
    rg_store_time(now, rg_store_now(store));
    rg_db_query(&store->db, &rows, "SELECT handle FROM gateways WHERE uuid = ?1", RG_WITH(rg_text(s->gateway)));
    if (rg_rows_next(&rows)) {
        snprintf(text, sizeof(text),
                 "{\"type\":\"gateway.%s\",\"gatewayId\":\"%s\",\"connectionId\":\"%s\",\"instance\":\"%s\","
                 "\"timestamp\":\"%s\"}",
                 connected ? "connected" : "disconnected", rg_rows_text(&rows, 0), s->connection, s->instance, now);
        rg_effects_add(effects, RG_EFFECT_NOTICE, s->organization, text);
    }
    rg_rows_end(&rows);
}

/*
 * What it may have missed while it was away, told again under the same performed_at: others' gateways ask for their
 * deployments once in their life only. One that gave a name asks each time, and is not told twice.
 */
static void tell_pending(struct rg_store *store, const struct rg_session *s, struct rg_effects *effects)
{
    struct rg_rows rows;
    rg_db_query(&store->db, &rows,
                "SELECT a.kind, s.artifact_uuid, s.deployment_uuid, s.performed_at, s.status_desired"
                " FROM deployment_status s JOIN artifacts a ON a.uuid = s.artifact_uuid WHERE s.gateway_uuid = ?1 AND"
                " s.status IN ('DEPLOYING', 'UNDEPLOYING') ORDER BY s.performed_at_ms LIMIT ?2",
                RG_WITH(rg_text(s->gateway), rg_int(PENDING_MAX)));
    while (rg_rows_next(&rows)) {
        bool deploy = strcmp(rg_rows_text(&rows, 4), "DEPLOYED") == 0;
        char *text = rg_wire_deployment(rg_type_of_kind(rg_rows_text(&rows, 0)), deploy ? "deployed" : "undeployed",
                                        rg_rows_text(&rows, 1), rg_rows_text(&rows, 2), rg_rows_text(&rows, 3),
                                        rg_store_now(store), NULL);
        if (text)
            rg_effects_add(effects, RG_EFFECT_SEND, s->gateway, text);
        else
            effects->lost = true;
        free(text);
    }
}

int rg_session_begin(struct rg_store *store, struct rg_str api_key, struct rg_str instance, struct rg_str peer,
                     struct rg_session *ret, struct rg_api_answer *answer, struct rg_effects *effects)
{
    *ret = (struct rg_session){0};
    if (!find_token(store, api_key, ret)) {
        if (store->db.error)
            return store->db.error;
        rg_store_add(store, RG_STORE_CONNECTS_REFUSED);
        rg_info("a gateway was refused: its token is unknown or revoked peer=%.*s", (int)peer.len, peer.ptr);
        rg_api_answer_refuse(answer, RG_STR("/api/internal/v1/ws/gateways/connect"), 401, "UNAUTHORIZED",
                             "Invalid or expired credentials.");
        return -EACCES;
    }
    bool named = is_instance_name(instance);
    int64_t now_ms = rg_store_now(store);
    rg_uuid_make(ret->connection, now_ms);
    snprintf(ret->instance, sizeof(ret->instance), "%.*s", named ? (int)instance.len : RG_UUID_LEN,
             named ? instance.ptr : ret->connection);
    rg_db_exec(&store->db,
               "INSERT INTO temp.sessions (connection, gateway_uuid, token_uuid, instance, named)"
               " VALUES (?1, ?2, ?3, ?4, ?5)",
               RG_WITH(rg_text(ret->connection), rg_text(ret->gateway), rg_text(ret->token), rg_text(ret->instance),
                       rg_int(named)));
    set_active(store, ret->gateway, true);
    notify(store, ret, true, effects);
    if (!named)
        tell_pending(store, ret, effects);
    char now[RG_INSTANT_TEXT_MAX];
    rg_store_time(now, now_ms - now_ms % 1000);
    snprintf(ret->greeting, sizeof(ret->greeting),
             "{\"type\":\"connection.ack\",\"gatewayId\":\"%s\",\"connectionId\":\"%s\",\"timestamp\":\"%s\"}",
             ret->gateway, ret->connection, now);
    return store->db.error;
}

int rg_session_end(struct rg_store *store, const struct rg_session *session, struct rg_effects *effects)
{
    rg_db_exec(&store->db, "DELETE FROM temp.sessions WHERE connection = ?1", RG_WITH(rg_text(session->connection)));
    if (rg_db_number(&store->db, 0, "SELECT EXISTS (SELECT 1 FROM temp.sessions WHERE gateway_uuid = ?1)",
                     RG_WITH(rg_text(session->gateway))) == 0)
        set_active(store, session->gateway, false);
    notify(store, session, false, effects);
    rg_operations_recheck(store, session->gateway, effects);
    return store->db.error;
}

/* ---- Acknowledgements ---- */

/* false: the artifact is not there, is of another organization, or of another kind. */
static bool find_place(struct rg_store *store, const struct rg_session *s, const struct rg_ack_message *ack,
                       struct rg_place *place)
{
    struct rg_rows rows;
    snprintf(place->organization, sizeof(place->organization), "%s", s->organization);
    snprintf(place->gateway, sizeof(place->gateway), "%s", s->gateway);
    place->type = ack->type;
    if (ack->type >= RG_TYPE_DEPLOYABLE)
        return false;
    rg_db_query(&store->db, &rows,
                "SELECT uuid FROM artifacts WHERE uuid = ?1 AND organization_uuid = ?2 AND kind = ?3",
                RG_WITH(rg_text(ack->artifact), rg_text(s->organization), rg_text(rg_type_info(ack->type)->name)));
    bool found = rg_rows_next(&rows);
    if (found)
        snprintf(place->artifact, sizeof(place->artifact), "%s", rg_rows_text(&rows, 0));
    rg_rows_end(&rows);
    return found;
}

/* One row for each instance and operation; false: it was there already. A failure is overwritten by a success only of
 * one that gave a name, and so is known to be the same. */
static bool note_ack(struct rg_store *store, const struct rg_session *s, const struct rg_ack_message *ack,
                     const struct rg_current *current)
{
    struct rg_db *db = &store->db;
    char now[RG_INSTANT_TEXT_MAX];
    rg_store_time(now, rg_store_now(store));
    int changed =
        rg_db_exec(db,
                   "UPDATE deployment_acks SET times = times + 1 WHERE deployment_uuid = ?1 AND performed_at = ?2"
                   " AND instance = ?3 AND (status = ?4 OR (status = 'failed' AND instance = ?5))",
                   RG_WITH(rg_text(current->deployment), rg_text(current->performed_at), rg_text(s->instance),
                           rg_text(ack->success ? "success" : "failed"), rg_text(s->connection)));
    if (changed != 0)
        return false;
    rg_db_exec(db,
               "INSERT INTO deployment_acks (deployment_uuid, performed_at, instance, action, status, error_code,"
               " message, errors, received_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
               " ON CONFLICT DO UPDATE SET status = excluded.status, error_code = excluded.error_code,"
               " message = excluded.message, errors = excluded.errors, times = times + 1",
               RG_WITH(rg_text(current->deployment), rg_text(current->performed_at), rg_text(s->instance),
                       rg_text(ack->deploy ? "deploy" : "undeploy"), rg_text(ack->success ? "success" : "failed"),
                       rg_text(ack->code[0] ? ack->code : NULL), rg_text(ack->message[0] ? ack->message : NULL),
                       rg_text(ack->errors), rg_text(now)));
    return true;
}

static enum rg_trigger trigger_of(const struct rg_ack_message *ack)
{
    if (!ack->success)
        return RG_TRIGGER_ACK_FAILED;
    return ack->deploy ? RG_TRIGGER_ACK_DEPLOYED : RG_TRIGGER_ACK_UNDEPLOYED;
}

static enum rg_store_counter apply_ack(struct rg_store *store, const struct rg_session *s,
                                       const struct rg_ack_message *ack, struct rg_effects *effects)
{
    struct rg_place place = {0};
    struct rg_current current;
    if (!find_place(store, s, ack, &place))
        return RG_STORE_ACKS_UNKNOWN;
    rg_current_load(store, &place, &current);
    if (current.status == RG_STATUS_NONE)
        return RG_STORE_ACKS_UNKNOWN;
    if (ack->performed_ms != current.performed_ms || ack->deploy != current.desires_deployed)
        return RG_STORE_ACKS_STALE;
    if (!note_ack(store, s, ack, &current))
        return RG_STORE_ACKS_DUPLICATE;
    struct rg_failure failure = {.code = ack->code[0] ? ack->code : NULL,
                                 .message = ack->message[0] ? ack->message : NULL,
                                 .errors = ack->errors};
    struct rg_actor actor = {.name = "gateway", .instance = s->instance};
    enum rg_verdict verdict = rg_operation_settle(store, &place, &current, trigger_of(ack), &failure, &actor, effects);
    return verdict == RG_VERDICT_DISCARD ? RG_STORE_ACKS_STALE : RG_STORE_ACKS_APPLIED;
}

int rg_session_receive(struct rg_store *store, const struct rg_session *session, struct rg_str text,
                       struct rg_effects *effects)
{
    struct rg_ack_message ack;
    char why[256];
    enum rg_frame frame = rg_wire_read(text, &ack, why, sizeof(why));
    if (frame == RG_FRAME_OTHER)
        return 0;
    if (frame == RG_FRAME_BAD) {
        rg_store_add(store, RG_STORE_ACKS_MALFORMED);
        rg_debug("a frame of a gateway was dropped: %s gateway=%s", why, session->gateway);
        return 0;
    }
    enum rg_store_counter outcome = apply_ack(store, session, &ack, effects);
    rg_ack_message_fini(&ack);
    if (store->db.error)
        return store->db.error;
    rg_store_add(store, outcome);
    return 0;
}
