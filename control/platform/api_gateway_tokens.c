/* The tokens that gateways connect with: at most two are active, so that one can be replaced without a gap. Thread: the
 * store's. */
#include "control/platform/handlers.h"
#include "control/platform/lookups.h"

#define ACTIVE_MAX 2

static json_t *token(struct rg_call *call, const struct rg_rows *rows)
{
    (void)call;
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", rg_rows_text(rows, 0), "status", rg_rows_text(rows, 1),
                     "createdBy", rg_rows_text(rows, 2), "createdAt", rg_rows_text(rows, 3), "revokedAt",
                     rg_json_of_text(rg_rows_text(rows, 4)));
}

void rg_post_gateway_token(struct rg_call *call)
{
    char gateway[RG_UUID_LEN + 1], uuid[RG_UUID_LEN + 1], text[RG_TOKEN_LEN + 1], hash[RG_SHA256_LEN + 1];
    if (!rg_find_gateway(call, call->args[0], gateway))
        return;
    if (rg_db_number(call->db, 0, "SELECT count(*) FROM gateway_tokens WHERE gateway_uuid = ?1 AND status = 'active'",
                     RG_WITH(rg_text(gateway))) >= ACTIVE_MAX) {
        rg_refuse(call, 409, "GATEWAY_TOKEN_LIMIT_REACHED", "The gateway has %d active tokens; revoke one first.",
                  ACTIVE_MAX);
        return;
    }
    rg_uuid_make(uuid, call->now_ms);
    rg_token_make(text);
    rg_sha256_hex(hash, rg_str_of(text));
    rg_db_exec(call->db,
               "INSERT INTO gateway_tokens (uuid, gateway_uuid, token_hash, created_by, created_at)"
               " VALUES (?1, ?2, ?3, ?4, ?5)",
               RG_WITH(rg_text(uuid), rg_text(gateway), rg_text(hash), rg_text(call->actor.name), rg_text(call->now)));
    rg_audit(call, "CREATE", "gateway_token", uuid);
    rg_answer_located(call,
                      json_pack("{s:s, s:s, s:s, s:s}", "id", uuid, "token", text, "createdAt", call->now, "message",
                                "Keep the token now: it is not shown again."),
                      "/gateways/%s/tokens/%s", call->args[0], uuid);
    explicit_bzero(text, sizeof(text));
}

void rg_list_gateway_tokens(struct rg_call *call)
{
    char gateway[RG_UUID_LEN + 1];
    if (!rg_find_gateway(call, call->args[0], gateway))
        return;
    const struct rg_value values[] = {rg_text(gateway)};
    rg_answer_list(call, "SELECT count(*) FROM gateway_tokens WHERE gateway_uuid = ?1",
                   "SELECT uuid, status, created_by, created_at, revoked_at FROM gateway_tokens"
                   " WHERE gateway_uuid = ?1 ORDER BY created_at, rowid LIMIT ?2 OFFSET ?3",
                   values, 1, token);
}

void rg_delete_gateway_token(struct rg_call *call)
{
    char gateway[RG_UUID_LEN + 1];
    if (!rg_find_gateway(call, call->args[0], gateway))
        return;
    if (rg_db_exec(call->db,
                   "UPDATE gateway_tokens SET status = 'revoked', revoked_by = ?3, revoked_at = ?4 WHERE uuid = ?1 AND"
                   " gateway_uuid = ?2 AND status = 'active'",
                   RG_WITH(rg_text(call->args[1]), rg_text(gateway), rg_text(call->actor.name), rg_text(call->now))) <
        1) {
        rg_refuse(call, 404, "GATEWAY_TOKEN_NOT_FOUND", "The gateway has no active token \"%s\".", call->args[1]);
        return;
    }
    rg_effects_add(call->effects, RG_EFFECT_CLOSE_TOKEN, call->args[1], "The token was revoked.");
    rg_audit(call, "REVOKE", "gateway_token", call->args[1]);
    rg_answer_nothing(call);
}
