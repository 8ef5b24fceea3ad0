/* See api.h: which route, who asks, what is asked, and then the call in its transaction. */
#include "control/platform/api.h"

#include <errno.h>
#include <stdio.h>

#include "control/common/json.h"
#include "control/common/params.h"
#include "control/common/utf8.h"
#include "control/platform/routes.h"
#include "datapath/base/log.h"

#define SMALL_BODY_MAX ((size_t)128 * 1024) /* a secret of 64 KiB with escapes */

/* ---- Which route ---- */

static struct rg_str next_segment(struct rg_str *rest)
{
    if (rest->len == 0)
        return RG_STR_NONE;
    rest->ptr++; /* the slash */
    rest->len--;
    const char *end = rest->len ? memchr(rest->ptr, '/', rest->len) : NULL;
    struct rg_str segment = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    rest->ptr += segment.len;
    rest->len -= segment.len;
    return segment;
}

/* args are still encoded. */
static bool matches(const char *pattern, struct rg_str path, struct rg_str args[RG_CALL_ARGS])
{
    struct rg_str wanted = rg_str_of(pattern);
    size_t n = 0;
    if (path.len > 0 && path.ptr[0] != '/')
        return false;
    while (wanted.len > 0 && path.len > 0) {
        struct rg_str want = next_segment(&wanted), got = next_segment(&path);
        if (want.ptr[0] == '{' ? got.len == 0 : !rg_str_eq(want, got))
            return false;
        if (want.ptr[0] == '{')
            args[n++] = got;
    }
    return wanted.len == 0 && path.len == 0;
}

/* The methods of a path, as Allow has them: one of a few sets, so that the text is constant. */
static const char *allow_of(unsigned methods)
{
    static const char *const sets[16] = {"",
                                         "GET",
                                         "POST",
                                         "GET, POST",
                                         "PUT",
                                         "GET, PUT",
                                         "POST, PUT",
                                         "GET, POST, PUT",
                                         "DELETE",
                                         "GET, DELETE",
                                         "POST, DELETE",
                                         "GET, POST, DELETE",
                                         "PUT, DELETE",
                                         "GET, PUT, DELETE",
                                         "POST, PUT, DELETE",
                                         "GET, POST, PUT, DELETE"};
    return sets[methods & 15];
}

static unsigned method_bit(const char *method)
{
    static const char *const names[] = {"GET", "POST", "PUT", "DELETE"};
    for (unsigned i = 0; i < 4; i++)
        if (strcmp(method, names[i]) == 0)
            return 1u << i;
    return 0;
}

/* NULL: the path is not in this table, or has other methods, which `methods` gets. */
static const struct rg_route *find_in(const struct rg_route_table *table, const struct rg_api_request *r,
                                      struct rg_str raw_args[RG_CALL_ARGS], unsigned *methods)
{
    size_t base = strlen(table->base);
    if (r->path.len < base || memcmp(r->path.ptr, table->base, base) != 0)
        return NULL;
    struct rg_str rest = {r->path.ptr + base, r->path.len - base};
    const char *pattern = NULL; /* the first that matches; its other methods have the same */
    for (size_t i = 0; i < table->count; i++) {
        const struct rg_route *route = &table->routes[i];
        if (!matches(route->pattern, rest, raw_args) || (pattern && strcmp(pattern, route->pattern) != 0))
            continue;
        pattern = route->pattern;
        *methods |= method_bit(route->method);
        if (rg_str_eq(r->method, rg_str_of(route->method)))
            return route;
    }
    return NULL;
}

static const struct rg_route *find_route(struct rg_call *call, struct rg_str raw_args[RG_CALL_ARGS])
{
    const struct rg_api_request *r = call->request;
    unsigned methods = 0;
    const struct rg_route *route = find_in(&rg_public_routes, r, raw_args, &methods);
    if (!route)
        route = find_in(&rg_internal_routes, r, raw_args, &methods);
    if (route)
        return route;
    if (methods) {
        rg_refuse(call, 405, "METHOD_NOT_ALLOWED", "This resource has no method %.*s; it has %s.",
                  (int)(r->method.len < 32 ? r->method.len : 32), r->method.ptr, allow_of(methods));
        call->answer->allow = allow_of(methods);
    } else {
        rg_refuse(call, 404, "NOT_FOUND", "There is nothing at %.*s.", (int)(r->path.len < 200 ? r->path.len : 200),
                  r->path.ptr);
    }
    return NULL;
}

static bool decode_args(struct rg_call *call, const struct rg_str raw_args[RG_CALL_ARGS])
{
    for (size_t i = 0; i < RG_CALL_ARGS; i++) {
        call->args[i] = rg_call_decode(call, raw_args[i], false);
        if (!call->args[i]) {
            rg_refuse(call, 400, "BAD_REQUEST", "The path has a percent escape that is malformed or no UTF-8.");
            return false;
        }
    }
    return true;
}

/* All of it at once: a filter that can't be read must not be taken for one that was left out. */
static bool query_is_readable(struct rg_call *call)
{
    if (rg_call_decode(call, call->request->query, true))
        return true;
    rg_refuse(call, 400, "BAD_REQUEST", "The query has a percent escape that is malformed, NUL or no UTF-8.");
    return false;
}

/* ---- Who asks ---- */

static bool role_suffices(const char *role, enum rg_scope scope)
{
    if (strcmp(role, "admin") == 0)
        return true;
    if (strcmp(role, "operator") == 0)
        return scope <= RG_SCOPE_WRITE;
    return scope <= RG_SCOPE_READ;
}

/* The least role whose tokens may. */
static const char *role_wanted(enum rg_scope scope)
{
    static const char *const roles[] = {"reader", "operator"};
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (role_suffices(roles[i], scope))
            return roles[i];
    return "admin";
}

static void take_actor(struct rg_call *call, const struct rg_rows *rows)
{
    snprintf(call->organization, sizeof(call->organization), "%s", rg_rows_text(rows, 0));
    snprintf(call->name, sizeof(call->name), "%s", rg_rows_text(rows, 1));
    snprintf(call->answer->organization, sizeof(call->answer->organization), "%s", call->organization);
}

/* Tokens are found by their hash in an index: the time it takes says nothing of them. */
static bool authenticate_user(struct rg_call *call)
{
    char hash[RG_SHA256_LEN + 1];
    struct rg_rows rows;
    bool known = false, allowed = false;
    char role[32] = "";
    if (rg_token_is_valid(call->request->bearer)) {
        rg_sha256_hex(hash, call->request->bearer);
        rg_db_query(
            call->db, &rows,
            "SELECT organization_uuid, name, role, uuid, expires_at_ms FROM access_tokens WHERE token_hash = ?1 AND"
            " revoked_at IS NULL"
            " AND (expires_at_ms IS NULL OR expires_at_ms > ?2)",
            RG_WITH(rg_text(hash), rg_int(call->now_ms)));
        if (rg_rows_next(&rows)) {
            known = true;
            snprintf(role, sizeof(role), "%s", rg_rows_text(&rows, 2));
            allowed = role_suffices(role, call->route->scope);
            take_actor(call, &rows);
            snprintf(call->answer->token, sizeof(call->answer->token), "%s", rg_rows_text(&rows, 3));
            call->answer->expires_ms = rg_rows_is_null(&rows, 4) ? 0 : rg_rows_int(&rows, 4);
        }
        rg_rows_end(&rows);
    }
    if (!known)
        rg_refuse(call, 401, "UNAUTHORIZED",
                  call->request->bearer.len ? "The token is unknown, revoked or expired."
                                            : "A token is required: Authorization: Bearer TOKEN.");
    else if (!allowed)
        rg_refuse(call, 403, "FORBIDDEN", "The token \"%s\" has the role %s; this takes one with the role %s.",
                  call->name, role, role_wanted(call->route->scope));
    return allowed;
}

static bool authenticate_gateway(struct rg_call *call)
{
    char hash[RG_SHA256_LEN + 1];
    struct rg_rows rows;
    bool known = false;
    if (call->request->api_key.len == 0) {
        rg_refuse(call, 401, "UNAUTHORIZED", "API key is required. Provide 'api-key' header.");
        return false;
    }
    if (rg_token_is_valid(call->request->api_key)) {
        rg_sha256_hex(hash, call->request->api_key);
        rg_db_query(call->db, &rows,
                    "SELECT g.organization_uuid, g.handle, g.uuid FROM gateway_tokens t JOIN gateways g ON"
                    " g.uuid = t.gateway_uuid WHERE t.token_hash = ?1 AND t.status = 'active'",
                    RG_WITH(rg_text(hash)));
        known = rg_rows_next(&rows);
        if (known) {
            take_actor(call, &rows);
            snprintf(call->gateway, sizeof(call->gateway), "%s", rg_rows_text(&rows, 2));
            call->answer->organization[0] = '\0';
        }
        rg_rows_end(&rows);
    }
    if (!known)
        rg_refuse(call, 401, "UNAUTHORIZED", "Invalid or expired API key");
    return known;
}

static bool authenticate(struct rg_call *call)
{
    if (call->route->scope == RG_SCOPE_NONE)
        return true;
    return call->route->scope == RG_SCOPE_GATEWAY ? authenticate_gateway(call) : authenticate_user(call);
}

/* ---- What is asked ---- */

static bool is_json(struct rg_str content_type)
{
    static const struct rg_str json = {"application/json", 16};
    if (content_type.len == 0)
        return true;
    if (content_type.len < json.len || !rg_str_eq_nocase((struct rg_str){content_type.ptr, json.len}, json))
        return false;
    return content_type.len == json.len || strchr("; \t", content_type.ptr[json.len]) != NULL;
}

/* Definitions and manifests are large; all else is some lines, and is shown in lists. */
static bool is_small_enough(struct rg_call *call)
{
    const struct rg_route *route = call->route;
    bool large = route->scope == RG_SCOPE_GATEWAY || route->definition;
    size_t max = large ? RG_API_BODY_MAX : SMALL_BODY_MAX;
    if (call->request->body.len > max)
        rg_refuse(call, 413, "CONTENT_TOO_LARGE", "The body has %zu bytes; here %zu are the most.",
                  call->request->body.len, max);
    return call->request->body.len <= max;
}

static bool decode_body(struct rg_call *call)
{
    const struct rg_route *route = call->route;
    char why[256];
    if (!route->body)
        return true;
    if (!is_json(call->request->content_type)) {
        rg_refuse(call, 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type: got \"%.*s\", wanted application/json.",
                  (int)(call->request->content_type.len < 100 ? call->request->content_type.len : 100),
                  call->request->content_type.ptr);
        return false;
    }
    struct rg_str text = call->request->body.len ? call->request->body : RG_STR("{}");
    call->body = rg_json_parse(text, why, sizeof(why));
    if (!call->body) {
        rg_refuse(call, 400, "BAD_REQUEST", "The body is not valid JSON: %s.", why);
        return false;
    }
    void *input = rg_arena_alloc(&call->arena, route->body_size);
    struct rg_params_source source = {.value = call->body, .tolerant = route->scope == RG_SCOPE_GATEWAY};
    int rc = input ? rg_params_decode(route->body, &source, &call->arena, input, &call->problems) : -ENOMEM;
    if (rc == -EINVAL)
        rg_refuse_problems(call, "VALIDATION_FAILED", &call->problems);
    else if (rc)
        rg_store_fail(call->store, rc);
    call->input = input;
    /* what is checked further is looked through to its end, so that all that is wrong is told at once */
    return rc == 0 || (rc == -EINVAL && route->definition && json_is_object(call->body));
}

/* ---- A call ---- */

static void handle(struct rg_call *call)
{
    struct rg_str raw_args[RG_CALL_ARGS] = {{"", 0}, {"", 0}, {"", 0}};
    call->route = find_route(call, raw_args);
    if (!call->route || !decode_args(call, raw_args) || !query_is_readable(call) || !authenticate(call) ||
        !is_small_enough(call) || !decode_body(call))
        return;
    call->type = call->route->type;
    call->route->handle(call);
}

static void answer_trouble(struct rg_call *call, int error)
{
    if (error == -ENOSPC)
        rg_refuse(call, 507, RG_STORAGE_FULL, RG_STORAGE_FULL_TEXT);
    else
        rg_refuse(call, 500, "INTERNAL_ERROR",
                  "The platform could not do this; nothing was changed. Its log has the reason, with correlation=%s.",
                  call->correlation);
    if (rg_store_may_complain(call->store))
        rg_error("an API call failed error=\"%s\" database=\"%s\" method=%.*s path=%.*s correlation=%s",
                 strerror(-error), rg_db_message(call->db), (int)call->request->method.len, call->request->method.ptr,
                 (int)call->request->path.len, call->request->path.ptr, call->correlation);
}

static void set_correlation(struct rg_call *call)
{
    struct rg_str id = call->request->request_id;
    if (id.len > 0 && id.len < sizeof(call->correlation) && rg_utf8_is_valid(id))
        snprintf(call->correlation, sizeof(call->correlation), "%.*s", (int)id.len, id.ptr);
    else
        rg_uuid_make(call->correlation, call->now_ms);
}

void rg_api_handle(struct rg_store *store, const struct rg_api_request *request, struct rg_api_answer *answer,
                   struct rg_effects *effects)
{
    struct rg_effects mine;
    struct rg_call call = {.store = store,
                           .db = &store->db,
                           .request = request,
                           .answer = answer,
                           .effects = &mine,
                           .now_ms = rg_store_now(store)};
    rg_effects_init(&mine);
    rg_problems_init(&call.problems);
    rg_store_time(call.now, call.now_ms);
    set_correlation(&call);
    call.actor = (struct rg_actor){.name = call.name, .correlation = call.correlation};
    int rc = rg_db_begin(call.db);
    if (!rc) {
        handle(&call);
        rc = call.db->error;
        if (!rc && mine.lost)
            rc = -ENOMEM;
        if (rc || answer->status == 0 || answer->status >= 400)
            rg_db_rollback(call.db);
        else
            rc = rg_db_commit(call.db);
    }
    if (!rc && answer->status == 0)
        rc = -EPROTO; /* a handler that did not answer */
    if (rc)
        answer_trouble(&call, rc);
    if (answer->status < 400)
        rg_effects_move(effects, &mine);
    rg_effects_fini(&mine);
    json_decref(call.body);
    rg_problems_fini(&call.problems);
    rg_arena_fini(&call.arena);
}
