/* Tokens of operators and programs. Shown once, kept as their hash. Thread: the store's. */
#include <stdio.h>

#include "control/platform/handlers.h"
#include "control/platform/lookups.h"
#include "control/platform/schemas.h"

static json_t *token(struct rg_call *call, const struct rg_rows *rows)
{
    char expires[RG_INSTANT_TEXT_MAX];
    (void)call;
    rg_store_time(expires, rg_rows_int(rows, 5));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*}", "id", rg_rows_text(rows, 0), "name", rg_rows_text(rows, 1),
                     "role", rg_rows_text(rows, 2), "createdBy", rg_rows_text(rows, 3), "createdAt",
                     rg_rows_text(rows, 4), "expiresAt", rg_rows_is_null(rows, 5) ? NULL : expires);
}

void rg_post_token(struct rg_call *call)
{
    const struct rg_token_input *in = call->input;
    char uuid[RG_UUID_LEN + 1], text[RG_TOKEN_LEN + 1], hash[RG_SHA256_LEN + 1], organization[RG_UUID_LEN + 1];
    int64_t expires_ns = 0;
    if (in->name.len > RG_CALL_HANDLE_MAX) {
        rg_refuse_field(call, "name", "got %zu bytes, wanted at most %d", in->name.len, RG_CALL_HANDLE_MAX);
        return;
    }
    if (in->expires_at.len && !rg_instant_parse(in->expires_at, &expires_ns)) {
        rg_refuse_field(call, "expiresAt",
                        "got \"%.40s\", wanted a time of RFC 3339 from 1970 to 2199, like 2027-01-01T00:00:00Z",
                        rg_call_text(call, in->expires_at));
        return;
    }
    snprintf(organization, sizeof(organization), "%s", call->organization);
    if (in->organization.len && !rg_find_organization(call, rg_call_text(call, in->organization), organization))
        return;
    rg_uuid_make(uuid, call->now_ms);
    rg_token_make(text);
    rg_sha256_hex(hash, rg_str_of(text));
    const char *role = rg_role_words[in->role], *name = rg_call_text(call, in->name);
    struct rg_value expires = in->expires_at.len ? rg_int(expires_ns / 1000000) : rg_text(NULL);
    if (rg_db_exec(call->db,
                   "INSERT INTO access_tokens (uuid, organization_uuid, name, role, token_hash, expires_at_ms,"
                   " created_by, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                   RG_WITH(rg_text(uuid), rg_text(organization), rg_text(name), rg_text(role), rg_text(hash), expires,
                           rg_text(call->actor.name), rg_text(call->now))) < 0) {
        rg_refuse_conflict(call, "TOKEN_EXISTS", "a token", name);
    } else {
        rg_audit(call, "CREATE", "token", uuid);
        rg_answer_located(call,
                          json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", uuid, "name", name, "role", role, "token", text,
                                    "createdAt", call->now),
                          "/tokens/%s", uuid);
    }
    explicit_bzero(text, sizeof(text));
}

void rg_list_tokens(struct rg_call *call)
{
    const struct rg_value values[] = {rg_text(call->organization)};
    rg_answer_list(call, "SELECT count(*) FROM access_tokens WHERE organization_uuid = ?1 AND revoked_at IS NULL",
                   "SELECT uuid, name, role, created_by, created_at, expires_at_ms FROM access_tokens"
                   " WHERE organization_uuid = ?1 AND revoked_at IS NULL ORDER BY name LIMIT ?2 OFFSET ?3",
                   values, 1, token);
}

void rg_delete_token(struct rg_call *call)
{
    int changed = rg_db_exec(call->db,
                             "UPDATE access_tokens SET revoked_at = ?3 WHERE uuid = ?1 AND organization_uuid = ?2 AND"
                             " revoked_at IS NULL AND created_by <> 'admin.token'",
                             RG_WITH(rg_text(call->args[0]), rg_text(call->organization), rg_text(call->now)));
    if (changed < 1) {
        rg_refuse(call, 404, "TOKEN_NOT_FOUND",
                  "There is no token \"%s\". (The administrator's is replaced in its file, admin.token.)",
                  call->args[0]);
        return;
    }
    rg_effects_add(call->effects, RG_EFFECT_CLOSE_TOKEN, call->args[0], "The token was revoked.");
    rg_audit(call, "REVOKE", "token", call->args[0]);
    rg_answer_nothing(call);
}
