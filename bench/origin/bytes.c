/*
 * /bytes, /http10 and /raw: responses of any size, shape and misbehaviour. The plain case, a small GET without a query,
 * is answered from ready bytes without an allocation, because measurements use it.
 * Thread: the client's.
 */
#include "bench/origin/origin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_LOG2_MAX = 40, PAD_MAX = 16 * 1024 * 1024, FIELDS_MAX = 1000000 };

/* ---- the plain case ---- */

static struct rg_ready *ready_make(struct rg_thread *t, uint64_t n)
{
    struct rg_ready *r = &t->ready[t->n_ready];
    FILE *out = open_memstream(&r->data, &r->len);
    if (!out)
        return NULL;
    fprintf(out, "Content-Type: application/octet-stream\r\nContent-Length: %" PRIu64 "\r\n\r\n", n);
    size_t head_n = (size_t)ftell(out);
    char body[RG_CACHE_BODY];
    rg_pattern_fill(body, (size_t)n, 0);
    fwrite(body, 1, (size_t)n, out);
    if (fclose(out) != 0 || r->len != head_n + n) {
        free(r->data);
        return NULL;
    }
    r->n = n;
    t->n_ready++;
    return r;
}

static struct rg_ready *ready_find(struct rg_thread *t, uint64_t n)
{
    for (unsigned i = 0; i < t->n_ready; i++)
        if (t->ready[i].n == n)
            return &t->ready[i];
    return n <= RG_CACHE_BODY && t->n_ready < RG_CACHE_SIZES ? ready_make(t, n) : NULL;
}

static const char READY_START[] = "HTTP/1.1 200 OK\r\nServer: ringgate-origin\r\nDate: ";

/* DONE when the whole answer went into the send buffer; NEXT when this request needs the general way. */
static enum rg_step answer_ready(struct rg_client *c, uint64_t n)
{
    const struct rg_task *t = &c->task;
    const struct rg_request *req = &t->req;
    if (req->has_query || !t->keep || req->minor == 0 || req->framing != RG_FRAMING_NONE || req->is_head)
        return RG_STEP_NEXT;
    struct rg_ready *r = ready_find(c->thread, n);
    if (!r)
        return RG_STEP_NEXT;
    if (rg_out_room(c) < sizeof(READY_START) + sizeof(c->thread->date) + 2 + r->len)
        return RG_STEP_WRITE;
    rg_out_add(c, READY_START, sizeof(READY_START) - 1);
    rg_out_add(c, c->thread->date, sizeof(c->thread->date) - 1);
    rg_out_add(c, "\r\n", 2);
    rg_out_add(c, r->data, r->len);
    return RG_STEP_DONE;
}

/* ---- the general way ---- */

static void plan_body(struct rg_client *c, uint64_t n, bool http10)
{
    struct rg_task *t = &c->task;
    struct rg_plan *p = &t->plan;
    struct rg_view q = t->req.query;
    p->body_n = n;
    p->delay_ms = rg_query_number(q, "delay", 0);
    p->pause_ms = rg_query_number(q, "pause", 0);
    p->interim_left = t->req.minor == 1 ? rg_query_number(q, "early", 0) : 0;
    rg_query_pair(q, "headdrip", &p->head_drip, &p->head_drip_ms);
    rg_query_pair(q, "drip", &p->drip, &p->drip_ms);
    p->chunked = rg_query_number(q, "chunked", 0) && t->req.minor == 1 && !http10;
    p->chunk = rg_query_number(q, "chunk", p->drip ? p->drip : RG_CACHE_BODY);
    p->cut_after = rg_query_number(q, "close", UINT64_MAX);
    p->cut = p->cut_after != UINT64_MAX;
    p->cut_how = rg_query_number(q, "rst", 0) ? RG_THEN_RESET : RG_THEN_CLOSE;
    if (p->chunked && rg_query_number(q, "trailers", 0))
        p->trailers = strdup("X-Trailer: after the body\r\nX-Checksum: none\r\n");
}

/* head=: percent-encoded field lines as they are; fields=N: N more; pad=N: one field with N bytes. */
static bool write_extra_fields(struct rg_client *c, FILE *out)
{
    struct rg_view q = c->task.req.query, v;
    if (rg_query_get(q, "head", &v)) {
        size_t n = 0;
        char *text = rg_percent_decode(v, &n);
        if (!text)
            return false;
        fwrite(text, 1, n, out);
        fputs("\r\n", out);
        free(text);
    }
    uint64_t fields = rg_query_number(q, "fields", 0), pad = rg_query_number(q, "pad", 0);
    for (uint64_t i = 0; i < fields && i < FIELDS_MAX; i++)
        fprintf(out, "X-Field-%" PRIu64 ": %" PRIu64 "\r\n", i, i);
    if (pad > 0 && pad <= PAD_MAX) {
        fputs("X-Pad: ", out);
        for (uint64_t i = 0; i < pad; i++)
            putc('a', out);
        fputs("\r\n", out);
    }
    return true;
}

static bool has_no_body(unsigned status)
{
    return status == 204 || status == 304;
}

static void write_framing(struct rg_client *c, FILE *out, unsigned status, bool by_end)
{
    const struct rg_plan *p = &c->task.plan;
    if (p->chunked && !has_no_body(status))
        fputs("Transfer-Encoding: chunked\r\n", out);
    else if (!by_end && status != 204)
        fprintf(out, "Content-Length: %" PRIu64 "\r\n", p->body_n);
    if (p->trailers)
        fputs("Trailer: X-Trailer, X-Checksum\r\n", out);
}

/* Status line to empty line; by_end: the connection's end is the body's end. */
static bool write_head(struct rg_client *c, bool by_end, bool http10)
{
    struct rg_plan *p = &c->task.plan;
    uint64_t status = rg_query_number(c->task.req.query, "status", 200);
    if (status > 999)
        status = 200;
    FILE *out = open_memstream(&p->head, &p->head_n);
    if (!out)
        return false;
    rg_send_head_start(c, out, http10 ? 0 : 1, (unsigned)status);
    fputs("Content-Type: application/octet-stream\r\n", out);
    write_framing(c, out, (unsigned)status, by_end);
    bool ok = write_extra_fields(c, out);
    rg_send_head_end(c, out, http10);
    if (fclose(out) != 0 || !ok)
        return false;
    if (c->task.req.is_head || has_no_body((unsigned)status)) {
        p->body_n = 0;
        p->chunked = false;
    }
    return true;
}

static enum rg_step send_bytes(struct rg_client *c, uint64_t n, bool http10)
{
    struct rg_task *t = &c->task;
    struct rg_view q = t->req.query;
    plan_body(c, n, http10);
    /* A chunked answer that an HTTP/1.0 client can't take ends with the connection instead. */
    bool by_end = rg_query_number(q, "eof", 0) || (rg_query_number(q, "chunked", 0) && t->req.minor == 0);
    if (by_end)
        t->keep = t->plan.chunked = false;
    if (!write_head(c, by_end, http10))
        return rg_send_short(c, 400, "head= is not percent-encoded well\n");
    t->step = rg_send_step;
    return RG_STEP_NEXT;
}

static bool path_number(struct rg_client *c, const char *prefix, uint64_t *ret)
{
    struct rg_view path = c->task.req.path;
    size_t n = strlen(prefix);
    return rg_view_number((struct rg_view){path.p + n, path.n - n}, UINT64_C(1) << BYTES_LOG2_MAX, ret);
}

enum rg_step rg_bytes_handle(struct rg_client *c)
{
    uint64_t n;
    if (!path_number(c, "/bytes/", &n))
        return rg_send_short(c, 400, "/bytes/N: N is a number up to 2^40\n");
    enum rg_step step = answer_ready(c, n);
    return step == RG_STEP_NEXT ? send_bytes(c, n, false) : step;
}

/* As an HTTP/1.0 origin answers: closes, or with keepalive=1 says so and stays. */
enum rg_step rg_http10_handle(struct rg_client *c)
{
    uint64_t n = 1024;
    bool keep = rg_query_number(c->task.req.query, "keepalive", 0) && c->task.keep;
    if (c->task.req.path.n > strlen("/http10") && !path_number(c, "/http10/", &n))
        return rg_send_short(c, 404, "/http10 or /http10/N\n");
    c->task.keep = keep;
    return send_bytes(c, n, true);
}

/* ---- /raw ---- */

static enum rg_then parse_then(struct rg_view q)
{
    struct rg_view v;
    if (!rg_query_get(q, "then", &v) || rg_view_is(v, "close"))
        return RG_THEN_CLOSE;
    return rg_view_is(v, "rst") ? RG_THEN_RESET : RG_THEN_KEEP;
}

static bool decode_parameter(struct rg_view q, const char *name, char **ret, size_t *ret_n)
{
    struct rg_view v;
    size_t n = 0;
    if (!rg_query_get(q, name, &v))
        return true;
    char *text = rg_percent_decode(v, &n);
    *ret = text ? rg_base64_decode((struct rg_view){text, n}, ret_n) : NULL;
    free(text);
    return *ret != NULL;
}

enum rg_step rg_raw_handle(struct rg_client *c)
{
    struct rg_plan *p = &c->task.plan;
    struct rg_view q = c->task.req.query;
    size_t body_n = 0;
    if (!decode_parameter(q, "b64", &p->head, &p->head_n) || !decode_parameter(q, "more", &p->body, &body_n)) {
        rg_task_fini(&c->task);
        return rg_send_short(c, 400, "b64= or more= is not base64\n");
    }
    p->body_n = body_n;
    p->delay_ms = rg_query_number(q, "delay", 0);
    p->pause_ms = rg_query_number(q, "pause", 0);
    rg_query_pair(q, "drip", &p->head_drip, &p->head_drip_ms);
    p->then = parse_then(q);
    c->task.step = rg_send_step;
    return RG_STEP_NEXT;
}
