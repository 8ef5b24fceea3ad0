/*
 * The platform's API and the frames of gateways, as anybody with a token may send them. Records end with a NUL: "GET
 * /path" or "POST /path\nBODY" is a call of the public API, "g..." the same of the gateways' API, "f{...}" a frame. In
 * all of them
 * `@` stands for a deployment's id, `#` for an artifact's, `~` for the performed_at of that deployment.
 *
 * Whatever they are: each call is answered, never by a fault of the platform; bodies are JSON; what is refused has no
 * effects; and what the database holds afterwards fits together.
 */
#include <stdio.h>

#include "control/common/json.h"
#include "control/platform/api.h"
#include "control/platform/sessions.h"
#include "control/platform/store_parts.h"
#include "datapath/base/assert.h"
#include "datapath/base/log.h"

#define RECORDS_MAX 16
#define TEXT_MAX    4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct rg_store *store;
    struct rg_session session;
    char token[RG_TOKEN_LEN + 1];
    char deployment[RG_UUID_LEN + 1], artifact[RG_UUID_LEN + 1], performed_at[RG_INSTANT_TEXT_MAX];
    int64_t now_ms;
} world;

static int64_t clock_of(void *arg)
{
    (void)arg;
    return world.now_ms++;
}

/* ---- Calls ---- */

static json_t *call(struct rg_str method, struct rg_str path, struct rg_str body, bool internal,
                    struct rg_effects *effects)
{
    struct rg_api_answer answer = {0};
    const char *query = memchr(path.ptr, '?', path.len);
    size_t path_len = query ? (size_t)(query - path.ptr) : path.len;
    size_t before = effects->count;
    struct rg_api_request request = {.method = method,
                                     .path = {path.ptr, path_len},
                                     .query = query ? (struct rg_str){query + 1, path.len - path_len - 1} : RG_STR(""),
                                     .body = body,
                                     .accept = RG_STR("application/x-tar+gzip"),
                                     .bearer = rg_str_of(rg_store_admin_token(world.store)),
                                     .api_key = internal ? rg_str_of(world.token) : RG_STR(""),
                                     .peer = RG_STR("192.0.2.1")};
    rg_api_handle(world.store, &request, &answer, effects);
    RG_ASSERT(answer.status >= 200 && answer.status < 500);
    RG_ASSERT(answer.status < 400 || effects->count == before);
    json_t *value = NULL;
    if (answer.content_type && strcmp(answer.content_type, "application/json") == 0) {
        value = json_loadb(answer.body, answer.body_len, JSON_REJECT_DUPLICATES, NULL);
        RG_ASSERT(value);
    }
    RG_ASSERT(answer.status < 400 || value);
    rg_api_answer_fini(&answer);
    return value;
}

static void take(const json_t *value, const char *member, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(value, member));
    RG_ASSERT(text);
    snprintf(out, size, "%s", text);
}

static json_t *post(const char *path, const char *body, struct rg_effects *effects)
{
    return call(RG_STR("POST"), rg_str_of(path), rg_str_of(body), false, effects);
}

/* A gateway that is connected, an API, and a deployment of it that is not acknowledged. */
static void make_world(void)
{
    struct rg_store_config config = {.now_ms = clock_of};
    struct rg_api_answer answer = {0};
    struct rg_effects effects;
    char error[256];
    world.now_ms = 1787476504127;
    rg_log_set_level(RG_LOG_ERROR);
    RG_ASSERT(rg_store_open(&world.store, &config, error, sizeof(error)) == 0);
    rg_effects_init(&effects);
    json_decref(post("/api/v0.9/gateways", "{\"id\":\"edge-1\",\"displayName\":\"Edge\"}", &effects));
    json_t *value = post("/api/v0.9/gateways/edge-1/tokens", "", &effects);
    take(value, "token", world.token, sizeof(world.token));
    json_decref(value);
    value = post("/api/v0.9/rest-apis",
                 "{\"id\":\"hello\",\"displayName\":\"Hello\",\"context\":\"/hello\",\"version\":\"v1.0\",\"upstream\":"
                 "{\"main\":{\"url\":\"http://a\"}},\"operations\":[{\"method\":\"GET\",\"path\":\"/\"}]}",
                 &effects);
    take(value, "uuid", world.artifact, sizeof(world.artifact));
    json_decref(value);
    value = post("/api/v0.9/rest-apis/hello/deployments", "{\"gatewayId\":\"edge-1\"}", &effects);
    take(value, "deploymentId", world.deployment, sizeof(world.deployment));
    take(value, "performedAt", world.performed_at, sizeof(world.performed_at));
    json_decref(value);
    RG_ASSERT(rg_session_begin(world.store, rg_str_of(world.token), RG_STR("node-a"), RG_STR(""), &world.session,
                               &answer, &effects) == 0);
    rg_effects_fini(&effects);
}

/* ---- Records ---- */

static struct rg_str expand(struct rg_str record, char out[TEXT_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < record.len && n + 64 < TEXT_MAX; i++) {
        char c = record.ptr[i];
        const char *text = c == '@'   ? world.deployment
                           : c == '#' ? world.artifact
                           : c == '~' ? world.performed_at
                                      : NULL;
        if (text)
            n += (size_t)snprintf(out + n, TEXT_MAX - n, "%s", text);
        else
            out[n++] = c;
    }
    return (struct rg_str){out, n};
}

static void play_call(struct rg_str text, bool internal, struct rg_effects *effects)
{
    char path[TEXT_MAX + 32];
    const char *blank = memchr(text.ptr, ' ', text.len);
    if (!blank)
        return;
    struct rg_str method = {text.ptr, (size_t)(blank - text.ptr)}, rest = {blank + 1, text.len - method.len - 1};
    const char *line = rest.len ? memchr(rest.ptr, '\n', rest.len) : NULL;
    size_t path_len = line ? (size_t)(line - rest.ptr) : rest.len;
    int n =
        snprintf(path, sizeof(path), "%s%.*s", internal ? "/api/internal/v1" : "/api/v0.9", (int)path_len, rest.ptr);
    struct rg_str body = line ? (struct rg_str){line + 1, rest.len - path_len - 1} : RG_STR("");
    json_decref(call(method, (struct rg_str){path, (size_t)n}, body, internal, effects));
}

static void play(struct rg_str record, struct rg_effects *effects)
{
    char out[TEXT_MAX];
    struct rg_str text = expand(record, out);
    uint64_t next;
    if (text.len == 0)
        return;
    struct rg_str rest = {text.ptr + 1, text.len - 1};
    if (text.ptr[0] == 'f')
        RG_ASSERT(rg_session_receive(world.store, &world.session, rest, effects) == 0);
    else if (text.ptr[0] == 's')
        RG_ASSERT(rg_store_sweep(world.store, effects, &next) == 0);
    else
        play_call(text.ptr[0] == 'g' ? rest : text, text.ptr[0] == 'g', effects);
}

/* ---- What has to hold ---- */

static void check_world(void)
{
    struct rg_db *db = &world.store->db;
    struct rg_rows rows;
    RG_ASSERT(
        rg_db_number(db, -1,
                     "SELECT count(*) FROM deployment_status s JOIN deployments d ON d.uuid = s.deployment_uuid"
                     " WHERE s.status NOT IN ('DEPLOYING', 'DEPLOYED', 'UNDEPLOYING', 'UNDEPLOYED', 'FAILED') OR"
                     " s.status_desired NOT IN ('DEPLOYED', 'UNDEPLOYED') OR d.artifact_uuid <> s.artifact_uuid OR"
                     " d.gateway_uuid <> s.gateway_uuid OR (s.status = 'FAILED') <> (s.status_reason IS NOT NULL)",
                     RG_WITHOUT) == 0);
    RG_ASSERT(rg_db_number(db, -1,
                           "SELECT count(*) FROM deployment_status s LEFT JOIN deployment_clock c ON"
                           " c.artifact_uuid = s.artifact_uuid AND c.gateway_uuid = s.gateway_uuid WHERE"
                           " c.last_ms IS NOT s.performed_at_ms",
                           RG_WITHOUT) == 0);
    rg_db_query(db, &rows, "PRAGMA foreign_key_check", RG_WITHOUT);
    RG_ASSERT(!rg_rows_next(&rows));
    rg_rows_end(&rows);
    RG_ASSERT(db->error == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rg_effects effects;
    struct rg_str input = {(const char *)data, size};
    if (!world.store)
        make_world();
    rg_effects_init(&effects);
    RG_ASSERT(rg_db_begin(&world.store->db) == 0);
    for (unsigned i = 0; i < RECORDS_MAX && input.len > 0; i++) {
        const char *end = memchr(input.ptr, '\0', input.len);
        struct rg_str record = {input.ptr, end ? (size_t)(end - input.ptr) : input.len};
        play(record, &effects);
        size_t step = record.len + (end != NULL);
        input.ptr += step;
        input.len -= step;
    }
    check_world();
    rg_db_rollback(&world.store->db); /* the next input finds the same world */
    rg_effects_fini(&effects);
    return 0;
}
