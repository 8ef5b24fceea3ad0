/* pump.h: the same body, however it is cut, comes out whole and in the framing that the other side needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "datapath/pump.h"

#define BODY_MAX (1u << 20)

static struct rg_bufs bufs;
static char wire[2 * BODY_MAX], sent[2 * BODY_MAX];
static size_t n_sent;

static int make(void **state)
{
    (void)state;
    rg_bufs_init(&bufs, 32u << 20);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    rg_bufs_fini(&bufs);
    return 0;
}

static void take_output(struct rg_output *out, size_t most)
{
    struct iovec iov[RG_OUT_SEGMENTS];
    unsigned n = rg_output_iov(out, iov);
    size_t left = most;
    for (unsigned i = 0; i < n && left > 0; i++) {
        size_t here = iov[i].iov_len < left ? iov[i].iov_len : left;
        memcpy(sent + n_sent, iov[i].iov_base, here);
        n_sent += here;
        left -= here;
    }
    rg_output_sent(out, (uint32_t)(most - left));
}

static void push(struct rg_input *in, const char *data, size_t n)
{
    struct rg_buf *b = n > RG_BUF_SMALL_CAP ? rg_buf_get_bulk(&bufs) : rg_buf_get_small(&bufs);
    assert_non_null(b);
    memcpy(b->data, data, n);
    b->len = (uint32_t)n;
    rg_input_push(in, b);
}

/* Feeds wire[0..len) in random pieces and sends in random amounts. Returns the last result. */
static enum rg_pump_result flow(struct rg_pump *p, size_t len)
{
    struct rg_input in = {0};
    struct rg_output out = {0};
    size_t fed = 0;
    enum rg_pump_result r = RG_PUMP_OK;
    n_sent = 0;
    while (!p->done && (fed < len || in.bytes > 0)) {
        if (fed < len && in.bytes < 100000) {
            size_t most = rand() % 4 == 0 ? RG_BUF_BULK_CAP : 300;
            size_t n = 1 + (size_t)rand() % most;
            n = n < len - fed ? n : len - fed;
            push(&in, wire + fed, n);
            fed += n;
        }
        r = rg_pump_run(p, &in, &out, &bufs);
        assert_true(out.bytes <= RG_PUMP_HIGH + RG_BUF_BULK);
        if (r == RG_PUMP_BAD || r == RG_PUMP_NO_BUF)
            break;
        take_output(&out, (size_t)rand() % 200000);
    }
    if (r == RG_PUMP_OK || r == RG_PUMP_FULL)
        if (!p->done)
            r = rg_pump_eof(p, &out, &bufs);
    take_output(&out, out.bytes);
    rg_input_clear(&in);
    rg_output_clear(&out);
    rg_pump_fini(p);
    return r;
}

static void fill(char *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)('a' + (i * 31 + i / 251) % 26);
}

static void a_length_is_counted_exactly(void **state)
{
    (void)state;
    srand(1);
    const size_t sizes[] = {1, 2, 4095, 4096, 4097, 65535, 65536, 65537, BODY_MAX};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct rg_pump p;
        struct rg_framing f = {.kind = RG_BODY_LENGTH, .length = sizes[i]};
        fill(wire, sizes[i] + 100);
        rg_pump_init(&p, &f, RG_CHUNKED_FORWARD);
        assert_int_equal(flow(&p, sizes[i] + 100), RG_PUMP_OK);
        assert_true(p.done);
        assert_int_equal(n_sent, sizes[i]); /* what follows the body stays behind */
        assert_memory_equal(sent, wire, sizes[i]);
        assert_int_equal(p.bytes, sizes[i]);
    }
}

static void an_early_end_is_no_end(void **state)
{
    (void)state;
    struct rg_pump p;
    struct rg_framing length = {.kind = RG_BODY_LENGTH, .length = 100}, chunked = {.kind = RG_BODY_CHUNKED};
    fill(wire, 99);
    rg_pump_init(&p, &length, RG_CHUNKED_FORWARD);
    assert_int_equal(flow(&p, 99), RG_PUMP_BAD);
    memcpy(wire, "5\r\nhello\r\n", 10);
    rg_pump_init(&p, &chunked, RG_CHUNKED_FORWARD);
    assert_int_equal(flow(&p, 10), RG_PUMP_BAD);
    assert_false(p.done);
}

static size_t encode(const char *body, size_t n)
{
    size_t at = 0;
    while (n > 0) {
        size_t chunk = 1 + (size_t)rand() % 5000;
        chunk = chunk < n ? chunk : n;
        at += (size_t)sprintf(wire + at, "%zx%s\r\n", chunk, rand() % 8 == 0 ? ";note=\"x\"" : "");
        memcpy(wire + at, body, chunk);
        at += chunk;
        memcpy(wire + at, "\r\n", 2);
        at += 2;
        body += chunk;
        n -= chunk;
    }
    return at + (size_t)sprintf(wire + at, "0\r\nX-Sum: 1\r\nContent-Length: 7\r\n\r\n");
}

static size_t decode(const char *from, size_t n, char *to)
{
    struct rg_chunked c;
    char trailer[RG_TRAILER_MAX];
    size_t out = 0;
    rg_chunked_init(&c, RG_CHUNKED_DATA);
    for (;;) {
        struct rg_str span = RG_STR_NONE;
        size_t used = 0;
        enum rg_chunked_event e = rg_chunked_step(&c, from, n, &used, &span);
        assert_true(e != RG_CHUNKED_BAD && e != RG_CHUNKED_MORE);
        if (e == RG_CHUNKED_NEED_TRAILER)
            c.trailer_space = trailer;
        if (span.len > 0)
            memcpy(to + out, span.ptr, span.len);
        out += span.len;
        from += used;
        n -= used;
        if (e == RG_CHUNKED_END)
            return out;
    }
}

static char body[BODY_MAX], decoded[2 * BODY_MAX];

static void chunked_stays_chunked_without_what_is_forbidden(void **state)
{
    (void)state;
    srand(2);
    for (unsigned round = 0; round < 200; round++) {
        size_t n = (size_t)rand() % 40000;
        struct rg_pump p;
        struct rg_framing f = {.kind = RG_BODY_CHUNKED};
        fill(body, n);
        size_t len = encode(body, n);
        rg_pump_init(&p, &f, RG_CHUNKED_FORWARD);
        assert_int_equal(flow(&p, len), RG_PUMP_OK);
        assert_int_equal(decode(sent, n_sent, decoded), n);
        assert_memory_equal(decoded, body, n);
        assert_int_equal(p.bytes, n);
        sent[n_sent] = '\0';
        assert_null(strstr(sent, "note="));
        assert_null(strstr(sent, "Content-Length"));
        assert_non_null(strstr(sent, "X-Sum: 1\r\n\r\n"));
    }
}

static void chunked_becomes_plain_for_http10(void **state)
{
    (void)state;
    srand(3);
    struct rg_pump p;
    struct rg_framing f = {.kind = RG_BODY_CHUNKED};
    fill(body, 100000);
    size_t len = encode(body, 100000);
    rg_pump_init(&p, &f, RG_CHUNKED_DATA);
    assert_int_equal(flow(&p, len), RG_PUMP_OK);
    assert_int_equal(n_sent, 100000);
    assert_memory_equal(sent, body, 100000);
}

static void until_the_end_becomes_chunked(void **state)
{
    (void)state;
    srand(4);
    for (unsigned round = 0; round < 50; round++) {
        size_t n = (size_t)rand() % 200000;
        struct rg_pump p;
        struct rg_framing f = {.kind = RG_BODY_EOF};
        fill(wire, n);
        rg_pump_init(&p, &f, RG_CHUNKED_FORWARD);
        p.add_chunks = true;
        assert_int_equal(flow(&p, n), RG_PUMP_OK);
        assert_true(p.done);
        assert_int_equal(decode(sent, n_sent, decoded), n);
        assert_memory_equal(decoded, wire, n);
    }
}

static void the_limit_counts_decoded_bytes(void **state)
{
    (void)state;
    srand(5);
    struct rg_pump p;
    struct rg_framing f = {.kind = RG_BODY_CHUNKED};
    fill(body, 10000);
    size_t len = encode(body, 10000);
    rg_pump_init(&p, &f, RG_CHUNKED_FORWARD);
    p.max_bytes = 9999;
    assert_int_equal(flow(&p, len), RG_PUMP_BAD);
    assert_int_equal(p.reason, RG_REASON_BODY_TOO_LARGE);
    rg_pump_init(&p, &f, RG_CHUNKED_FORWARD);
    p.max_bytes = 10000;
    assert_int_equal(flow(&p, len), RG_PUMP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_is_counted_exactly),
        cmocka_unit_test(an_early_end_is_no_end),
        cmocka_unit_test(chunked_stays_chunked_without_what_is_forbidden),
        cmocka_unit_test(chunked_becomes_plain_for_http10),
        cmocka_unit_test(until_the_end_becomes_chunked),
        cmocka_unit_test(the_limit_counts_decoded_bytes),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
