/*
 * What a replica answers a probe: read as the datapath reads responses, over HTTP/1 or what health_h2c.c makes of
 * HTTP/2, and judged when it is complete. See health.h for owner and thread.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "control/gateway/health_parts.h"

static void judge(struct rg_prober *p)
{
    struct rg_health_answer answer = {p->status, p->content_type, {p->input + p->head_len, p->body_len}};
    char why[RG_HEALTH_WHY_MAX];
    bool healthy = rg_health_judge(&p->settings, &answer, why, sizeof(why));
    snprintf(p->why, sizeof(p->why), "%s", why);
    rg_prober_finish(p, healthy);
}

static bool read_body_chunked(struct rg_prober *p, bool *complete)
{
    /* Decoded data moves to the front; what is not decoded yet follows it. */
    char *body = p->input + p->head_len, *raw = body + p->body_len;
    size_t left = p->received - p->head_len - p->body_len;
    for (;;) {
        size_t used = 0;
        struct rg_str span = RG_STR_NONE;
        enum rg_chunked_event event = rg_chunked_step(&p->chunked, raw, left, &used, &span);
        if (event == RG_CHUNKED_BAD)
            return false;
        if (event == RG_CHUNKED_NEED_TRAILER)
            p->chunked.trailer_space = p->trailers;
        if (span.len)
            memmove(body + p->body_len, span.ptr, span.len);
        p->body_len += span.len;
        raw += used;
        left -= used;
        *complete = event == RG_CHUNKED_END;
        if (event == RG_CHUNKED_END || event == RG_CHUNKED_MORE)
            break;
    }
    memmove(body + p->body_len, raw, left);
    p->received = p->head_len + p->body_len + left;
    return true;
}

/* false: the probe has failed. */
static bool read_body(struct rg_prober *p, bool at_end, bool *complete)
{
    size_t have = p->received - p->head_len;
    *complete = false;
    if (p->framing.kind == RG_BODY_CHUNKED) {
        if (!read_body_chunked(p, complete)) {
            rg_prober_fail(p, "the chunked coding of the answer is malformed", 0);
            return false;
        }
    } else if (p->framing.kind == RG_BODY_EOF) {
        p->body_len = have;
        *complete = at_end;
    } else {
        uint64_t length = p->framing.kind == RG_BODY_LENGTH ? p->framing.length : 0;
        p->body_len = have < length ? have : (size_t)length;
        *complete = have >= length;
    }
    if (p->body_len > RG_HEALTH_BODY_MAX || p->framing.length > RG_HEALTH_BODY_MAX) {
        rg_prober_fail(p, "the answer is longer than 64 KiB", 0);
        return false;
    }
    return true;
}

/* Interim answers are skipped. 1: the head is complete; 0: not yet; -1: the probe has failed. */
static int read_head(struct rg_prober *p)
{
    static const struct rg_h1_limits limits = {
        .head_bytes = RG_HEALTH_HEAD_MAX,
        .field_bytes = RG_HEALTH_HEAD_MAX,
        .target_bytes = 1,
        .fields = 100,
    };
    struct rg_field fields[RG_H1_FIELDS_MAX];
    struct rg_h1_response head;
    enum rg_reason reason = RG_REASON_NONE;
    for (;;) {
        int32_t n = rg_h1_parse_response(&p->resume, p->input, p->received, &limits, fields, &head, &reason);
        if (n == 0 || p->received == 0)
            return 0;
        if (n > 0)
            reason = rg_h1_frame_response(&head, RG_METHOD_GET, false, &p->framing);
        if (n < 0 || reason != RG_REASON_NONE) {
            rg_prober_fail(p, rg_reason_info(reason)->text.ptr, 0);
            return -1;
        }
        if (head.status >= 200) {
            p->head_len = (size_t)n;
            break;
        }
        memmove(p->input, p->input + n, p->received - (size_t)n);
        p->received -= (size_t)n;
        p->resume = (struct rg_h1_resume){0, 0};
    }
    p->status = head.status;
    for (uint16_t i = 0; i < head.n_fields; i++)
        if (fields[i].id == RG_FIELD_CONTENT_TYPE)
            p->content_type = rg_field_value(&fields[i]);
    rg_chunked_init(&p->chunked, RG_CHUNKED_DATA);
    return 1;
}

static void take_input(struct rg_prober *p, bool at_end)
{
    bool complete = false;
    int r = p->head_len > 0 ? 1 : read_head(p);
    if (r < 0 || (r > 0 && !read_body(p, at_end, &complete)))
        return;
    if (complete)
        judge(p);
    else if (at_end)
        rg_prober_fail(p, "the connection was closed without a complete answer", 0);
    else if (p->received == RG_HEALTH_INPUT)
        rg_prober_fail(p, "the answer is too long", 0);
}

static void read_h2c_answer(struct rg_prober *p)
{
    char bytes[16384];
    ssize_t n = recv(p->socket.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        rg_prober_fail(p, "can't receive", errno);
        return;
    }
    if (n == 0) {
        rg_prober_fail(p, "the connection was closed without a complete answer", 0);
        return;
    }
    rg_probe_h2c_receive(p->h2c, bytes, (size_t)n);
    int r = rg_probe_h2c_send(p->h2c, p->socket.fd);
    const char *fault = rg_probe_h2c_fault(p->h2c);
    p->received = rg_probe_h2c_text_len(p->h2c);
    if (fault)
        rg_prober_fail(p, fault, 0);
    else if (rg_probe_h2c_is_complete(p->h2c))
        take_input(p, true);
    else if (r < 0)
        rg_prober_fail(p, "can't send", -r);
}

void rg_prober_read_answer(struct rg_prober *p)
{
    if (p->h2c) {
        read_h2c_answer(p);
        return;
    }
    ssize_t n = recv(p->socket.fd, p->input + p->received, RG_HEALTH_INPUT - p->received, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        rg_prober_fail(p, "can't receive", errno);
        return;
    }
    p->received += (size_t)n;
    take_input(p, n == 0);
}
