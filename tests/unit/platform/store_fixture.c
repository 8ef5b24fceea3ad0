#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/scratch.h"

static int64_t clock_of(void *arg)
{
    const struct fixture *f = arg;
    return f->now_ms + f->set_ms;
}

static uint64_t elapsed_of(void *arg)
{
    return (uint64_t)((struct fixture *)arg)->now_ms;
}

/* ---- The store ---- */

void fixture_open(struct fixture *f)
{
    char error[512];
    f->config.dir = f->dir[0] ? f->dir : NULL;
    f->config.now_ms = clock_of;
    f->config.elapsed_ms = elapsed_of;
    f->config.now_arg = f;
    if (rg_store_open(&f->store, &f->config, error, sizeof(error)) < 0)
        fail_msg("%s", error);
    f->token = rg_store_admin_token(f->store);
}

void fixture_close(struct fixture *f)
{
    rg_store_close(f->store);
    f->store = NULL;
}

static struct fixture *create(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->now_ms = 1787476504127; /* 2026-08-23T09:15:04.127Z */
    rg_effects_init(&f->effects);
    return f;
}

int fixture_setup(void **state)
{
    struct fixture *f = create();
    fixture_open(f);
    *state = f;
    return 0;
}

int fixture_setup_on_disk(void **state)
{
    struct fixture *f = create();
    scratch_create(f->dir, sizeof(f->dir));
    fixture_open(f);
    *state = f;
    return 0;
}

static void forget_answer(struct fixture *f)
{
    json_decref(f->body);
    free(f->bytes);
    f->body = NULL;
    f->bytes = NULL;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    forget_answer(f);
    rg_effects_fini(&f->effects);
    rg_store_close(f->store);
    int rc = f->dir[0] ? scratch_remove(f->dir) : 0;
    free(f);
    return rc;
}

void fixture_forget(struct fixture *f)
{
    rg_effects_fini(&f->effects);
}

/* ---- Calls ---- */

static struct rg_str view(const char *text)
{
    return text ? rg_str_of(text) : RG_STR("");
}

unsigned call(struct fixture *f, const char *method, const char *path, const char *body)
{
    const char *query = strchr(path, '?');
    struct rg_api_answer answer = {0};
    struct rg_api_request request = {
        .method = view(method),
        .path = {path, query ? (size_t)(query - path) : strlen(path)},
        .query = view(query ? query + 1 : NULL),
        .body = view(body),
        .content_type = body ? RG_STR("application/json; charset=utf-8") : RG_STR(""),
        .accept = view(f->accept),
        .bearer = view(f->token),
        .api_key = view(f->api_key),
        .peer = RG_STR("192.0.2.7"),
        .request_id = RG_STR("0199c1d2-7a10-7c55-8f21-0d9d8f3c2b11"),
    };
    forget_answer(f);
    rg_api_handle(f->store, &request, &answer, &f->effects);
    f->status = answer.status;
    f->allow = answer.allow;
    snprintf(f->location, sizeof(f->location), "%s", answer.location);
    f->n_bytes = answer.body_len;
    f->bytes = malloc(answer.body_len + 1);
    assert_non_null(f->bytes);
    if (answer.body_len)
        memcpy(f->bytes, answer.body, answer.body_len);
    f->bytes[answer.body_len] = '\0';
    if (answer.content_type && strcmp(answer.content_type, "application/json") == 0) {
        f->body = json_loads(f->bytes, JSON_DECODE_ANY, NULL);
        assert_non_null(f->body);
    }
    assert_true(answer.status < 500 || answer.body_len > 0);
    rg_api_answer_fini(&answer);
    return f->status;
}

unsigned callf(struct fixture *f, const char *method, const char *body, const char *format, ...)
{
    char path[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    return call(f, method, path, body);
}

const char *text_of(const json_t *object, const char *path)
{
    char part[64];
    const json_t *at = object;
    for (const char *p = path; *p;) {
        size_t len = strcspn(p, ".");
        snprintf(part, sizeof(part), "%.*s", (int)len, p);
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(part)) : json_object_get(at, part);
        p += len + (p[len] == '.');
    }
    if (!json_is_string(at)) {
        char *text = object ? json_dumps(object, JSON_ENCODE_ANY) : NULL;
        print_error("no text at %s of %s\n", path, text ? text : "nothing");
        free(text);
        fail();
    }
    return json_string_value(at);
}

const char *got(struct fixture *f, const char *path)
{
    return text_of(f->body, path);
}

const char *body_bytes(struct fixture *f)
{
    return f->bytes ? f->bytes : "";
}

/* ---- Effects ---- */

size_t count_effects(struct fixture *f, enum rg_effect_kind kind)
{
    size_t n = 0;
    for (const struct rg_effect *e = f->effects.first; e; e = e->next)
        n += e->kind == kind;
    return n;
}

json_t *effect_json(struct fixture *f, enum rg_effect_kind kind, size_t n)
{
    for (const struct rg_effect *e = f->effects.first; e; e = e->next) {
        if (e->kind == kind && n-- == 0) {
            json_t *value = json_loads(e->text, 0, NULL);
            assert_non_null(value);
            return value;
        }
    }
    fail_msg("there is no such effect");
    return NULL;
}

/* ---- Gateways ---- */

char *make_gateway(struct fixture *f, const char *id)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"displayName\":\"%s\"}", id, id);
    assert_int_equal(call(f, "POST", "/api/v0.9/gateways", body), 201);
    assert_int_equal(callf(f, "POST", NULL, "/api/v0.9/gateways/%s/tokens", id), 201);
    return strdup(got(f, "token"));
}

void connect_as(struct fixture *f, const char *token, const char *instance, struct rg_session *ret)
{
    struct rg_api_answer answer = {0};
    assert_int_equal(
        rg_session_begin(f->store, view(token), view(instance), RG_STR("192.0.2.9"), ret, &answer, &f->effects), 0);
}

void disconnect(struct fixture *f, struct rg_session *session)
{
    assert_int_equal(rg_session_end(f->store, session, &f->effects), 0);
}

void assert_refused(struct fixture *f, unsigned status, const char *code)
{
    assert_int_equal(f->status, status);
    assert_string_equal(got(f, "status"), "error");
    assert_string_equal(got(f, "code"), code);
    assert_true(strlen(got(f, "message")) > 0);
}

int send_frame(struct fixture *f, const struct rg_session *session, const char *text)
{
    return rg_session_receive(f->store, session, view(text), &f->effects);
}

/* ---- APIs ---- */

void make_api(struct fixture *f, const char *id)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"displayName\":\"Hello\",\"context\":\"/%s\",\"version\":\"v1.0\","
             "\"upstream\":{\"main\":{\"url\":\"http://127.0.0.1:9000\"}},"
             "\"operations\":[{\"name\":\"greet\",\"request\":{\"method\":\"GET\",\"path\":\"/greet\"}}]}",
             id, id);
    assert_int_equal(call(f, "POST", "/api/v0.9/rest-apis", body), 201);
}

char *deploy(struct fixture *f, const char *api, const char *gateway)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"gatewayId\":\"%s\"}", gateway);
    assert_int_equal(callf(f, "POST", body, "/api/v0.9/rest-apis/%s/deployments", api), 201);
    return strdup(got(f, "deploymentId"));
}

const char *status_of(struct fixture *f, const char *api, const char *deployment)
{
    assert_int_equal(callf(f, "GET", NULL, "/api/v0.9/rest-apis/%s/deployments/%s", api, deployment), 200);
    return got(f, "status");
}

void last_operation(struct fixture *f, struct operation *ret)
{
    const struct rg_effect *last = NULL;
    for (const struct rg_effect *e = f->effects.first; e; e = e->next)
        if (e->kind == RG_EFFECT_SEND && strstr(e->text, "deployed\""))
            last = e;
    assert_non_null(last);
    *ret = (struct operation){0};
    json_t *event = json_loads(last->text, 0, NULL);
    snprintf(ret->type, sizeof(ret->type), "%s", text_of(event, "type"));
    snprintf(ret->artifact, sizeof(ret->artifact), "%s", text_of(event, "payload.apiId"));
    snprintf(ret->deployment, sizeof(ret->deployment), "%s", text_of(event, "payload.deploymentId"));
    snprintf(ret->performed_at, sizeof(ret->performed_at), "%s", text_of(event, "payload.performedAt"));
    json_decref(event);
}

void ack(struct fixture *f, const struct rg_session *session, const struct operation *op, bool success)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "{\"type\":\"deployment.ack\",\"payload\":{\"deploymentId\":\"%s\",\"artifactId\":\"%s\","
             "\"resourceType\":\"api\",\"action\":\"%s\",\"status\":\"%s\",\"performedAt\":\"%s\"%s}}",
             op->deployment, op->artifact, strstr(op->type, "undeployed") ? "undeploy" : "deploy",
             success ? "success" : "failed", op->performed_at,
             success ? ""
                     : ",\"errorCode\":\"GATEWAY_PROCESSING_ERROR\",\"errorMessage\":\"spec.policies[0].name: got "
                       "\\\"nope\\\", wanted a policy that is known; and more\",\"errors\":["
                       "{\"field\":\"spec.policies[0].name\",\"message\":\"got \\\"nope\\\"\"},"
                       "{\"field\":\"\",\"message\":\"and more\",\"mood\":\"bad\"}]");
    assert_int_equal(send_frame(f, session, text), 0);
}

void set_up(struct fixture *f, struct stage *s)
{
    s->token = make_gateway(f, "edge-1");
    connect_as(f, s->token, "", &s->session);
    make_api(f, "hello");
    fixture_forget(f);
}

void answer(struct fixture *f, const struct stage *s, struct operation *ret, bool success)
{
    last_operation(f, ret);
    ack(f, &s->session, ret, success);
}

void assert_status(struct fixture *f, const char *deployment, const char *wanted)
{
    assert_string_equal(status_of(f, "hello", deployment), wanted);
}
