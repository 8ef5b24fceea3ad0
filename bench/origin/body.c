/*
 * The body of a request, pulled piece by piece as views into the receive buffer: by length, or chunked with a strict
 * decoder that can stop anywhere. Pulling less means receiving less, so a slow handler holds the sender back.
 * Thread: the client's.
 */
#include "bench/origin/origin.h"

#include <string.h>

static const char CONTINUE[] = "HTTP/1.1 100 Continue\r\n\r\n";

enum { CHUNK_LINE_MAX = 8 * 1024, CHUNK_DIGITS_MAX = 16 };

void rg_body_start(struct rg_client *c)
{
    struct rg_task *t = &c->task;
    t->body_base = c->in_off;
    t->body_left = t->req.framing == RG_FRAMING_LENGTH ? t->req.length : 0;
    t->body_done = t->req.framing == RG_FRAMING_NONE || (t->req.framing == RG_FRAMING_LENGTH && t->req.length == 0);
    t->owes_continue = t->req.expect_continue && !t->body_done;
}

static enum rg_body take(struct rg_client *c, size_t max, struct rg_view *ret)
{
    struct rg_task *t = &c->task;
    size_t n = c->in_n - c->in_off;
    if (n == 0)
        return RG_BODY_MORE;
    t->owes_continue = false; /* the client did not wait for it */
    n = n < max ? n : max;
    n = n < t->body_left ? n : (size_t)t->body_left;
    *ret = (struct rg_view){c->in + c->in_off, n};
    c->in_off += n;
    t->body_left -= n;
    t->body_seen += n;
    return RG_BODY_DATA;
}

/* A line without its CRLF. DATA, MORE or BAD. */
static enum rg_body take_line(struct rg_client *c, struct rg_view *ret)
{
    const char *start = c->in + c->in_off;
    size_t n = c->in_n - c->in_off;
    const char *lf = n ? memchr(start, '\n', n) : NULL;
    if (!lf)
        return n > CHUNK_LINE_MAX ? RG_BODY_BAD : RG_BODY_MORE;
    size_t line_n = (size_t)(lf - start);
    c->in_off += line_n + 1;
    if (line_n == 0 || lf[-1] != '\r' || memchr(start, '\r', line_n - 1))
        return RG_BODY_BAD;
    *ret = (struct rg_view){start, line_n - 1};
    return RG_BODY_DATA;
}

static int digit_value(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch = (char)(ch | 0x20);
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* chunk-size [ BWS ";" chunk-ext ]; of extensions only the absence of controls is checked. */
static bool parse_size(struct rg_view line, uint64_t *ret)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < line.n && digit_value(line.p[i]) >= 0; i++) {
        if (i == CHUNK_DIGITS_MAX)
            return false;
        size = size << 4 | (uint64_t)digit_value(line.p[i]);
    }
    if (i == 0 || size > INT64_MAX)
        return false;
    *ret = size;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'))
        i++;
    if (i < line.n && line.p[i] != ';')
        return false;
    for (; i < line.n; i++)
        if (((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7f)
            return false;
    return true;
}

static enum rg_body chunk_size(struct rg_client *c)
{
    struct rg_view line;
    enum rg_body got = take_line(c, &line);
    if (got != RG_BODY_DATA)
        return got;
    if (!parse_size(line, &c->task.body_left))
        return RG_BODY_BAD;
    c->task.chunk = c->task.body_left ? RG_CHUNK_DATA : RG_CHUNK_TRAILERS;
    return RG_BODY_DATA;
}

static enum rg_body chunk_data_end(struct rg_client *c)
{
    if (c->in_n - c->in_off < 2)
        return RG_BODY_MORE;
    if (memcmp(c->in + c->in_off, "\r\n", 2) != 0)
        return RG_BODY_BAD;
    c->in_off += 2;
    c->task.chunk = RG_CHUNK_SIZE;
    return RG_BODY_DATA;
}

static enum rg_body chunk_trailer(struct rg_client *c)
{
    struct rg_task *t = &c->task;
    struct rg_view line;
    struct rg_field field;
    enum rg_body got = take_line(c, &line);
    if (got != RG_BODY_DATA)
        return got;
    if (line.n == 0) {
        t->chunk = RG_CHUNK_DONE;
        t->body_done = true;
        return RG_BODY_DATA;
    }
    if (!rg_field_line_parse(line, &field) || t->trailers_n + line.n + 2 > sizeof(t->trailers))
        return RG_BODY_BAD;
    memcpy(t->trailers + t->trailers_n, line.p, line.n + 2);
    t->trailers_n += line.n + 2;
    return RG_BODY_DATA;
}

static enum rg_body pull_chunked(struct rg_client *c, size_t max, struct rg_view *ret)
{
    struct rg_task *t = &c->task;
    enum rg_body got = RG_BODY_DATA;
    while (got == RG_BODY_DATA) {
        switch (t->chunk) {
        case RG_CHUNK_SIZE:
            got = chunk_size(c);
            break;
        case RG_CHUNK_DATA:
            if (t->body_left > 0)
                return take(c, max, ret);
            t->chunk = RG_CHUNK_DATA_END;
            break;
        case RG_CHUNK_DATA_END:
            got = chunk_data_end(c);
            break;
        case RG_CHUNK_TRAILERS:
            got = chunk_trailer(c);
            break;
        case RG_CHUNK_DONE:
            return RG_BODY_END;
        }
    }
    return got;
}

/* Not part of the response, so it does not count as its start. */
void rg_body_continue(struct rg_client *c)
{
    if (!c->task.owes_continue || rg_out_room(c) < sizeof(CONTINUE))
        return;
    memcpy(c->out + c->out_n, CONTINUE, sizeof(CONTINUE) - 1);
    c->out_n += sizeof(CONTINUE) - 1;
    c->task.owes_continue = false;
}

enum rg_body rg_body_pull(struct rg_client *c, size_t max, struct rg_view *ret)
{
    struct rg_task *t = &c->task;
    enum rg_body got;
    if (t->body_done)
        return RG_BODY_END;
    got = t->req.framing == RG_FRAMING_CHUNKED ? pull_chunked(c, max, ret) : take(c, max, ret);
    if (t->req.framing == RG_FRAMING_LENGTH && t->body_left == 0)
        t->body_done = true;
    if (got == RG_BODY_MORE)
        rg_body_continue(c);
    return got;
}
