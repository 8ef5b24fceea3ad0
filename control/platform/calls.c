/* Requests of the API: from the HTTP server to the store's thread and back. See platform.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "control/platform/platform.h"
#include "datapath/base/log.h"

struct call {
    struct rg_store_job job;
    struct rg_platform *platform;
    struct rg_http_call *http;
    struct rg_api_request request; /* views of the call's */
    struct rg_api_answer answer;
    struct rg_effects effects;
};

/* ---- Answers ---- */

static void add_header(struct rg_http_header *headers, size_t *n, const char *name, const char *value)
{
    if (value && value[0])
        headers[(*n)++] = (struct rg_http_header){name, value};
}

void rg_platform_reply(struct rg_http_call *call, const struct rg_api_answer *answer)
{
    struct rg_http_header headers[6];
    char retry[16] = "", disposition[RG_API_FILE_NAME + 32] = "";
    size_t n = 0;
    if (answer->retry_after > 0)
        snprintf(retry, sizeof(retry), "%u", answer->retry_after);
    if (answer->file_name[0])
        snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s\"", answer->file_name);
    add_header(headers, &n, "Cache-Control", "no-store");
    add_header(headers, &n, "Location", answer->location);
    add_header(headers, &n, "Content-Disposition", disposition);
    add_header(headers, &n, "Allow", answer->allow);
    add_header(headers, &n, "WWW-Authenticate", answer->authenticate);
    add_header(headers, &n, "Retry-After", retry);
    rg_http_reply(call, &(struct rg_http_reply){.status = (uint16_t)answer->status,
                                                .content_type = answer->content_type,
                                                .body = {answer->body, answer->body_len},
                                                .headers = headers,
                                                .n_headers = n});
}

void rg_platform_refuse(struct rg_http_call *call, unsigned status, const char *code, const char *format, ...)
{
    struct rg_api_answer answer = {0};
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    rg_api_answer_refuse(&answer, rg_http_call_request(call)->path, status, code, message);
    if (status == 503 || status == 429)
        answer.retry_after = 1;
    rg_platform_reply(call, &answer);
    rg_api_answer_fini(&answer);
}

void rg_platform_refuse_memory(struct rg_http_call *call)
{
    rg_platform_refuse(call, 503, "SERVICE_UNAVAILABLE",
                       "The platform is out of memory, and has changed nothing; try again.");
}

void rg_platform_refuse_busy(struct rg_http_call *call)
{
    rg_platform_refuse(
        call, 503, "SERVICE_UNAVAILABLE",
        "%d calls wait for the database, which are the most; nothing was changed, try again in a moment.",
        RG_STORE_WAITING_MAX);
}

/* ---- Jobs ---- */

static int run(struct rg_store *store, struct rg_store_job *job)
{
    struct call *c = RG_CONTAINER(job, struct call, job);
    rg_api_answer_fini(&c->answer);
    rg_effects_fini(&c->effects);
    c->answer = (struct rg_api_answer){0};
    rg_effects_init(&c->effects);
    rg_api_handle(store, &c->request, &c->answer, &c->effects);
    return c->effects.lost ? -ENOMEM : 0;
}

static void done(struct rg_store_job *job)
{
    struct call *c = RG_CONTAINER(job, struct call, job);
    if (job->result == -ENOSPC) { /* the store's thread has logged it */
        rg_platform_refuse(c->http, 507, RG_STORAGE_FULL, RG_STORAGE_FULL_TEXT);
    } else if (job->result < 0) {
        rg_error("an API call could not be kept method=%.*s path=%.*s error=\"%s\"", (int)c->request.method.len,
                 c->request.method.ptr, (int)c->request.path.len, c->request.path.ptr, strerror(-job->result));
        rg_platform_refuse(
            c->http, 503, "SERVICE_UNAVAILABLE",
            "The database could not keep the change, and nothing was changed; the platform's log has the reason.");
    } else {
        rg_platform_apply(c->platform, &c->effects);
        if (c->answer.stream)
            rg_platform_stream(c->platform, c->http, &c->answer);
        else
            rg_platform_reply(c->http, &c->answer);
    }
    rg_api_answer_fini(&c->answer);
    rg_effects_fini(&c->effects);
    free(c);
}

static struct rg_str bearer_of(const struct rg_http_request *req)
{
    static const struct rg_str scheme = {"bearer ", 7};
    struct rg_str value = rg_http_named_field(req, "authorization");
    if (value.len <= scheme.len || !rg_str_eq_nocase((struct rg_str){value.ptr, scheme.len}, scheme))
        return RG_STR_NONE;
    return (struct rg_str){value.ptr + scheme.len, value.len - scheme.len};
}

static struct rg_api_request api_request(const struct rg_http_request *req)
{
    return (struct rg_api_request){.method = req->head->method,
                                   .path = req->path,
                                   .query = rg_http_query(req),
                                   .body = req->body,
                                   .content_type = rg_http_named_field(req, "content-type"),
                                   .accept = rg_http_named_field(req, "accept"),
                                   .bearer = bearer_of(req),
                                   .api_key = rg_http_named_field(req, "api-key"),
                                   .peer = req->client,
                                   .request_id = rg_http_named_field(req, "x-request-id")};
}

void rg_platform_handle(struct rg_http_server *s, struct rg_http_call *call, const struct rg_http_request *req)
{
    struct rg_platform *p = s->owner;
    if (rg_str_eq(req->path, RG_STR(RG_PLATFORM_CONNECT_PATH))) {
        rg_platform_connect(p, call, req);
        return;
    }
    struct call *c = calloc(1, sizeof(*c));
    if (!c) {
        rg_platform_refuse_memory(call);
        return;
    }
    c->platform = p;
    c->http = call;
    c->request = api_request(req);
    c->job.run = run;
    c->job.done = done;
    rg_effects_init(&c->effects);
    if (rg_store_thread_submit(p->thread, &c->job) < 0) {
        rg_platform_refuse_busy(call);
        free(c);
    }
}
