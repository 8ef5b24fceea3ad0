/* Where WebSocket frames end, whatever the pieces they come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "datapath/http/ws_frames.h"
#include "tests/conformance/h1_driver.h"

#define MOST 70000u

/* Appends a frame; returns its length. */
static size_t put(char *to, unsigned opcode, size_t payload, bool masked)
{
    size_t n = 2, key = masked ? 4 : 0;
    to[0] = (char)(0x80 | opcode);
    to[1] = (char)((masked ? 0x80 : 0) | (payload < 126 ? payload : payload < 65536 ? 126u : 127u));
    for (int i = payload < 126 ? 0 : payload < 65536 ? 2 : 8; i > 0; i--)
        to[n++] = (char)(i > 4 ? 0 : payload >> 8 * (i - 1));
    memset(to + n, 0x88, key + payload); /* looks like the head of a Close frame */
    return n + key + payload;
}

static bool at_end(const struct rg_ws_frames *f)
{
    return rg_ws_frames_knows_end(f) && f->left == 0;
}

static void each_size_ends_where_it_ends(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 125, 126, 127, 128, 300, 65535, 65536, 65537};
    char *bytes = malloc(MOST);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int masked = 0; masked < 2; masked++) {
            size_t len = put(bytes, 2, sizes[i], masked);
            for (size_t cut = 1; cut < len; cut += cut < 20 ? 1 : len / 7 + 1) {
                struct rg_ws_frames f = {0};
                rg_ws_frames_pass(&f, bytes, cut);
                assert_false(at_end(&f));
                if (rg_ws_frames_knows_end(&f))
                    assert_int_equal(f.left, len - cut);
                rg_ws_frames_pass(&f, bytes + cut, len - cut);
                assert_true(at_end(&f));
                assert_false(f.closed);
            }
        }
    }
    free(bytes);
}

static void frames_one_after_the_other(void **state)
{
    (void)state;
    char *bytes = malloc(4 * MOST);
    assert_non_null(bytes);
    uint64_t seed = 7;
    for (int round = 0; round < 300; round++) {
        size_t ends[16], len = 0;
        for (int i = 0; i < 16; i++) {
            size_t n = h1_random(&seed) % 3 ? h1_random(&seed) % 140 : h1_random(&seed) % 9000;
            len += put(bytes + len, (unsigned)(h1_random(&seed) % 3), n, h1_random(&seed) % 2);
            ends[i] = len;
        }
        struct rg_ws_frames f = {0};
        size_t at = 0, next = 0;
        while (at < len) {
            size_t n = 1 + h1_random(&seed) % (h1_random(&seed) % 4 ? 40 : 4000);
            n = n < len - at ? n : len - at;
            rg_ws_frames_pass(&f, bytes + at, n);
            at += n;
            while (ends[next] < at)
                next++;
            assert_int_equal(at_end(&f), ends[next] == at);
            if (rg_ws_frames_knows_end(&f) && f.left > 0)
                assert_int_equal(f.left, ends[next] - at);
        }
        assert_true(at_end(&f));
        assert_false(f.closed);
    }
    free(bytes);
}

static void a_close_frame_is_seen_from_its_head_on(void **state)
{
    (void)state;
    char bytes[32];
    struct rg_ws_frames f = {0};
    rg_ws_frames_pass(&f, bytes, put(bytes, 9, 5, false));
    assert_false(f.closed);
    size_t len = put(bytes, 8, 2, true);
    rg_ws_frames_pass(&f, bytes, 1);
    assert_false(f.closed);
    rg_ws_frames_pass(&f, bytes + 1, 1);
    assert_true(f.closed);
    assert_false(at_end(&f));
    rg_ws_frames_pass(&f, bytes + 2, len - 2);
    assert_true(at_end(&f));
}

static void a_length_of_64_bits_never_ends(void **state)
{
    (void)state;
    struct rg_ws_frames f = {0};
    rg_ws_frames_pass(&f, "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10);
    assert_true(rg_ws_frames_knows_end(&f));
    assert_true(f.left > INT64_MAX - 1 && f.left < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_size_ends_where_it_ends),
        cmocka_unit_test(frames_one_after_the_other),
        cmocka_unit_test(a_close_frame_is_seen_from_its_head_on),
        cmocka_unit_test(a_length_of_64_bits_never_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
