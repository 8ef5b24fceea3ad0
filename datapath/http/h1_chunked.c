/*
 * The chunked coding, resumable at any byte: see h1_framing.h. Written as a table of states; a step function gets the
 * input from a cursor and says whether to go on.
 *
 * FORWARD mode passes on the longest run of input that is canonical as it stands. Extensions, leading zeros and the
 * last chunk with its trailer are cut out; the last chunk is passed on when the trailer was found to be good, from the
 * input (nearly always), from constant data, or from trailer_space.
 */
#include "datapath/base/assert.h"
#include "datapath/http/h1_chars.h"
#include "datapath/http/h1_framing.h"

#define SIZE_DIGITS_MAX 16

#define LAST_CHUNK "0\r\n"
#define LAST_LINES "0\r\n\r\n"

enum state {
    STATE_SIZE,      /* in the digits of a chunk size */
    STATE_EXTENSION, /* after them, up to the CR */
    STATE_SIZE_LF,
    STATE_DATA,
    STATE_DATA_CR,
    STATE_DATA_LF,
    STATE_TRAILER, /* at the start of the trailer section */
    STATE_TRAILER_LINES,
    STATE_LAST_LF, /* of an empty trailer section */
    STATE_END,
    STATE_BAD,
};

/* The input of one call: [span, at) is what would be passed on so far. */
struct cursor {
    const char *in, *at, *end;
    const char *span;
};

/* What a state's function says: go on with the next state, or return this event. */
#define GO_ON ((int)RG_CHUNKED_BAD + 1)

void rg_chunked_init(struct rg_chunked *c, enum rg_chunked_mode mode)
{
    *c = (struct rg_chunked){.mode = (uint8_t)mode, .state = STATE_SIZE};
}

static RG_COLD int fail(struct rg_chunked *c, enum rg_reason reason)
{
    c->state = STATE_BAD;
    c->reason = (uint8_t)reason;
    return RG_CHUNKED_BAD;
}

/* Drops the bytes up to at: what stands before them must have been passed on. */
static inline void drop(struct cursor *cur)
{
    cur->span = cur->at;
}

static inline bool has_span(const struct rg_chunked *c, const struct cursor *cur)
{
    return c->mode == RG_CHUNKED_FORWARD && cur->at > cur->span;
}

static bool add_overhead(struct rg_chunked *c, size_t n)
{
    if (n > (size_t)(RG_CHUNK_OVERHEAD_MAX - c->overhead))
        return false;
    c->overhead = (uint16_t)(c->overhead + n);
    return true;
}

/* A '0' before any other digit: a leading zero, or the last chunk. It is not passed on from here. */
static int take_zero(struct rg_chunked *c, struct cursor *cur)
{
    static const char last[] = LAST_LINES;
    size_t have = (size_t)(cur->end - cur->at);
    if (c->digits == 0 && have >= sizeof(last) - 1 && memcmp(cur->at, last, sizeof(last) - 1) == 0) {
        cur->at += sizeof(last) - 1;
        c->state = STATE_END;
        return RG_CHUNKED_END;
    }
    if (has_span(c, cur))
        return RG_CHUNKED_SPAN;
    c->digits++; /* bounds them; senders with sizes of a fixed width have some in every chunk */
    cur->at++;
    drop(cur);
    return GO_ON;
}

static int in_size(struct rg_chunked *c, struct cursor *cur)
{
    while (cur->at < cur->end) {
        char ch = *cur->at;
        int digit = rg_hex_value(ch);
        if (digit < 0) {
            if (c->digits == 0 || (ch != '\r' && ch != ';'))
                return fail(c, RG_REASON_BAD_CHUNK);
            c->state = STATE_EXTENSION;
            return GO_ON;
        }
        if (c->digits == SIZE_DIGITS_MAX)
            return fail(c, RG_REASON_BAD_CHUNK);
        if (digit == 0 && c->left == 0) {
            int event = take_zero(c, cur);
            if (event != GO_ON)
                return event;
            continue;
        }
        c->left = c->left << 4 | (uint64_t)digit;
        c->digits++;
        cur->at++;
    }
    return RG_CHUNKED_MORE;
}

/* From the byte after the digits to the CR, which is used too. */
static int in_extension(struct rg_chunked *c, struct cursor *cur)
{
    if (cur->at < cur->end && *cur->at != '\r' && has_span(c, cur))
        return RG_CHUNKED_SPAN;
    const char *from = cur->at;
    while (cur->at < cur->end && rg_char_is(*cur->at, RG_CHAR_VALUE))
        cur->at++;
    if (cur->at > from) {
        if (!add_overhead(c, (size_t)(cur->at - from)))
            return fail(c, RG_REASON_CHUNK_OVERHEAD);
        drop(cur);
    }
    if (cur->at == cur->end)
        return RG_CHUNKED_MORE;
    if (*cur->at != '\r')
        return fail(c, RG_REASON_BAD_CHUNK);
    cur->at++;
    if (c->left == 0)
        drop(cur);
    c->state = STATE_SIZE_LF;
    return GO_ON;
}

static int in_size_lf(struct rg_chunked *c, struct cursor *cur)
{
    if (cur->at == cur->end)
        return RG_CHUNKED_MORE;
    if (*cur->at != '\n' || c->left > INT64_MAX)
        return fail(c, RG_REASON_BAD_CHUNK);
    cur->at++;
    c->digits = 0;
    c->state = c->left ? STATE_DATA : STATE_TRAILER;
    if (c->left == 0)
        drop(cur);
    return GO_ON;
}

static int in_data(struct rg_chunked *c, struct cursor *cur)
{
    size_t have = (size_t)(cur->end - cur->at);
    if (c->mode == RG_CHUNKED_DATA)
        drop(cur);
    size_t n = have < c->left ? have : (size_t)c->left;
    cur->at += n;
    c->left -= n;
    c->body_bytes += n;
    if (c->left > 0)
        return RG_CHUNKED_MORE;
    c->state = STATE_DATA_CR;
    return c->mode == RG_CHUNKED_DATA ? RG_CHUNKED_SPAN : GO_ON;
}

/* The CR LF after a chunk's data. */
static int in_data_end(struct rg_chunked *c, struct cursor *cur)
{
    if (cur->at == cur->end)
        return RG_CHUNKED_MORE;
    if (*cur->at != (c->state == STATE_DATA_CR ? '\r' : '\n'))
        return fail(c, RG_REASON_BAD_CHUNK);
    cur->at++;
    c->state = c->state == STATE_DATA_CR ? STATE_DATA_LF : STATE_SIZE;
    return GO_ON;
}

/* ---- The trailer section ---- */

/* Room for lines is asked for only when there are any. */
static int in_trailer(struct rg_chunked *c, struct cursor *cur)
{
    if (cur->at == cur->end)
        return RG_CHUNKED_MORE;
    if (*cur->at == '\r') {
        cur->at++;
        drop(cur);
        c->state = STATE_LAST_LF;
        return GO_ON;
    }
    if (!c->trailer_space)
        return RG_CHUNKED_NEED_TRAILER;
    if (c->mode == RG_CHUNKED_FORWARD) {
        memcpy(c->trailer_space, LAST_CHUNK, sizeof(LAST_CHUNK) - 1);
        c->trailer_len = sizeof(LAST_CHUNK) - 1;
    }
    c->trailer_line = c->trailer_len;
    c->state = STATE_TRAILER_LINES;
    return GO_ON;
}

static int in_last_lf(struct rg_chunked *c, struct cursor *cur)
{
    if (cur->at == cur->end)
        return RG_CHUNKED_MORE;
    if (*cur->at != '\n')
        return fail(c, RG_REASON_BAD_TRAILER);
    cur->at++;
    drop(cur);
    c->state = STATE_END;
    return RG_CHUNKED_END;
}

static bool has_prefix_nocase(struct rg_str s, struct rg_str prefix)
{
    return s.len >= prefix.len && rg_str_eq_nocase((struct rg_str){s.ptr, prefix.len}, prefix);
}

/*
 * Fields that a trailer must not bring in late (RFC 9110 6.5.1): what frames, routes, authenticates or describes the
 * content, what only the gateway may say, and look-alikes of them with '_'.
 */
bool rg_field_is_forbidden_in_trailer(const struct rg_field *f)
{
    struct rg_str name = rg_field_name(f);
    if (f->id != RG_FIELD_OTHER)
        return rg_field_flags((enum rg_field_id)f->id) & (RG_FIELD_IS_NOTRAILER | RG_FIELD_IS_HOP | RG_FIELD_IS_FWD);
    return memchr(name.ptr, '_', name.len) || has_prefix_nocase(name, RG_STR("content-")) ||
           has_prefix_nocase(name, RG_STR("x-forwarded-")) || has_prefix_nocase(name, RG_STR("x-ringgate-")) ||
           has_prefix_nocase(name, RG_STR("x-wso2-internal-"));
}

/* A whole line stands at the end of trailer_space, with its LF. */
static int take_trailer_line(struct rg_chunked *c)
{
    const char *line = c->trailer_space + c->trailer_line;
    size_t len = (size_t)(c->trailer_len - c->trailer_line);
    struct rg_field f;
    if (len < 2 || line[len - 2] != '\r')
        return fail(c, RG_REASON_BAD_TRAILER);
    if (len == 2) {
        c->state = STATE_END;
        return RG_CHUNKED_END;
    }
    if (!rg_h1_parse_field_line(line, len - 2, &f))
        return fail(c, RG_REASON_BAD_TRAILER);
    if (rg_field_is_forbidden_in_trailer(&f))
        c->trailer_len = c->trailer_line;
    c->trailer_line = c->trailer_len;
    return GO_ON;
}

static int in_trailer_lines(struct rg_chunked *c, struct cursor *cur)
{
    while (cur->at < cur->end) {
        const char *lf = memchr(cur->at, '\n', (size_t)(cur->end - cur->at));
        size_t n = (size_t)((lf ? lf + 1 : cur->end) - cur->at);
        /* Dropped lines count too: they need no room, but have no other bound. */
        if (n > (size_t)(RG_TRAILER_MAX - c->trailer_len) || n > (size_t)(RG_TRAILER_MAX - c->trailer_seen))
            return fail(c, RG_REASON_TRAILER_TOO_LARGE);
        memcpy(c->trailer_space + c->trailer_len, cur->at, n);
        c->trailer_len = (uint16_t)(c->trailer_len + n);
        c->trailer_seen = (uint16_t)(c->trailer_seen + n);
        cur->at += n;
        drop(cur);
        int event = lf ? take_trailer_line(c) : GO_ON;
        if (event != GO_ON)
            return event;
    }
    return RG_CHUNKED_MORE;
}

/* ---- The machine ---- */

static int run_state(struct rg_chunked *c, struct cursor *cur)
{
    switch ((enum state)c->state) {
    case STATE_SIZE:
        return in_size(c, cur);
    case STATE_EXTENSION:
        return in_extension(c, cur);
    case STATE_SIZE_LF:
        return in_size_lf(c, cur);
    case STATE_DATA:
        return in_data(c, cur);
    case STATE_DATA_CR:
    case STATE_DATA_LF:
        return in_data_end(c, cur);
    case STATE_TRAILER:
        return in_trailer(c, cur);
    case STATE_TRAILER_LINES:
        return in_trailer_lines(c, cur);
    case STATE_LAST_LF:
        return in_last_lf(c, cur);
    case STATE_END:
        return RG_CHUNKED_END;
    case STATE_BAD:
        break;
    }
    return RG_CHUNKED_BAD;
}

/* The bytes to pass on with an event, from wherever they stand. */
static struct rg_str span_of(const struct rg_chunked *c, const struct cursor *cur, int event, bool ends_now)
{
    struct rg_str span = {cur->span, (size_t)(cur->at - cur->span)};
    if (event == RG_CHUNKED_BAD)
        return RG_STR_NONE;
    if (c->mode == RG_CHUNKED_DATA) /* at the end of a chunk's data, or within it */
        return event == RG_CHUNKED_SPAN || c->state == STATE_DATA ? span : RG_STR_NONE;
    if (event == RG_CHUNKED_END && span.len == 0 && ends_now)
        return c->trailer_len ? (struct rg_str){c->trailer_space, c->trailer_len} : RG_STR(LAST_LINES);
    return span;
}

enum rg_chunked_event rg_chunked_step(struct rg_chunked *c, const char *in, size_t len, size_t *used,
                                      struct rg_str *span)
{
    struct cursor cur = {.in = in, .at = in, .end = in + len, .span = in};
    bool ends_now = c->state != STATE_END;
    int event;
    do
        event = run_state(c, &cur);
    while (event == GO_ON);
    *used = (size_t)(cur.at - in);
    *span = span_of(c, &cur, event, ends_now);
    return (enum rg_chunked_event)event;
}
