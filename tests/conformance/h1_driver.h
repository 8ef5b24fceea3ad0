/*
 * Runs a whole HTTP/1 message through parser, framing and chunk decoder, cut into any pieces, and keeps all that came
 * out. Shared by the vectors, the comparison with llhttp and the fuzz targets.
 *
 * Input is always placed against an unreadable page, before or behind it, so a read outside of it faults. What must
 * hold for any input (views inside the buffer, a forwarded body that decodes to the same) is checked on the way: abort.
 */
#ifndef RG_TESTS_H1_DRIVER_H
#define RG_TESTS_H1_DRIVER_H

#include "datapath/http/h1_framing.h"

/* Bytes that grow. */
struct h1_bytes {
    char *ptr;
    size_t len, cap;
};
void h1_bytes_add(struct h1_bytes *b, const char *ptr, size_t len);
void h1_bytes_print(struct h1_bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With \r, \n, \t, \\ and \xNN for all that is not printable. */
void h1_bytes_escape(struct h1_bytes *b, const char *ptr, size_t len);
void h1_bytes_fini(struct h1_bytes *b);
bool h1_bytes_eq(const struct h1_bytes *a, const struct h1_bytes *b);

/* Where the input is cut: ends of the pieces, ascending, the last one is the input's length. */
struct h1_pieces {
    const size_t *ends;
    size_t n;
};

enum h1_state { H1_HEAD_MORE, H1_BODY_MORE, H1_REFUSED, H1_COMPLETE };

struct h1_run {
    /* Set by the caller: */
    bool is_response;
    struct rg_h1_limits limits;
    struct rg_framing_options framing_options;
    enum rg_method request_method; /* of the request that a response answers */
    bool upgrade_asked;
    bool guard_before; /* the unreadable page is before the input, not behind it */
    /* What came out: */
    enum h1_state state;
    enum rg_reason reason; /* H1_REFUSED */
    bool in_body;          /* H1_REFUSED: by the chunk decoder */
    int32_t head_len;
    size_t used;     /* bytes of the message */
    const char *buf; /* the head, as placed; views point into it */
    struct rg_h1_request req;
    struct rg_h1_response res;
    struct rg_field fields[RG_H1_FIELDS_MAX];
    struct rg_framing framing;
    struct h1_bytes content; /* the body, decoded */
    struct h1_bytes forward; /* of a chunked body: what is forwarded */
};

#define H1_DEFAULT_LIMITS                                                              \
    (struct rg_h1_limits)                                                              \
    {                                                                                  \
        .head_bytes = 32768, .field_bytes = 16384, .target_bytes = 8192, .fields = 100 \
    }

void h1_run(struct h1_run *r, const char *in, size_t len, struct h1_pieces pieces);
void h1_run_whole(struct h1_run *r, const char *in, size_t len);
void h1_run_fini(struct h1_run *r);

/*
 * All that came out, as text: two runs over the same bytes, however cut, must give the same. The parser may wait for
 * more bytes before it looks again, so h1_run looks at the whole input once more when a cut head seems incomplete.
 */
void h1_summary(const struct h1_run *r, struct h1_bytes *ret);

/* A body alone: how the decoder ends (END, BAD, or MORE), and what it passed on. */
enum rg_chunked_event h1_dechunk(enum rg_chunked_mode mode, const char *in, size_t len, struct h1_pieces pieces,
                                 struct h1_bytes *out, size_t *used, enum rg_reason *reason);

/* What a canonical body that was forwarded must be: it decodes to content, and forwarding it again changes nothing. */
void h1_check_forward(const struct h1_bytes *forward, const struct h1_bytes *content);

#define H1_CHECK(cond) ((cond) ? (void)0 : h1_check_failed(#cond, __FILE__, __LINE__))
_Noreturn void h1_check_failed(const char *what, const char *file, int line);

/* A copy of the bytes whose end (or start) touches an unreadable page; valid until the next call for the same slot (0
 * to 3). */
const char *h1_guard(unsigned slot, const char *ptr, size_t len, bool before);
#define H1_GUARD_MAX (1u << 20)

/* Small seeded generator (splitmix64), the same on every machine. */
static inline uint64_t h1_random(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
static inline size_t h1_random_below(uint64_t *seed, size_t n)
{
    return (size_t)(h1_random(seed) % n);
}

/* Cuts at random places into at most max pieces; ends has room for them. */
struct h1_pieces h1_random_pieces(uint64_t *seed, size_t len, size_t *ends, size_t max);

#endif
