/*
 * The response reader: lines are looked at where they were received; only one that arrives in pieces is kept.
 * Thread: that of the connection.
 */
#include "bench/load/reader.h"

#include <string.h>
#include <strings.h>

void rg_reader_begin(struct rg_reader *r, bool is_head)
{
    memset(r, 0, offsetof(struct rg_reader, line));
    r->is_head = is_head;
}

void rg_reader_begin_upgrade(struct rg_reader *r)
{
    rg_reader_begin(r, false);
    r->may_switch = true;
}

void rg_reader_begin_message(struct rg_reader *r)
{
    rg_reader_begin(r, false);
    r->step = RG_READER_FRAME;
    r->status = 200;
    r->keep = true;
}

static void fail(struct rg_reader *r, const char *why)
{
    r->step = RG_READER_BAD;
    r->why = why;
}

/* ---- status line and fields ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void take_status_line(struct rg_reader *r, const char *p, size_t n)
{
    /* HTTP/1.x SP 3DIGIT [SP reason] */
    bool ok = n >= 12 && memcmp(p, "HTTP/1.", 7) == 0 && (p[7] == '0' || p[7] == '1') && p[8] == ' ' &&
              is_digit(p[9]) && is_digit(p[10]) && is_digit(p[11]) && (n == 12 || p[12] == ' ');
    r->status = ok ? (uint16_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0')) : 0;
    if (r->status < 100 || r->status > 599)
        return fail(r, "no HTTP/1 status line");
    r->keep = p[7] == '1';
    r->step = RG_READER_FIELDS;
}

static void take_length(struct rg_reader *r, const char *p, size_t n)
{
    uint64_t length = 0;
    if (n == 0 || n > 18)
        return fail(r, "Content-Length is no number");
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(p[i]))
            return fail(r, "Content-Length is no number");
        length = length * 10 + (uint64_t)(p[i] - '0');
    }
    if (r->has_length && r->left != length)
        return fail(r, "two different values of Content-Length");
    r->has_length = true;
    r->left = length;
}

static bool is_word(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

static void trim(const char **p, size_t *n)
{
    while (*n && (**p == ' ' || **p == '\t')) {
        (*p)++;
        (*n)--;
    }
    while (*n && ((*p)[*n - 1] == ' ' || (*p)[*n - 1] == '\t'))
        (*n)--;
}

static void take_connection(struct rg_reader *r, const char *p, size_t n)
{
    while (n) {
        const char *comma = memchr(p, ',', n);
        size_t part = comma ? (size_t)(comma - p) : n, token = part;
        const char *start = p;
        trim(&start, &token);
        if (is_word(start, token, "close"))
            r->keep = false;
        else if (is_word(start, token, "keep-alive"))
            r->keep = true;
        p += comma ? part + 1 : part;
        n -= comma ? part + 1 : part;
    }
}

/* Chunked must be the last coding, and only once; without it the body goes on to the connection's end. */
static void take_coding(struct rg_reader *r, const char *p, size_t n)
{
    if (r->chunked)
        return fail(r, "a transfer coding after chunked");
    r->coded = true;
    while (n) {
        const char *comma = memchr(p, ',', n);
        size_t part = comma ? (size_t)(comma - p) : n, token = part;
        const char *start = p;
        trim(&start, &token);
        if (token && r->chunked)
            return fail(r, "a transfer coding after chunked");
        r->chunked |= is_word(start, token, "chunked");
        p += comma ? part + 1 : part;
        n -= comma ? part + 1 : part;
    }
}

static void take_field(struct rg_reader *r, const char *p, size_t n)
{
    const char *colon = memchr(p, ':', n);
    if (!colon || colon == p)
        return fail(r, "a field without a name or a colon");
    size_t name = (size_t)(colon - p), value_n = n - name - 1;
    const char *value = colon + 1;
    /* Three names matter, each with a length of its own: most fields are passed over by one comparison. */
    if (name != 10 && name != 14 && name != 17)
        return;
    trim(&value, &value_n);
    if (is_word(p, name, "content-length"))
        take_length(r, value, value_n);
    else if (is_word(p, name, "transfer-encoding"))
        take_coding(r, value, value_n);
    else if (is_word(p, name, "connection"))
        take_connection(r, value, value_n);
}

/* After the empty line: which body follows (RFC 9112 section 6.3). */
static void end_head(struct rg_reader *r)
{
    if (r->status < 200) {
        bool is_head = r->is_head, may_switch = r->may_switch;
        if (r->status == 101 && may_switch)
            r->step = RG_READER_DONE;
        else if (r->status == 101)
            fail(r, "status 101, not asked for");
        if (r->status == 101)
            return;
        rg_reader_begin(r, is_head);
        r->may_switch = may_switch;
        r->begun = true;
        return;
    }
    if (r->coded && r->has_length)
        return fail(r, "both Transfer-Encoding and Content-Length");
    if (r->is_head || r->status == 204 || r->status == 304)
        r->step = RG_READER_DONE;
    else if (r->chunked)
        r->step = RG_READER_CHUNK_SIZE;
    else if (r->has_length)
        r->step = r->left ? RG_READER_COUNTED : RG_READER_DONE;
    else
        r->step = RG_READER_TO_END;
    r->keep &= r->step != RG_READER_TO_END;
}

/* ---- chunks ---- */

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void take_chunk_size(struct rg_reader *r, const char *p, size_t n)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < n && hex_digit(p[i]) >= 0; i++) {
        if (i == 15)
            return fail(r, "a chunk's size is too long");
        size = size << 4 | (uint64_t)hex_digit(p[i]);
    }
    if (i == 0 || (i < n && !strchr("; \t", p[i])))
        return fail(r, "a chunk's size is no number");
    r->left = size;
    r->head = 0;
    r->step = size ? RG_READER_CHUNK : RG_READER_TRAILERS;
}

/* ---- frames (RFC 6455 section 5.2) ---- */

static size_t frame_head_length(const struct rg_reader *r)
{
    unsigned length = r->line_kept < 2 ? 0 : (unsigned char)r->line[1] & 0x7f;
    return length == 127 ? 10 : length == 126 ? 4 : 2;
}

static void take_frame_head(struct rg_reader *r)
{
    const unsigned char *head = (const unsigned char *)r->line;
    size_t n = frame_head_length(r);
    uint64_t length = n == 2 ? head[1] : 0;
    if (head[0] != 0x82 || head[1] & 0x80)
        return fail(r, "no whole message of binary data");
    for (size_t i = 2; i < n; i++)
        length = length << 8 | head[i];
    r->line_kept = 0;
    r->left = length;
    r->step = length ? RG_READER_COUNTED : RG_READER_DONE;
}

static size_t feed_frame_head(struct rg_reader *r, const char *p, size_t n)
{
    size_t used = 0;
    while (used < n && r->line_kept < frame_head_length(r))
        r->line[r->line_kept++] = p[used++];
    if (r->line_kept >= 2 && r->line_kept == frame_head_length(r))
        take_frame_head(r);
    return used;
}

/* ---- the machine ---- */

static void take_line(struct rg_reader *r, const char *p, size_t n)
{
    if (n == 0 || p[n - 1] != '\r')
        return fail(r, "a line that does not end with CR LF");
    n--;
    switch ((enum rg_reader_step)r->step) {
    case RG_READER_STATUS:
        return take_status_line(r, p, n);
    case RG_READER_FIELDS:
        return n ? take_field(r, p, n) : end_head(r);
    case RG_READER_CHUNK_SIZE:
        return take_chunk_size(r, p, n);
    case RG_READER_CHUNK_END:
        if (n)
            return fail(r, "a chunk is longer than its size");
        r->step = RG_READER_CHUNK_SIZE;
        return;
    case RG_READER_TRAILERS:
        if (n == 0)
            r->step = RG_READER_DONE;
        return;
    default:
        return fail(r, "a line where none belongs");
    }
}

/* Keeps a piece of a line. What does not fit is dropped: lines whose end matters are shorter. */
static void keep_piece(struct rg_reader *r, const char *p, size_t n)
{
    size_t room = RG_READER_LINE - r->line_kept;
    size_t kept = n < room ? n : room;
    memcpy(r->line + r->line_kept, p, kept);
    r->line_kept = (uint16_t)(r->line_kept + kept);
}

/* A line that came in pieces is complete. One that was too long to keep must not be one whose end matters. */
static void take_kept_line(struct rg_reader *r, size_t last, char before_end)
{
    size_t n = r->line_kept;
    r->line_kept = 0;
    if (n < RG_READER_LINE)
        return take_line(r, r->line, n);
    static const char *const names[] = {"content-length:", "transfer-encoding:", "connection:"};
    for (size_t i = 0; r->step == RG_READER_FIELDS && i < sizeof names / sizeof *names; i++)
        if (strncasecmp(r->line, names[i], strlen(names[i])) == 0)
            return fail(r, "a field of the framing is longer than 240 bytes");
    if (last && before_end != '\r')
        return fail(r, "a line that does not end with CR LF");
    r->line[RG_READER_LINE - 1] = '\r';
    take_line(r, r->line, RG_READER_LINE);
}

static size_t feed_line(struct rg_reader *r, const char *p, size_t n)
{
    const char *end = memchr(p, '\n', n);
    size_t length = end ? (size_t)(end - p) : n;
    r->head += (uint32_t)length + 1;
    if (r->head > RG_READER_HEAD) {
        fail(r, "a head longer than 64 KiB");
    } else if (!end) {
        keep_piece(r, p, n);
    } else if (r->line_kept == 0) {
        take_line(r, p, length);
    } else {
        keep_piece(r, p, length);
        take_kept_line(r, length, length ? p[length - 1] : '\0');
    }
    return end ? length + 1 : n;
}

enum rg_reader_step rg_reader_skip(struct rg_reader *r, uint64_t n)
{
    if (r->step == RG_READER_TO_END)
        return RG_READER_TO_END;
    r->left -= n;
    if (r->left == 0) {
        r->head = 0;
        r->step = r->step == RG_READER_CHUNK ? RG_READER_CHUNK_END : RG_READER_DONE;
    }
    return (enum rg_reader_step)r->step;
}

uint64_t rg_reader_discardable(const struct rg_reader *r)
{
    return r->step == RG_READER_COUNTED || r->step == RG_READER_CHUNK ? r->left : 0;
}

enum rg_reader_step rg_reader_feed(struct rg_reader *r, const char *data, size_t n, size_t *ret_used)
{
    size_t used = 0;
    r->begun |= n > 0;
    while (used < n && r->step < RG_READER_DONE) {
        uint64_t body = r->step == RG_READER_TO_END ? UINT64_MAX : rg_reader_discardable(r);
        if (body) {
            size_t part = n - used < body ? n - used : (size_t)body;
            rg_reader_skip(r, part);
            used += part;
        } else if (r->step == RG_READER_FRAME) {
            used += feed_frame_head(r, data + used, n - used);
        } else {
            used += feed_line(r, data + used, n - used);
        }
    }
    *ret_used = used;
    return (enum rg_reader_step)r->step;
}

enum rg_reader_step rg_reader_end(struct rg_reader *r)
{
    if (r->step == RG_READER_TO_END)
        r->step = RG_READER_DONE;
    else if (r->step != RG_READER_DONE)
        fail(r, "the connection ended within the response");
    return (enum rg_reader_step)r->step;
}
