/*
 * Keys of an API's consumers. Made here or given; kept as their hash, and sent to gateways as that. A change goes to
 * every gateway that is to have the artifact. Thread: the store's.
 */
#include "control/platform/api_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/platform/handlers.h"
#include "control/platform/lookups.h"
#include "control/platform/schemas.h"
#include "control/platform/wire.h"

#define KEY_MIN   16
#define KEY_MAX   256
#define KEY_SHOWN 5
#define MASK      "***"

#define KEY                                                                                                       \
    "SELECT name, display_name, masked_api_key, sha256, status, external_ref_id, issuer, expires_at, created_by," \
    " created_at, updated_at, uuid, artifact_uuid FROM api_keys "

/* ---- Events ---- */

static json_t *hashes_text(const char *sha256)
{
    return json_sprintf("{\"sha256\":\"%s\"}", sha256);
}

static char *event_text(const struct rg_rows *rows, const char *type, int64_t now_ms, const char *correlation)
{
    bool created = strcmp(type, "apikey.created") == 0;
    json_t *payload = json_pack("{s:s, s:s, s:o, s:s, s:s*, s:s*, s:s*, s:s}", "apiId", rg_rows_text(rows, 12),
                                created ? "name" : "keyName", rg_rows_text(rows, 0), "apiKeyHashes",
                                hashes_text(rg_rows_text(rows, 3)), "maskedApiKey", rg_rows_text(rows, 2),
                                "externalRefId", rg_rows_text(rows, 5), "issuer", rg_rows_text(rows, 6), "expiresAt",
                                rg_rows_text(rows, 7), "updatedAt", rg_rows_text(rows, 10));
    if (payload && created) {
        json_object_set_new(payload, "uuid", json_string(rg_rows_text(rows, 11)));
        json_object_set_new(payload, "createdAt", json_string(rg_rows_text(rows, 9)));
    }
    return payload ? rg_wire_event(type, payload, now_ms, correlation, rg_rows_text(rows, 8)) : NULL;
}

void rg_api_keys_replay(struct rg_store *store, const char *artifact, const char *gateway, const char *correlation,
                        struct rg_effects *effects)
{
    struct rg_rows rows;
    int64_t now_ms = rg_store_now(store);
    rg_db_query(&store->db, &rows,
                KEY "WHERE artifact_uuid = ?1 AND status = 'active' AND (expires_at_ms IS NULL OR expires_at_ms > ?2)"
                    " ORDER BY rowid",
                RG_WITH(rg_text(artifact), rg_int(now_ms)));
    while (rg_rows_next(&rows)) {
        char *text = event_text(&rows, "apikey.created", now_ms, correlation);
        if (text)
            rg_effects_add(effects, RG_EFFECT_SEND, gateway, text);
        else
            effects->lost = true;
        free(text);
    }
}

/* Takes text over. */
static void tell_gateways(struct rg_call *call, const char *artifact, char *text)
{
    struct rg_rows rows;
    if (!text) {
        rg_store_fail(call->store, -ENOMEM);
        return;
    }
    rg_db_query(call->db, &rows,
                "SELECT gateway_uuid FROM deployment_status WHERE artifact_uuid = ?1 AND status_desired = 'DEPLOYED'",
                RG_WITH(rg_text(artifact)));
    while (rg_rows_next(&rows))
        rg_effects_add(call->effects, RG_EFFECT_SEND, rg_rows_text(&rows, 0), text);
    free(text);
}

/* ---- Showing ---- */

static json_t *key(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s, s:s, s:s}", "name", rg_rows_text(rows, 0),
                     "displayName", rg_rows_text(rows, 1), "uuid", rg_rows_text(rows, 11), "maskedApiKey",
                     rg_rows_text(rows, 2), "status", rg_rows_text(rows, 4), "externalRefId", rg_rows_text(rows, 5),
                     "issuer", rg_rows_text(rows, 6), "expiresAt", rg_rows_text(rows, 7), "createdBy",
                     rg_rows_text(rows, 8), "createdAt", rg_rows_text(rows, 9), "updatedAt", rg_rows_text(rows, 10));
}

void rg_list_keys(struct rg_call *call)
{
    struct rg_found_artifact artifact;
    if (!rg_find_artifact(call, call->args[0], false, &artifact))
        return;
    const struct rg_value values[] = {rg_text(artifact.uuid)};
    rg_answer_list(call, "SELECT count(*) FROM api_keys WHERE artifact_uuid = ?1 AND status = 'active'",
                   KEY "WHERE artifact_uuid = ?1 AND status = 'active' ORDER BY name LIMIT ?2 OFFSET ?3", values, 1,
                   key);
}

/* ---- Create and change ---- */

/* The key as text, its hash and its last characters. */
struct secret_key {
    char text[KEY_MAX + 1];
    char sha256[RG_SHA256_LEN + 1];
    char masked[sizeof(MASK) + KEY_SHOWN];
    bool made;
    int64_t expires_ms;
};

static bool is_key_text(struct rg_str text)
{
    if (text.len < KEY_MIN || text.len > KEY_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    return true;
}

static bool take_key(struct rg_call *call, const struct rg_key_input *in, struct secret_key *ret)
{
    int64_t ns = 0;
    if (in->api_key.len && !is_key_text(in->api_key)) {
        rg_refuse_field(
            call, "apiKey", "got %zu bytes%s, wanted %d to %d printable characters without blanks", in->api_key.len,
            in->api_key.len < KEY_MIN || in->api_key.len > KEY_MAX ? "" : " with others in them", KEY_MIN, KEY_MAX);
        return false;
    }
    if (in->expires_at.len && !rg_instant_parse(in->expires_at, &ns)) {
        rg_refuse_field(call, "expiresAt",
                        "got \"%.40s\", wanted a time of RFC 3339 from 1970 to 2199, like 2027-01-01T00:00:00Z",
                        rg_call_text(call, in->expires_at));
        return false;
    }
    ret->made = in->api_key.len == 0;
    ret->expires_ms = ns / 1000000;
    if (ret->made)
        rg_token_make(ret->text);
    else
        snprintf(ret->text, sizeof(ret->text), "%.*s", (int)in->api_key.len, in->api_key.ptr);
    rg_sha256_hex(ret->sha256, rg_str_of(ret->text));
    snprintf(ret->masked, sizeof(ret->masked), MASK "%s", ret->text + strlen(ret->text) - KEY_SHOWN);
    return true;
}

static struct rg_value or_null(struct rg_str text)
{
    return text.len ? rg_view(text) : rg_text(NULL);
}

/* Tells gateways of the key, and answers with it; the text of one that was made here is in this answer alone. */
static void announce(struct rg_call *call, const char *artifact, const char *name, const char *type,
                     const struct secret_key *secret, unsigned status)
{
    struct rg_rows rows;
    json_t *shown = NULL;
    rg_db_query(call->db, &rows, KEY "WHERE artifact_uuid = ?1 AND name = ?2 AND status = 'active'",
                RG_WITH(rg_text(artifact), rg_text(name)));
    if (rg_rows_next(&rows)) {
        tell_gateways(call, artifact, event_text(&rows, type, call->now_ms, call->correlation));
        shown = key(call, &rows);
        if (secret->made)
            json_object_set_new(shown, "apiKey", json_string(secret->text));
    }
    rg_rows_end(&rows);
    if (status == 201)
        rg_answer_located(call, shown, "/%s/%s/api-keys/%s", rg_type_info(call->type)->collection, call->args[0], name);
    else
        rg_answer_json(call, status, shown);
}

void rg_post_key(struct rg_call *call)
{
    const struct rg_key_input *in = call->input;
    struct rg_found_artifact artifact;
    struct secret_key secret;
    char uuid[RG_UUID_LEN + 1];
    const char *name = rg_call_handle(call, in->name, in->name, 1, RG_CALL_HANDLE_MAX, true);
    if (!name || !rg_find_artifact(call, call->args[0], false, &artifact) || !take_key(call, in, &secret))
        return;
    rg_uuid_make(uuid, call->now_ms);
    if (rg_db_exec(call->db,
                   "INSERT INTO api_keys (uuid, artifact_uuid, name, display_name, masked_api_key, sha256,"
                   " external_ref_id, issuer, expires_at, expires_at_ms, created_by, created_at, updated_at)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12)",
                   RG_WITH(rg_text(uuid), rg_text(artifact.uuid), rg_text(name), rg_view(in->display_name),
                           rg_text(secret.masked), rg_text(secret.sha256), or_null(in->external_ref),
                           or_null(in->issuer), or_null(in->expires_at),
                           in->expires_at.len ? rg_int(secret.expires_ms) : rg_text(NULL), rg_text(call->actor.name),
                           rg_text(call->now))) < 0) {
        rg_refuse_conflict(call, "API_KEY_EXISTS", "a key", name);
    } else {
        rg_audit(call, "CREATE", "api_key", uuid);
        announce(call, artifact.uuid, name, "apikey.created", &secret, 201);
    }
    explicit_bzero(&secret, sizeof(secret));
}

static bool refuse_missing(struct rg_call *call)
{
    rg_refuse(call, 404, "API_KEY_NOT_FOUND", "The %s \"%s\" has no key \"%s\".", rg_type_noun(call->type),
              call->args[0], call->args[1]);
    return false;
}

/* A new key under the old name: the one before ends to hold at once. */
void rg_put_key(struct rg_call *call)
{
    const struct rg_key_input *in = call->input;
    struct rg_found_artifact artifact;
    struct secret_key secret;
    if (!rg_find_artifact(call, call->args[0], false, &artifact) || !take_key(call, in, &secret))
        return;
    if (rg_db_exec(call->db,
                   "UPDATE api_keys SET display_name = ?3, masked_api_key = ?4, sha256 = ?5, external_ref_id = ?6,"
                   " issuer = ?7, expires_at = ?8, expires_at_ms = ?9, updated_at = ?10 WHERE artifact_uuid = ?1 AND"
                   " name = ?2 AND status = 'active'",
                   RG_WITH(rg_text(artifact.uuid), rg_text(call->args[1]), rg_view(in->display_name),
                           rg_text(secret.masked), rg_text(secret.sha256), or_null(in->external_ref),
                           or_null(in->issuer), or_null(in->expires_at),
                           in->expires_at.len ? rg_int(secret.expires_ms) : rg_text(NULL), rg_text(call->now))) < 1) {
        refuse_missing(call);
    } else {
        rg_audit(call, "UPDATE", "api_key", call->args[1]);
        announce(call, artifact.uuid, call->args[1], "apikey.updated", &secret, 200);
    }
    explicit_bzero(&secret, sizeof(secret));
}

void rg_delete_key(struct rg_call *call)
{
    struct rg_found_artifact artifact;
    if (!rg_find_artifact(call, call->args[0], false, &artifact))
        return;
    if (rg_db_exec(call->db,
                   "UPDATE api_keys SET status = 'revoked', updated_at = ?3 WHERE artifact_uuid = ?1 AND name = ?2 AND"
                   " status = 'active'",
                   RG_WITH(rg_text(artifact.uuid), rg_text(call->args[1]), rg_text(call->now))) < 1) {
        refuse_missing(call);
        return;
    }
    json_t *payload = json_pack("{s:s, s:s}", "apiId", artifact.uuid, "keyName", call->args[1]);
    tell_gateways(call, artifact.uuid,
                  payload ? rg_wire_event("apikey.revoked", payload, call->now_ms, call->correlation, call->actor.name)
                          : NULL);
    rg_audit(call, "REVOKE", "api_key", call->args[1]);
    rg_answer_nothing(call);
}

/* ---- For gateways ---- */

static json_t *fetched_key(struct rg_call *call, const struct rg_rows *rows)
{
    char etag[RG_UUID_LEN + 1];
    int64_t updated_ns = 0;
    rg_instant_parse(rg_rows_view(rows, 10), &updated_ns);
    rg_uuid_derive(etag, updated_ns / 1000000, rg_rows_view(rows, 11));
    json_t *shown = key(call, rows);
    json_object_del(shown, "displayName");
    json_t *more =
        json_pack("{s:s, s:{s:s}, s:s, s:s, s:o, s:o}", "etag", etag, "apiKeyHashes", "sha256", rg_rows_text(rows, 3),
                  "artifactUuid", rg_rows_text(rows, 12), "source", "external", "expiresAt",
                  rg_json_of_text(rg_rows_text(rows, 7)), "externalRefId", rg_json_of_text(rg_rows_text(rows, 5)));
    json_object_update(shown, more);
    json_decref(more);
    return shown;
}

void rg_fetch_keys(struct rg_call *call)
{
    const char *issuer = rg_call_query(call, "issuer");
    struct rg_rows rows;
    rg_db_query(call->db, &rows,
                KEY "WHERE status = 'active' AND (expires_at_ms IS NULL OR expires_at_ms > ?3)"
                    " AND (?4 IS NULL OR issuer = ?4) AND artifact_uuid IN (SELECT s.artifact_uuid FROM"
                    " deployment_status s JOIN artifacts a ON a.uuid = s.artifact_uuid WHERE s.gateway_uuid = ?1 AND"
                    " a.kind = ?2 AND s.status_desired = 'DEPLOYED') ORDER BY rowid",
                RG_WITH(rg_text(call->gateway), rg_text(rg_type_info(call->type)->name), rg_int(call->now_ms),
                        rg_text(issuer)));
    rg_answer_json(call, 200, rg_rows_array(call, &rows, fetched_key));
}
