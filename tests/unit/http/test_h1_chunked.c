/* What the vectors in tests/conformance/h1 don't show: the events themselves, and random bodies cut at random places.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http/h1_test.h"

static struct rg_chunked c;

static void expect(const char *in, size_t len, enum rg_chunked_event event, size_t used, const char *span)
{
    size_t n = 99999;
    struct rg_str s = {"?", 1};
    assert_int_equal(rg_chunked_step(&c, in, len, &n, &s), event);
    assert_int_equal(n, used);
    assert_str(s, span);
}

/* A canonical body in one buffer is one span: no cost per chunk for what comes after. */
static void canonical_input_is_one_span(void **state)
{
    (void)state;
    static const char in[] = "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nnext";
    rg_chunked_init(&c, RG_CHUNKED_FORWARD);
    expect(in, sizeof(in) - 1, RG_CHUNKED_END, 26, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    assert_int_equal(c.body_bytes, 11);
    expect(in, 4, RG_CHUNKED_END, 0, ""); /* the end stays the end */
}

static void canonical_input_without_end_is_one_span(void **state)
{
    (void)state;
    rg_chunked_init(&c, RG_CHUNKED_FORWARD);
    expect("5\r\nhello\r\n6\r\n wo", 16, RG_CHUNKED_MORE, 16, "5\r\nhello\r\n6\r\n wo");
    assert_int_equal(c.left, 3);
    expect("rld\r\n", 5, RG_CHUNKED_MORE, 5, "rld\r\n");
    expect("", 0, RG_CHUNKED_MORE, 0, "");
    expect("0", 1, RG_CHUNKED_MORE, 1, ""); /* could be "05": held back */
    expect("\r\n\r", 3, RG_CHUNKED_MORE, 3, "");
    expect("\nX", 2, RG_CHUNKED_END, 1, "0\r\n\r\n");
}

static void an_extension_splits_the_span(void **state)
{
    (void)state;
    static const char in[] = "1\r\na\r\n1;x=y\r\nb\r\n0\r\n\r\n";
    rg_chunked_init(&c, RG_CHUNKED_FORWARD);
    expect(in, sizeof(in) - 1, RG_CHUNKED_SPAN, 7, "1\r\na\r\n1");
    expect(in + 7, sizeof(in) - 8, RG_CHUNKED_END, sizeof(in) - 8, "\r\nb\r\n0\r\n\r\n");
    assert_int_equal(c.overhead, 4);
}

static void data_mode_gives_data_only(void **state)
{
    (void)state;
    static const char in[] = "3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
    rg_chunked_init(&c, RG_CHUNKED_DATA);
    expect(in, sizeof(in) - 1, RG_CHUNKED_SPAN, 6, "abc");
    expect(in + 6, 9, RG_CHUNKED_SPAN, 9, "de");
    expect(in + 15, sizeof(in) - 16, RG_CHUNKED_END, sizeof(in) - 16, "");
    rg_chunked_init(&c, RG_CHUNKED_DATA);
    expect(in, 5, RG_CHUNKED_MORE, 5, "ab");
}

static void trailer_space_is_asked_for_only_when_needed(void **state)
{
    (void)state;
    static char space[RG_TRAILER_MAX];
    rg_chunked_init(&c, RG_CHUNKED_FORWARD);
    expect("1\r\na\r\n0\r\nX: y\r\n\r\n", 17, RG_CHUNKED_SPAN, 6, "1\r\na\r\n");
    expect("0\r\nX: y\r\n\r\n", 11, RG_CHUNKED_NEED_TRAILER, 3, "");
    expect("X: y\r\n\r\n", 8, RG_CHUNKED_NEED_TRAILER, 0, "");
    c.trailer_space = space;
    expect("X: y\r\n\r\nnext", 12, RG_CHUNKED_END, 8, "0\r\nX: y\r\n\r\n");
    assert_int_equal(c.trailer_len, 11);
}

static void bad_stays_bad(void **state)
{
    (void)state;
    rg_chunked_init(&c, RG_CHUNKED_FORWARD);
    expect("1\r\na\r\nx", 7, RG_CHUNKED_BAD, 6, "");
    assert_reason((enum rg_reason)c.reason, RG_REASON_BAD_CHUNK);
    expect("0\r\n\r\n", 5, RG_CHUNKED_BAD, 0, "");
    assert_reason((enum rg_reason)c.reason, RG_REASON_BAD_CHUNK);
}

/* Each field that a trailer must not have is dropped, each other one stays. */
static void trailers_by_their_flags(void **state)
{
    (void)state;
    for (unsigned i = 1; i < RG_FIELD_COUNT; i++) {
        enum rg_field_id id = (enum rg_field_id)i;
        struct h1_bytes in = {0}, out = {0};
        size_t used = 0;
        enum rg_reason reason = RG_REASON_NONE;
        h1_bytes_print(&in, "0\r\nA: b\r\n%s: x\r\nC: d\r\n\r\n", rg_field_id_name(id).ptr);
        struct h1_pieces whole = {&in.len, 1};
        assert_int_equal(h1_dechunk(RG_CHUNKED_FORWARD, in.ptr, in.len, whole, &out, &used, &reason), RG_CHUNKED_END);
        bool stays = !(rg_field_flags(id) & (RG_FIELD_IS_NOTRAILER | RG_FIELD_IS_HOP | RG_FIELD_IS_FWD));
        if (stays)
            assert_true(h1_bytes_eq(&in, &out));
        else
            assert_str((struct rg_str){out.ptr, out.len}, "0\r\nA: b\r\nC: d\r\n\r\n");
        h1_bytes_fini(&in);
        h1_bytes_fini(&out);
    }
}

/* ---- Random bodies ---- */

static void add_random_chunk(uint64_t *seed, struct h1_bytes *in, struct h1_bytes *content)
{
    size_t len = 1 + (h1_random_below(seed, 4) ? h1_random_below(seed, 20) : h1_random_below(seed, 600));
    static const char *const extensions[] = {"", "", "", ";a", ";a=b", ";a=\"b;c\"", ";;"};
    h1_bytes_print(in, h1_random_below(seed, 2) ? "%.*s%zx%s\r\n" : "%.*s%zX%s\r\n", (int)h1_random_below(seed, 3),
                   "00", len, extensions[h1_random_below(seed, 7)]);
    for (size_t i = 0; i < len; i++) {
        char byte = "\r\n0;a"[h1_random_below(seed, 5)];
        h1_bytes_add(in, &byte, 1);
        h1_bytes_add(content, &byte, 1);
    }
    h1_bytes_print(in, "\r\n");
}

static void add_random_end(uint64_t *seed, struct h1_bytes *in, struct h1_bytes *kept)
{
    static const char *const lines[] = {"X-Sum: 1\r\n", "Host: y\r\n", "Content-Length: 9\r\n", "Y:\r\n",
                                        "Cookie: z\r\n"};
    static const char *const ends[] = {"0\r\n", "0;x\r\n", "000\r\n", "00;y=z\r\n"};
    h1_bytes_print(in, "%s", h1_random_below(seed, 2) ? ends[0] : ends[h1_random_below(seed, 4)]);
    for (size_t n = h1_random_below(seed, 2) ? h1_random_below(seed, 4) : 0; n > 0; n--) {
        size_t i = h1_random_below(seed, 5);
        h1_bytes_print(in, "%s", lines[i]);
        if (i == 0 || i == 3)
            h1_bytes_print(kept, "%s", lines[i]);
    }
    h1_bytes_print(in, "\r\n");
}

/* What is forwarded decodes to what was sent, is canonical, ends in the trailer that may stay, however it is cut. */
static void forwarded_is_what_was_sent(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int round = 0; round < 3000; round++) {
        struct h1_bytes in = {0}, content = {0}, kept = {0}, first = {0};
        for (size_t n = h1_random_below(&seed, 6); n > 0; n--)
            add_random_chunk(&seed, &in, &content);
        add_random_end(&seed, &in, &kept);
        size_t body = in.len;
        h1_bytes_print(&in, "GET / HTTP/1.1\r\n");
        for (int cut = 0; cut < 8; cut++) {
            size_t ends[400], used = 0;
            struct h1_bytes data = {0}, forward = {0};
            enum rg_reason reason = RG_REASON_NONE;
            struct h1_pieces pieces =
                cut ? h1_random_pieces(&seed, in.len, ends, cut < 5 ? 400 : 4) : (struct h1_pieces){&in.len, 1};
            assert_int_equal(h1_dechunk(RG_CHUNKED_DATA, in.ptr, in.len, pieces, &data, &used, &reason),
                             RG_CHUNKED_END);
            assert_int_equal(used, body);
            assert_true(h1_bytes_eq(&data, &content));
            assert_int_equal(h1_dechunk(RG_CHUNKED_FORWARD, in.ptr, in.len, pieces, &forward, &used, &reason),
                             RG_CHUNKED_END);
            assert_int_equal(used, body);
            h1_check_forward(&forward, &content);
            assert_memory_equal(forward.ptr + forward.len - kept.len - 2, kept.len ? kept.ptr : "", kept.len);
            if (cut == 0)
                h1_bytes_add(&first, forward.ptr, forward.len);
            assert_true(h1_bytes_eq(&first, &forward));
            h1_bytes_fini(&data);
            h1_bytes_fini(&forward);
        }
        h1_bytes_fini(&in);
        h1_bytes_fini(&content);
        h1_bytes_fini(&kept);
        h1_bytes_fini(&first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_input_is_one_span),
        cmocka_unit_test(canonical_input_without_end_is_one_span),
        cmocka_unit_test(an_extension_splits_the_span),
        cmocka_unit_test(data_mode_gives_data_only),
        cmocka_unit_test(trailer_space_is_asked_for_only_when_needed),
        cmocka_unit_test(bad_stays_bad),
        cmocka_unit_test(trailers_by_their_flags),
        cmocka_unit_test(forwarded_is_what_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
