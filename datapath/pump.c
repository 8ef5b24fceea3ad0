/* See pump.h. */
#include "datapath/pump.h"

#define COPY_MAX 4096u /* smaller pieces are copied next to their head: one send instead of a vector */

void rg_pump_init(struct rg_pump *p, const struct rg_framing *framing, enum rg_chunked_mode mode)
{
    *p = (struct rg_pump){.kind = framing->kind};
    if (p->kind == RG_BODY_LENGTH)
        p->left = framing->length;
    else if (p->kind == RG_BODY_CHUNKED)
        rg_chunked_init(&p->chunked, mode);
    p->done = p->kind == RG_BODY_NONE || (p->kind == RG_BODY_LENGTH && p->left == 0);
}

void rg_pump_init_raw(struct rg_pump *p)
{
    *p = (struct rg_pump){.raw = true, .left = UINT64_MAX};
}

void rg_pump_fini(struct rg_pump *p)
{
    rg_buf_unref(p->trailer);
    p->trailer = NULL;
}

static enum rg_pump_result bad(struct rg_pump *p, enum rg_reason reason)
{
    p->reason = (uint8_t)reason;
    return RG_PUMP_BAD;
}

/* A segment must be free, or the piece must fit behind the last one. No memory for a copy: the piece goes as it lies.
 */
static bool pass_on(struct rg_output *out, struct rg_bufs *bufs, struct rg_buf *b, const char *ptr, uint32_t len)
{
    bool lies_in_block = ptr >= b->data && ptr < b->data + b->cap;
    if ((len <= COPY_MAX || !lies_in_block) && rg_output_copy(out, bufs, ptr, len))
        return true;
    return lies_in_block && rg_output_push(out, b, (uint32_t)(ptr - b->data), len);
}

static enum rg_pump_result run_length(struct rg_pump *p, struct rg_input *in, struct rg_output *out,
                                      struct rg_bufs *bufs)
{
    struct rg_str front = rg_input_front(in);
    uint32_t n = front.len < p->left ? (uint32_t)front.len : (uint32_t)p->left;
    if (!pass_on(out, bufs, in->head, front.ptr, n))
        return RG_PUMP_NO_BUF;
    rg_input_use(in, n);
    p->left -= n;
    p->bytes += n;
    p->done = p->left == 0;
    return RG_PUMP_OK;
}

static enum rg_pump_result run_raw(struct rg_pump *p, struct rg_input *in, struct rg_output *out, struct rg_bufs *bufs)
{
    struct rg_str front = rg_input_front(in);
    uint32_t n = front.len < p->left ? (uint32_t)front.len : (uint32_t)p->left;
    if (!pass_on(out, bufs, in->head, front.ptr, n))
        return RG_PUMP_NO_BUF;
    rg_ws_frames_pass(&p->frames, front.ptr, n);
    rg_input_use(in, n);
    p->left -= p->left == UINT64_MAX ? 0 : n;
    p->bytes += n;
    return RG_PUMP_OK;
}

static bool copy_chunk_line(struct rg_output *out, struct rg_bufs *bufs, uint32_t n)
{
    static const char digits[] = "0123456789abcdef";
    char line[10];
    unsigned at = sizeof line;
    line[--at] = '\n';
    line[--at] = '\r';
    do {
        line[--at] = digits[n & 15];
        n >>= 4;
    } while (n > 0);
    return rg_output_copy(out, bufs, line + at, (uint32_t)sizeof line - at);
}

static enum rg_pump_result run_until_end(struct rg_pump *p, struct rg_input *in, struct rg_output *out,
                                         struct rg_bufs *bufs)
{
    struct rg_str front = rg_input_front(in);
    uint32_t n = (uint32_t)front.len;
    if (p->max_bytes && p->bytes + n > p->max_bytes)
        return bad(p, RG_REASON_BODY_TOO_LARGE);
    if (p->add_chunks && !copy_chunk_line(out, bufs, n))
        return RG_PUMP_NO_BUF;
    if (!pass_on(out, bufs, in->head, front.ptr, n))
        return RG_PUMP_NO_BUF;
    if (p->add_chunks && !rg_output_copy(out, bufs, "\r\n", 2))
        return RG_PUMP_NO_BUF;
    rg_input_use(in, n);
    p->bytes += n;
    return RG_PUMP_OK;
}

static enum rg_pump_result run_chunked(struct rg_pump *p, struct rg_input *in, struct rg_output *out,
                                       struct rg_bufs *bufs)
{
    struct rg_str front = rg_input_front(in);
    struct rg_str span = RG_STR_NONE;
    size_t used = 0;
    enum rg_chunked_event event = rg_chunked_step(&p->chunked, front.ptr, front.len, &used, &span);
    if (event == RG_CHUNKED_BAD)
        return bad(p, (enum rg_reason)p->chunked.reason);
    if (event == RG_CHUNKED_NEED_TRAILER) {
        p->trailer = rg_buf_get_bulk(bufs);
        if (!p->trailer)
            return RG_PUMP_NO_BUF;
        p->chunked.trailer_space = p->trailer->data;
    }
    p->bytes = p->chunked.body_bytes;
    if (p->max_bytes && p->bytes + p->chunked.left > p->max_bytes)
        return bad(p, RG_REASON_BODY_TOO_LARGE);
    if (span.len > 0 && !pass_on(out, bufs, in->head, span.ptr, (uint32_t)span.len))
        return RG_PUMP_NO_BUF;
    rg_input_use(in, (uint32_t)used);
    p->done = event == RG_CHUNKED_END;
    return RG_PUMP_OK;
}

enum rg_pump_result rg_pump_run(struct rg_pump *p, struct rg_input *in, struct rg_output *out, struct rg_bufs *bufs)
{
    /* Pieces of one step never need more than this many segments. */
    const unsigned step_segments = p->add_chunks ? 3 : 1;
    while (!p->done && in->bytes > 0) {
        if (p->raw && p->left == 0)
            return RG_PUMP_OK;
        if (out->bytes >= RG_PUMP_HIGH || out->count + step_segments > RG_OUT_SEGMENTS)
            return RG_PUMP_FULL;
        enum rg_pump_result r;
        if (p->raw)
            r = run_raw(p, in, out, bufs);
        else if (p->kind == RG_BODY_EOF)
            r = run_until_end(p, in, out, bufs);
        else if (p->kind == RG_BODY_LENGTH)
            r = run_length(p, in, out, bufs);
        else
            r = run_chunked(p, in, out, bufs);
        if (r != RG_PUMP_OK)
            return r;
    }
    return RG_PUMP_OK;
}

static bool end_chunks(const struct rg_pump *p, struct rg_output *out, struct rg_bufs *bufs)
{
    if (!p->trailer)
        return rg_output_copy(out, bufs, "0\r\n\r\n", 5);
    return rg_output_copy(out, bufs, "0\r\n", 3) && rg_output_copy(out, bufs, p->trailer->data, p->trailer->len) &&
           rg_output_copy(out, bufs, "\r\n", 2);
}

enum rg_pump_result rg_pump_eof(struct rg_pump *p, struct rg_output *out, struct rg_bufs *bufs)
{
    if (p->done)
        return RG_PUMP_OK;
    if (!p->raw && p->kind != RG_BODY_EOF)
        return RG_PUMP_BAD;
    if (p->add_chunks && out->count + 2 > RG_OUT_SEGMENTS)
        return RG_PUMP_FULL;
    if (p->add_chunks && !end_chunks(p, out, bufs))
        return RG_PUMP_NO_BUF;
    p->done = true;
    return RG_PUMP_OK;
}
