/*
 * Handlers that look at the request's body: /echo, /sink and /inspect. Thread: the client's.
 */
#include "bench/origin/origin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_ROOM = 1024, CHUNK_ROOM = 32, ECHO_ROOM = 8 * 1024, COLLECT_MAX = 256 * 1024 * 1024, TYPE_MAX = 200 };

/* ---- /echo ---- */

static struct rg_view content_type(const struct rg_client *c)
{
    struct rg_view type;
    if (!rg_request_field(&c->task.req, "content-type", &type) || type.n > TYPE_MAX)
        return RG_VIEW("application/octet-stream");
    return type;
}

/* Sent with the first piece of the body and not before, so that a 100 Continue never follows it. */
static void echo_head(struct rg_client *c)
{
    const struct rg_task *t = &c->task;
    struct rg_view type = content_type(c);
    char head[HEAD_ROOM];
    FILE *out = fmemopen(head, sizeof(head), "w");
    if (!out)
        return;
    rg_send_head_start(c, out, 1, 200);
    fprintf(out, "Content-Type: %.*s\r\n", (int)type.n, type.p);
    if (t->req.framing == RG_FRAMING_CHUNKED)
        fputs("Transfer-Encoding: chunked\r\n", out);
    else
        fprintf(out, "Content-Length: %" PRIu64 "\r\n", t->req.framing == RG_FRAMING_LENGTH ? t->req.length : 0);
    rg_send_head_end(c, out, false);
    long n = ftell(out);
    fclose(out);
    rg_out_add(c, head, (size_t)n);
}

static void echo_piece(struct rg_client *c, struct rg_view piece)
{
    bool chunked = c->task.req.framing == RG_FRAMING_CHUNKED;
    char line[CHUNK_ROOM];
    if (chunked) {
        int n = snprintf(line, sizeof(line), "%zx\r\n", piece.n);
        rg_out_add(c, line, (size_t)n);
    }
    rg_out_add(c, piece.p, piece.n);
    if (chunked)
        rg_out_add(c, "\r\n", 2);
}

static enum rg_step echo_end(struct rg_client *c)
{
    const struct rg_task *t = &c->task;
    if (t->req.framing == RG_FRAMING_CHUNKED) {
        rg_out_add(c, "0\r\n", 3);
        rg_out_add(c, t->trailers, t->trailers_n);
        rg_out_add(c, "\r\n", 2);
    }
    return RG_STEP_DONE;
}

static enum rg_step echo_step(struct rg_client *c)
{
    struct rg_view piece;
    for (;;) {
        size_t room = rg_out_room(c);
        if (room < ECHO_ROOM)
            return RG_STEP_WRITE;
        enum rg_body got = rg_body_pull(c, room - ECHO_ROOM / 2, &piece);
        if ((got == RG_BODY_DATA || got == RG_BODY_END) && !c->task.started)
            echo_head(c);
        switch (got) {
        case RG_BODY_DATA:
            echo_piece(c, piece);
            break;
        case RG_BODY_MORE:
            return RG_STEP_READ;
        case RG_BODY_END:
            if (rg_out_room(c) < sizeof(c->task.trailers) + CHUNK_ROOM)
                return RG_STEP_WRITE;
            return echo_end(c);
        case RG_BODY_BAD:
            return RG_STEP_BAD;
        }
    }
}

static bool collect(struct rg_upload *up, struct rg_view piece)
{
    if (up->data_n + piece.n > COLLECT_MAX)
        return false;
    if (up->data_n + piece.n > up->data_size) {
        size_t size = up->data_size * 2 + piece.n;
        char *data = realloc(up->data, size);
        if (!data)
            return false;
        up->data = data;
        up->data_size = size;
    }
    memcpy(up->data + up->data_n, piece.p, piece.n);
    up->data_n += piece.n;
    return true;
}

/* buffer=1: for clients that send everything before they read anything. */
static enum rg_step echo_collected_step(struct rg_client *c)
{
    struct rg_upload *up = &c->task.up;
    struct rg_view piece;
    for (;;) {
        switch (rg_body_pull(c, SIZE_MAX, &piece)) {
        case RG_BODY_DATA:
            if (!collect(up, piece)) {
                c->task.keep = false;
                return rg_send_short(c, 413, "more than can be collected\n");
            }
            break;
        case RG_BODY_MORE:
            return RG_STEP_READ;
        case RG_BODY_END: {
            char type[TYPE_MAX + 1];
            struct rg_view v = content_type(c);
            snprintf(type, sizeof(type), "%.*s", (int)v.n, v.p);
            char *data = up->data ? up->data : strdup("");
            size_t n = up->data_n;
            up->data = NULL;
            return rg_send_text(c, 200, type, data, n);
        }
        case RG_BODY_BAD:
            return RG_STEP_BAD;
        }
    }
}

enum rg_step rg_echo_handle(struct rg_client *c)
{
    bool collected = rg_query_number(c->task.req.query, "buffer", 0) || c->task.req.is_head;
    c->task.step = collected ? echo_collected_step : echo_step;
    return RG_STEP_NEXT;
}

/* ---- /sink ---- */

static void note_piece(struct rg_client *c, struct rg_view piece)
{
    struct rg_upload *up = &c->task.up;
    if (up->pattern)
        up->pattern = rg_pattern_check(piece.p, piece.n, up->count);
    if (up->hashing)
        up->hash = rg_fnv1a(up->hash, piece.p, piece.n);
    up->count += piece.n;
    up->slow_left -= up->slow ? piece.n : 0;
}

static enum rg_step sink_answer(struct rg_client *c, bool complete)
{
    const struct rg_upload *up = &c->task.up;
    struct rg_view q = c->task.req.query, then;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return RG_STEP_RESET;
    fprintf(out, "{\"bytes\": %" PRIu64 ", \"complete\": %s, \"pattern\": %s", up->count, complete ? "true" : "false",
            up->pattern ? "true" : "false");
    if (up->hashing)
        fprintf(out, ", \"fnv1a64\": \"%016" PRIx64 "\"", up->hash);
    fputs("}\n", out);
    fclose(out);
    bool close = rg_query_get(q, "then", &then) && rg_view_is(then, "close");
    if (close)
        c->task.keep = false;
    uint64_t status = rg_query_number(q, "status", 200);
    return rg_send_text(c, status >= 200 && status <= 999 ? (unsigned)status : 200, "application/json", text, n);
}

/* How much may be read now; WAIT until the next drop of a slow reader is due. */
static enum rg_step sink_allowance(struct rg_client *c, size_t *ret)
{
    struct rg_upload *up = &c->task.up;
    *ret = SIZE_MAX;
    if (up->has_at)
        *ret = up->at - up->count;
    if (!up->slow)
        return RG_STEP_NEXT;
    if (up->slow_left == 0) {
        enum rg_step wait = rg_send_wait(c, up->slow_ms);
        if (wait != RG_STEP_NEXT)
            return wait;
        up->slow_left = up->slow;
    }
    *ret = *ret < up->slow_left ? *ret : up->slow_left;
    return RG_STEP_NEXT;
}

static enum rg_step sink_step(struct rg_client *c)
{
    struct rg_upload *up = &c->task.up;
    struct rg_view piece;
    size_t max;
    for (;;) {
        if (up->has_at && up->count >= up->at)
            return sink_answer(c, c->task.body_done);
        enum rg_step wait = sink_allowance(c, &max);
        if (wait != RG_STEP_NEXT)
            return wait;
        switch (rg_body_pull(c, max, &piece)) {
        case RG_BODY_DATA:
            note_piece(c, piece);
            break;
        case RG_BODY_MORE:
            return RG_STEP_READ;
        case RG_BODY_END:
            return sink_answer(c, true);
        case RG_BODY_BAD:
            return RG_STEP_BAD;
        }
    }
}

static enum rg_step never_step(struct rg_client *c)
{
    (void)c;
    return RG_STEP_WAIT;
}

static void upload_start(struct rg_client *c)
{
    struct rg_upload *up = &c->task.up;
    struct rg_view q = c->task.req.query;
    up->hash = RG_FNV_START;
    up->hashing = rg_query_number(q, "hash", 1) != 0;
    up->pattern = true;
    up->at = rg_query_number(q, "at", UINT64_MAX);
    up->has_at = up->at != UINT64_MAX;
    c->task.slow_receive = rg_query_pair(q, "slow", &up->slow, &up->slow_ms);
}

enum rg_step rg_sink_handle(struct rg_client *c)
{
    upload_start(c);
    c->task.step = rg_query_number(c->task.req.query, "never", 0) ? never_step : sink_step;
    if (c->task.up.has_at && c->task.up.at == 0 && c->task.owes_continue)
        c->task.owes_continue = c->task.keep = false; /* answered at once; the body may never come */
    return RG_STEP_NEXT;
}

/* ---- /inspect ---- */

static void write_fields(FILE *out, const struct rg_request *req)
{
    fputs(" \"fields\": [", out);
    for (unsigned i = 0; i < req->n_fields; i++) {
        fputs(i ? ", [" : "[", out);
        rg_json_string(out, req->fields[i].name);
        fputs(", ", out);
        rg_json_string(out, req->fields[i].value);
        putc(']', out);
    }
    fputs("],\n", out);
}

static void write_trailers(FILE *out, const struct rg_task *t)
{
    const char *at = t->trailers, *end = t->trailers + t->trailers_n;
    fputs(" \"trailers\": [", out);
    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        struct rg_field f;
        if (!lf || !rg_field_line_parse((struct rg_view){at, (size_t)(lf - at - 1)}, &f))
            break;
        fputs(at == t->trailers ? "[" : ", [", out);
        rg_json_string(out, f.name);
        fputs(", ", out);
        rg_json_string(out, f.value);
        putc(']', out);
        at = lf + 1;
    }
    fputs("],\n", out);
}

static void write_inspection(FILE *out, const struct rg_client *c)
{
    static const char *const framings[] = {"none", "length", "chunked"};
    const struct rg_task *t = &c->task;
    const struct rg_request *req = &t->req;
    fputs("{\"line\": ", out);
    rg_json_string(out, req->line);
    fputs(", \"method\": ", out);
    rg_json_string(out, req->method);
    fputs(", \"target\": ", out);
    rg_json_string(out, req->target);
    fprintf(out, ", \"version\": \"HTTP/1.%u\",\n", req->minor);
    write_fields(out, req);
    write_trailers(out, t);
    fprintf(out, " \"framing\": \"%s\", \"body_bytes\": %" PRIu64 ", \"body_fnv1a64\": \"%016" PRIx64 "\",\n",
            framings[req->framing], t->up.count, t->up.hash);
    fprintf(out, " \"connection\": %" PRIu64 ", \"nth\": %" PRIu64 "}\n", c->id, c->nth);
}

static enum rg_step inspect_answer(struct rg_client *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return RG_STEP_RESET;
    write_inspection(out, c);
    fclose(out);
    return rg_send_text(c, 200, "application/json", text, n);
}

static enum rg_step inspect_step(struct rg_client *c)
{
    struct rg_view piece;
    for (;;) {
        switch (rg_body_pull(c, SIZE_MAX, &piece)) {
        case RG_BODY_DATA:
            note_piece(c, piece);
            break;
        case RG_BODY_MORE:
            return RG_STEP_READ;
        case RG_BODY_END:
            return inspect_answer(c);
        case RG_BODY_BAD:
            return RG_STEP_BAD;
        }
    }
}

enum rg_step rg_inspect_handle(struct rg_client *c)
{
    upload_start(c);
    c->task.step = inspect_step;
    return RG_STEP_NEXT;
}
