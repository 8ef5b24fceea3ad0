/* The load generator's response reader: every response is fed whole, byte by byte, and cut in two at every place. */
#include "bench/load/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *bytes;
    bool is_head;
    enum rg_reader_step step; /* after all bytes */
    unsigned status;
    bool keep;
    size_t surplus; /* bytes behind the response */
};

#define OK "HTTP/1.1 200 OK\r\n"

static const struct row ROWS[] = {
    {OK "Content-Length: 5\r\n\r\nhello", false, RG_READER_DONE, 200, true, 0},
    {OK "content-LENGTH:5 \r\n\r\nhello", false, RG_READER_DONE, 200, true, 0},
    {OK "Content-Length: 5\r\n\r\nhelloHTTP", false, RG_READER_DONE, 200, true, 4},
    {OK "Content-Length: 5\r\n\r\nhell", false, RG_READER_COUNTED, 200, true, 0},
    {OK "Content-Length: 0\r\n\r\n", false, RG_READER_DONE, 200, true, 0},
    {OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", false, RG_READER_DONE, 200, true, 0},
    {OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", false, RG_READER_BAD, 200, true, 0},
    {OK "Content-Length: 5, 5\r\n\r\nhello", false, RG_READER_BAD, 200, true, 0},
    {OK "Content-Length: -5\r\n\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK "Content-Length:\r\n\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK "Content-Length: 5\r\n\r\n", true, RG_READER_DONE, 200, true, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n", true, RG_READER_DONE, 200, true, 0},
    {"HTTP/1.1 204 No Content\r\n\r\n", false, RG_READER_DONE, 204, true, 0},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, RG_READER_DONE, 304, true, 0},
    {"HTTP/1.1 503\r\nContent-Length: 2\r\n\r\nno", false, RG_READER_DONE, 503, true, 0},
    {OK "Connection: close\r\nContent-Length: 2\r\n\r\nhi", false, RG_READER_DONE, 200, false, 0},
    {OK "Connection: x, Close\r\nContent-Length: 2\r\n\r\nhi", false, RG_READER_DONE, 200, false, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, RG_READER_DONE, 200, false, 0},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", false, RG_READER_DONE, 200, true, 0},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK "Content-Length: 1\r\n\r\nx",
     false, RG_READER_DONE, 200, true, 0},
    {"HTTP/1.1 100 Continue\r\n\r\n", true, RG_READER_STATUS, 0, false, 0},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", false, RG_READER_BAD, 101, true, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, RG_READER_DONE, 200, true, 0},
    {OK "Transfer-Encoding: gzip, Chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n!", false,
     RG_READER_DONE, 200, true, 1},
    {OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n1234567890abcdef\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK "Transfer-Encoding: chunked, gzip\r\n\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK "Transfer-Encoding: gzip\r\n\r\nabc", false, RG_READER_TO_END, 200, false, 0},
    {OK "\r\nuntil the end", false, RG_READER_TO_END, 200, false, 0},
    {OK "No colon\r\n\r\n", false, RG_READER_BAD, 200, true, 0},
    {OK ": no name\r\n\r\n", false, RG_READER_BAD, 200, true, 0},
    {"HTTP/1.1 200 OK\nContent-Length: 0\n\n", false, RG_READER_BAD, 0, false, 0},
    {"HTTP/2 200 OK\r\n\r\n", false, RG_READER_BAD, 0, false, 0},
    {"HTTP/1.1 2000 OK\r\n\r\n", false, RG_READER_BAD, 0, false, 0},
    {"HTTP/1.1 099 OK\r\n\r\n", false, RG_READER_BAD, 0, false, 0},
    {"SSH-2.0-OpenSSH_9.2\r\n", false, RG_READER_BAD, 0, false, 0},
    {"", false, RG_READER_STATUS, 0, false, 0},
};

/* Pieces of the given size, but the first of another; each in memory of its own, so that reading past it is found. */
static void feed_and_check(const struct row *row, size_t first, size_t piece)
{
    struct rg_reader r;
    size_t n = strlen(row->bytes), at = 0, used = 0, size = first;
    enum rg_reader_step step = RG_READER_STATUS;
    rg_reader_begin(&r, row->is_head);
    while (at < n && step < RG_READER_DONE) {
        size = size < n - at ? size : n - at;
        char *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, row->bytes + at, size);
        step = rg_reader_feed(&r, copy, size, &used);
        free(copy);
        assert_true(used == size || step >= RG_READER_DONE);
        at += used;
        size = piece;
    }
    if (step != row->step || (step == RG_READER_DONE && n - at != row->surplus))
        fail_msg("%s: cut %zu/%zu: step %d, wanted %d, %zu bytes left", row->bytes, first, piece, step, row->step,
                 n - at);
    if (step == RG_READER_BAD) {
        assert_non_null(r.why);
        return;
    }
    assert_int_equal(r.status, row->status);
    assert_int_equal(r.keep, row->keep);
    assert_int_equal(r.begun, n > 0);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        size_t n = strlen(ROWS[i].bytes);
        feed_and_check(&ROWS[i], n, n);
        feed_and_check(&ROWS[i], 1, 1);
        for (size_t cut = 1; cut < n; cut++)
            feed_and_check(&ROWS[i], cut, n);
    }
}

static enum rg_reader_step feed(struct rg_reader *r, const char *bytes)
{
    size_t used;
    return rg_reader_feed(r, bytes, strlen(bytes), &used);
}

static void test_the_end_of_the_connection(void **state)
{
    (void)state;
    struct rg_reader r;
    rg_reader_begin(&r, false);
    feed(&r, OK "\r\nsome");
    assert_int_equal(rg_reader_end(&r), RG_READER_DONE);
    rg_reader_begin(&r, false);
    feed(&r, OK "Content-Length: 5\r\n\r\nhell");
    assert_int_equal(rg_reader_end(&r), RG_READER_BAD);
    rg_reader_begin(&r, false);
    feed(&r, OK "Transfer-Encoding: chunked\r\n\r\n0\r\n");
    assert_int_equal(rg_reader_end(&r), RG_READER_BAD);
    rg_reader_begin(&r, false);
    assert_int_equal(rg_reader_end(&r), RG_READER_BAD);
    assert_false(r.begun);
}

static void test_discarding(void **state)
{
    (void)state;
    struct rg_reader r;
    rg_reader_begin(&r, false);
    assert_true(rg_reader_discardable(&r) == 0);
    feed(&r, OK "Content-Length: 1000000\r\n\r\nabc");
    assert_true(rg_reader_discardable(&r) == 999997);
    assert_int_equal(rg_reader_skip(&r, 999996), RG_READER_COUNTED);
    assert_int_equal(rg_reader_skip(&r, 1), RG_READER_DONE);
    rg_reader_begin(&r, false);
    feed(&r, OK "Transfer-Encoding: chunked\r\n\r\n10000\r\n");
    assert_true(rg_reader_discardable(&r) == 65536);
    assert_int_equal(rg_reader_skip(&r, 65536), RG_READER_CHUNK_END);
    assert_true(rg_reader_discardable(&r) == 0);
    assert_int_equal(feed(&r, "\r\n0\r\n\r\n"), RG_READER_DONE);
}

/* Lines longer than what is kept of one in pieces. */
static void test_long_lines(void **state)
{
    (void)state;
    struct rg_reader r;
    char value[600];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    rg_reader_begin(&r, false);
    feed(&r, OK "Set-Cookie: ");
    feed(&r, value);
    feed(&r, value);
    assert_int_equal(feed(&r, "\r\nContent-Length: 2\r\n\r\nhi"), RG_READER_DONE);
    rg_reader_begin(&r, false);
    feed(&r, OK "Transfer-Encoding: ");
    feed(&r, value);
    assert_int_equal(feed(&r, ", chunked\r\n\r\n"), RG_READER_BAD);
    rg_reader_begin(&r, false);
    feed(&r, OK "X: ");
    feed(&r, value);
    assert_int_equal(feed(&r, "no return\n\r\n"), RG_READER_BAD);
}

static void test_a_head_without_end(void **state)
{
    (void)state;
    struct rg_reader r;
    enum rg_reader_step step;
    unsigned fed = 0;
    rg_reader_begin(&r, false);
    step = feed(&r, OK);
    for (; step == RG_READER_FIELDS; fed++)
        step = feed(&r, "X-Field: 0123456789012345678901234567890123456789012345678901234567\r\n");
    assert_int_equal(step, RG_READER_BAD);
    assert_in_range(fed, 900, 1000);
    rg_reader_begin(&r, false);
    feed(&r, OK "Transfer-Encoding: chunked\r\n\r\n0\r\n");
    for (step = RG_READER_TRAILERS, fed = 0; step == RG_READER_TRAILERS; fed++)
        step = feed(&r, "X-Field: 0123456789012345678901234567890123456789012345678901234567\r\n");
    assert_int_equal(step, RG_READER_BAD);
}

/* Many small chunks are no long head. */
static void test_many_chunks(void **state)
{
    (void)state;
    struct rg_reader r;
    rg_reader_begin(&r, false);
    feed(&r, OK "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 100000; i++)
        assert_int_equal(feed(&r, "1\r\nx\r\n"), RG_READER_CHUNK_SIZE);
    assert_int_equal(feed(&r, "0\r\n\r\n"), RG_READER_DONE);
}

static void check_message(const char *bytes, size_t n, enum rg_reader_step wanted, size_t wanted_used)
{
    for (size_t cut = 0; cut <= n; cut++) {
        struct rg_reader r;
        size_t used = 0, more = 0;
        rg_reader_begin_message(&r);
        enum rg_reader_step step = rg_reader_feed(&r, bytes, cut, &used);
        if (step < RG_READER_DONE)
            step = rg_reader_feed(&r, bytes + used, n - used, &more);
        assert_int_equal(step, wanted);
        if (step == RG_READER_DONE)
            assert_int_equal(used + more, wanted_used);
    }
}

static void test_messages(void **state)
{
    (void)state;
    static char large[4 + 300] = {(char)0x82, 126, 1, 44}, huge[10 + 2] = {(char)0x82, 127, [9] = 2};
    check_message("\x82\x05hello", 7, RG_READER_DONE, 7);
    check_message("\x82\x05hello\x82", 8, RG_READER_DONE, 7);
    check_message("\x82\x00", 2, RG_READER_DONE, 2);
    check_message("\x82\x05hell", 6, RG_READER_COUNTED, 0);
    check_message("\x82", 1, RG_READER_FRAME, 0);
    check_message(large, sizeof large, RG_READER_DONE, sizeof large);
    check_message(huge, sizeof huge, RG_READER_DONE, sizeof huge);
    check_message("\x88\x02\x03\xe8", 4, RG_READER_BAD, 0);
    check_message("\x02\x05hello", 7, RG_READER_BAD, 0);
    check_message("\x82\x85maskhello", 11, RG_READER_BAD, 0);
}

static void test_upgrade(void **state)
{
    (void)state;
    struct rg_reader r;
    rg_reader_begin_upgrade(&r);
    assert_int_equal(
        feed(&r, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
        RG_READER_DONE);
    assert_int_equal(r.status, 101);
    rg_reader_begin_upgrade(&r);
    assert_int_equal(feed(&r, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"), RG_READER_DONE);
    assert_int_equal(r.status, 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_the_end_of_the_connection),
        cmocka_unit_test(test_discarding),  cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_many_chunks), cmocka_unit_test(test_a_head_without_end),
        cmocka_unit_test(test_messages),    cmocka_unit_test(test_upgrade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
