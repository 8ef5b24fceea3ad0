/*
 * The response: a plan (delay, interim responses, head, body, trailers) carried out phase by phase, each phase going on
 * until it lacks room or time. Bodies are made in the send buffer itself, so a response of gigabytes needs no memory.
 * Thread: the client's.
 */
#include "bench/origin/origin.h"

#include <inttypes.h>
#include <string.h>

static const char INTERIM[] = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n";

enum { CHUNK_LINE_MAX = 20, ROOM_WANTED = 16 * 1024 };

size_t rg_out_room(struct rg_client *c)
{
    if (c->out_off == c->out_n)
        c->out_off = c->out_n = 0;
    return RG_OUT_SIZE - c->out_n;
}

void rg_out_add(struct rg_client *c, const void *data, size_t n)
{
    memcpy(c->out + c->out_n, data, n);
    c->out_n += n;
    c->task.started = true;
}

const char *rg_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } rows[] = {
        {200, "OK"},
        {101, "Switching Protocols"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {413, "Content Too Large"},
        {417, "Expectation Failed"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].status == status)
            return rows[i].text;
    return "Scripted";
}

void rg_send_head_start(struct rg_client *c, FILE *out, unsigned minor, unsigned status)
{
    fprintf(out, "HTTP/1.%u %u %s\r\nServer: ringgate-origin\r\nDate: %s\r\n", minor, status, rg_reason(status),
            c->thread->date);
}

void rg_send_head_end(struct rg_client *c, FILE *out, bool http10)
{
    if (!c->task.keep)
        fputs("Connection: close\r\n", out);
    else if (http10 || c->task.req.minor == 0)
        fputs("Connection: keep-alive\r\n", out);
    fputs("\r\n", out);
}

enum rg_step rg_send_text(struct rg_client *c, unsigned status, const char *type, char *text, size_t n)
{
    struct rg_plan *p = &c->task.plan;
    rg_task_fini(&c->task); /* a plan that was begun and given up */
    *p = (struct rg_plan){0};
    FILE *out = open_memstream(&p->head, &p->head_n);
    p->body = text;
    p->body_n = c->task.req.is_head ? 0 : n;
    if (!out || !text)
        return RG_STEP_RESET;
    rg_send_head_start(c, out, 1, status);
    fprintf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, n);
    rg_send_head_end(c, out, false);
    fclose(out);
    c->task.step = rg_send_step;
    return RG_STEP_NEXT;
}

enum rg_step rg_send_short(struct rg_client *c, unsigned status, const char *text)
{
    char *copy = strdup(text);
    return rg_send_text(c, status, "text/plain", copy, copy ? strlen(copy) : 0);
}

enum rg_step rg_send_wait(struct rg_client *c, uint64_t ms)
{
    struct rg_task *t = &c->task;
    uint64_t now = c->thread->now_ms;
    if (!t->waiting) {
        t->waiting = true;
        t->wake_at = now + ms;
    }
    if (now < t->wake_at) {
        rg_timer_set(c, t->wake_at);
        return RG_STEP_WAIT;
    }
    t->waiting = false;
    return RG_STEP_NEXT;
}

/* ---- phases: NEXT when over ---- */

static enum rg_step phase_delay(struct rg_client *c)
{
    rg_body_continue(c); /* it can't follow the response, and the body will be read after it */
    return c->task.plan.delay_ms ? rg_send_wait(c, c->task.plan.delay_ms) : RG_STEP_NEXT;
}

static enum rg_step phase_interim(struct rg_client *c)
{
    struct rg_plan *p = &c->task.plan;
    for (; p->interim_left > 0; p->interim_left--) {
        if (rg_out_room(c) < sizeof(INTERIM))
            return RG_STEP_WRITE;
        rg_out_add(c, INTERIM, sizeof(INTERIM) - 1);
    }
    return RG_STEP_NEXT;
}

static enum rg_step phase_head(struct rg_client *c)
{
    struct rg_plan *p = &c->task.plan;
    while (p->head_off < p->head_n) {
        size_t room = rg_out_room(c), n = p->head_n - p->head_off;
        if (room == 0)
            return RG_STEP_WRITE;
        n = n < room ? n : room;
        if (p->head_drip) {
            enum rg_step wait = p->head_off ? rg_send_wait(c, p->head_drip_ms) : RG_STEP_NEXT;
            if (wait != RG_STEP_NEXT)
                return wait;
            n = n < p->head_drip ? n : p->head_drip;
        }
        rg_out_add(c, p->head + p->head_off, n);
        p->head_off += n;
    }
    return RG_STEP_NEXT;
}

static enum rg_step phase_pause(struct rg_client *c)
{
    return c->task.plan.pause_ms ? rg_send_wait(c, c->task.plan.pause_ms) : RG_STEP_NEXT;
}

static void open_chunk(struct rg_client *c)
{
    struct rg_plan *p = &c->task.plan;
    char line[CHUNK_LINE_MAX];
    uint64_t left = p->body_n - p->body_off;
    p->chunk_left = p->chunk && p->chunk < left ? p->chunk : left;
    int n = snprintf(line, sizeof(line), "%" PRIx64 "\r\n", p->chunk_left);
    rg_out_add(c, line, (size_t)n);
}

/* How much of the body may go out now: what is left, up to the cut, the open chunk, this drop of the drip, the room. */
static size_t body_allowance(const struct rg_plan *p, size_t room)
{
    uint64_t n = p->body_n - p->body_off;
    if (p->cut && p->cut_after - p->body_off < n)
        n = p->cut_after - p->body_off;
    if (p->chunked && p->chunk_left < n)
        n = p->chunk_left;
    if (p->drip && p->drip_left < n)
        n = p->drip_left;
    return n < room ? (size_t)n : room;
}

static void add_body(struct rg_client *c, size_t n)
{
    struct rg_plan *p = &c->task.plan;
    if (p->body)
        memcpy(c->out + c->out_n, p->body + p->body_off, n);
    else
        rg_pattern_fill(c->out + c->out_n, n, p->body_off);
    c->out_n += n;
    p->body_off += n;
    if (p->drip)
        p->drip_left -= n;
    if (!p->chunked)
        return;
    p->chunk_left -= n;
    if (p->chunk_left == 0)
        rg_out_add(c, "\r\n", 2);
}

static enum rg_step refill_drip(struct rg_client *c)
{
    struct rg_plan *p = &c->task.plan;
    if (!p->drip || p->drip_left > 0)
        return RG_STEP_NEXT;
    enum rg_step wait = p->body_off ? rg_send_wait(c, p->drip_ms) : RG_STEP_NEXT;
    if (wait == RG_STEP_NEXT)
        p->drip_left = p->drip;
    return wait;
}

static enum rg_step phase_body(struct rg_client *c)
{
    struct rg_plan *p = &c->task.plan;
    while (p->body_off < p->body_n) {
        if (p->cut && p->body_off >= p->cut_after)
            break;
        enum rg_step wait = refill_drip(c);
        if (wait != RG_STEP_NEXT)
            return wait;
        uint64_t left = p->body_n - p->body_off;
        size_t wanted = left < ROOM_WANTED ? (size_t)left : ROOM_WANTED;
        size_t room = rg_out_room(c);
        if (room < wanted + 2 * CHUNK_LINE_MAX)
            return RG_STEP_WRITE;
        if (p->chunked && p->chunk_left == 0)
            open_chunk(c);
        add_body(c, body_allowance(p, rg_out_room(c) - CHUNK_LINE_MAX));
    }
    if (!p->cut)
        return RG_STEP_NEXT;
    return p->cut_how == RG_THEN_RESET ? RG_STEP_RESET : RG_STEP_CLOSE;
}

static enum rg_step phase_trailers(struct rg_client *c)
{
    struct rg_plan *p = &c->task.plan;
    if (!p->chunked || c->task.req.is_head)
        return RG_STEP_NEXT;
    size_t n = p->trailers ? strlen(p->trailers) : 0;
    if (rg_out_room(c) < n + 5)
        return RG_STEP_WRITE;
    rg_out_add(c, "0\r\n", 3);
    if (n)
        rg_out_add(c, p->trailers, n);
    rg_out_add(c, "\r\n", 2);
    return RG_STEP_NEXT;
}

/* The rest of the request's body, so that the connection can be used again. */
static enum rg_step phase_drain(struct rg_client *c)
{
    struct rg_view ignored;
    if (!c->task.keep || c->task.plan.then != RG_THEN_KEEP)
        return RG_STEP_NEXT;
    for (;;) {
        switch (rg_body_pull(c, SIZE_MAX, &ignored)) {
        case RG_BODY_DATA:
            break;
        case RG_BODY_MORE:
            return RG_STEP_READ;
        case RG_BODY_END:
            return RG_STEP_NEXT;
        case RG_BODY_BAD:
            return RG_STEP_BAD;
        }
    }
}

static enum rg_step phase_end(struct rg_client *c)
{
    switch (c->task.plan.then) {
    case RG_THEN_KEEP:
        return RG_STEP_DONE;
    case RG_THEN_CLOSE:
        return RG_STEP_CLOSE;
    case RG_THEN_RESET:
        return RG_STEP_RESET;
    }
    return RG_STEP_DONE;
}

enum rg_step rg_send_step(struct rg_client *c)
{
    static enum rg_step (*const phases[])(struct rg_client *) = {
        [RG_PHASE_DELAY] = phase_delay, [RG_PHASE_INTERIM] = phase_interim, [RG_PHASE_HEAD] = phase_head,
        [RG_PHASE_PAUSE] = phase_pause, [RG_PHASE_BODY] = phase_body,       [RG_PHASE_TRAILERS] = phase_trailers,
        [RG_PHASE_DRAIN] = phase_drain, [RG_PHASE_END] = phase_end,
    };
    for (;;) {
        enum rg_step step = phases[c->task.plan.phase](c);
        if (step != RG_STEP_NEXT)
            return step;
        c->task.plan.phase++;
    }
}
