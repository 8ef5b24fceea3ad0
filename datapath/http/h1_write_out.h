/*
 * What the writers of request and response heads share: a bounded cursor, and the copying of the field lines that stay.
 * Private to datapath/http/h*_write*.c. Pure, thread: any.
 */
#ifndef RG_HTTP_H1_WRITE_OUT_H
#define RG_HTTP_H1_WRITE_OUT_H

#include "datapath/base/assert.h"
#include "datapath/http/h1_write.h"

#define FIELD_BIT(id) (UINT64_C(1) << (id))
_Static_assert(RG_FIELD_COUNT <= 64, "sets of known fields are 64-bit masks");

/* Sets of known fields, by flag in fields.def. */
extern const uint64_t rg_h1_write_hop_ids;
extern const uint64_t rg_h1_write_forward_ids;

/* Writes past end are refused whole and remembered, so callers look once, at the end. */
struct out {
    char *begin;
    char *at;
    char *end;
    bool is_full;
};

static inline struct out out_init(char *buf, size_t cap)
{
    return (struct out){buf, buf, buf + (cap < INT32_MAX ? cap : INT32_MAX), false};
}

static inline int32_t out_len(const struct out *o)
{
    return o->is_full ? -1 : (int32_t)(o->at - o->begin);
}

/* Most pieces are short: two overlapping moves of a fixed size beat a call of memcpy. */
static inline void copy_short(char *to, const char *from, size_t n)
{
    if (n >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + n - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + n - 8, &last, 8);
    } else if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + n - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + n - 4, &last, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = from[i];
    }
}

/* Room for n bytes at o->at. */
static inline bool out_has_room(struct out *o, size_t n)
{
    if (RG_LIKELY(n <= (size_t)(o->end - o->at)))
        return true;
    o->is_full = true;
    return false;
}

/* Where there is room. Returns the byte after what was written. */
static inline char *put_bytes(char *to, const char *p, size_t n)
{
    if (__builtin_constant_p(n) || n > 16)
        memcpy(to, p, n);
    else
        copy_short(to, p, n);
    return to + n;
}

static inline void out_bytes(struct out *o, const char *p, size_t n)
{
    if (out_has_room(o, n))
        o->at = put_bytes(o->at, p, n);
}

#define out_lit(o, lit) out_bytes(o, lit, sizeof(lit) - 1)

static inline void out_str(struct out *o, struct rg_str s)
{
    if (s.len != 0)
        out_bytes(o, s.ptr, s.len);
}

static inline void out_char(struct out *o, char c)
{
    out_bytes(o, &c, 1);
}

static inline void out_uint(struct out *o, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    out_bytes(o, digits + at, sizeof(digits) - at);
}

/* A whole field line. The name comes with its colon and space; it is constant, so that its length is. */
static inline __attribute__((always_inline)) void out_line(struct out *o, const char *name, size_t name_len,
                                                           struct rg_str value)
{
    if (!out_has_room(o, name_len + value.len + 2))
        return;
    char *at = put_bytes(o->at, name, name_len);
    at = put_bytes(at, value.ptr, value.len);
    o->at = put_bytes(at, "\r\n", 2);
}

#define out_field(o, name, value) out_line(o, name ": ", sizeof(name ": ") - 1, value)

#define out_field_uint(o, name, value) \
    do {                               \
        out_lit(o, name ": ");         \
        out_uint(o, value);            \
        out_lit(o, "\r\n");            \
    } while (0)

/* Which fields of a message stay. */
struct selection {
    uint64_t drop_ids;                /* known fields that go */
    const struct rg_framing *framing; /* its listed names go, too */
    bool drop_internal;               /* names that only our own side may use go */
    bool drop_lookalikes;             /* names that differ from a guarded one in punctuation only go */
};

bool rg_h1_write_stays(const struct rg_field *f, const struct selection *s);
/* Known fields of a response that don't go to the client as they are. */
uint64_t rg_h1_write_dropped_of_response(const struct rg_h1_response *res, const struct rg_framing *framing,
                                         const struct rg_response_options *opt);

/* Copies the lines that stay, consecutive ones at once. Returns the set of known fields that the message has. */
uint64_t rg_h1_write_fields(struct out *o, const struct rg_field *fields, unsigned n, const struct selection *s);

/* Lines of the gateway's own, "Name: value\r\n" each, as they are. */
void rg_h1_write_added(struct out *o, const struct rg_field *fields, unsigned n);

/* The values of all lines of a field as one list, each followed by ", ". */
void rg_h1_write_list(struct out *o, const struct rg_field *fields, unsigned n, enum rg_field_id id);

/* The Via field, extended by this hop. present: the message has one already. version: the message's, 0 is HTTP/1.0, 1
 * is HTTP/1.1, 2 is HTTP/2. */
void rg_h1_write_via(struct out *o, const struct rg_field *fields, unsigned n, bool present, uint8_t version);

#endif
