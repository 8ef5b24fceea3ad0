/* buf.h: blocks, the input queue, the output queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datapath/base/buf.h"

static struct rg_bufs bufs;

static int make(void **state)
{
    (void)state;
    rg_bufs_init(&bufs, 8u << 20);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    rg_bufs_fini(&bufs); /* asserts that every block came back */
    return 0;
}

static struct rg_buf *block_of(const char *text)
{
    struct rg_buf *b = rg_buf_get_small(&bufs);
    b->len = (uint32_t)strlen(text);
    memcpy(b->data, text, b->len);
    return b;
}

/* Too large to join the block before it. */
static struct rg_buf *large_block(char fill)
{
    struct rg_buf *b = rg_buf_get_small(&bufs);
    b->len = 5000;
    memset(b->data, fill, b->len);
    return b;
}

static void input_is_used_across_blocks(void **state)
{
    (void)state;
    struct rg_input in = {0};
    rg_input_push(&in, large_block('a'));
    rg_input_push(&in, large_block('b'));
    rg_input_push(&in, large_block('c'));
    assert_int_equal(in.bytes, 15000);
    rg_input_use(&in, 8000);
    struct rg_str front = rg_input_front(&in);
    assert_int_equal(front.len, 2000);
    assert_memory_equal(front.ptr, "bb", 2);
    rg_input_use(&in, 7000);
    assert_int_equal(in.bytes, 0);
    assert_null(in.head);
    assert_null(in.tail);
}

static void small_pieces_share_a_block(void **state)
{
    (void)state;
    struct rg_input in = {0};
    struct rg_buf *shared = rg_buf_ref(block_of("shared"));
    rg_input_push(&in, shared);
    for (unsigned i = 0; i < 100; i++)
        rg_input_push(&in, block_of("0123456789"));
    assert_int_equal(bufs.small.used, 2); /* the shared one is left as it is */
    assert_int_equal(shared->len, 6);
    rg_buf_unref(shared);
    rg_input_use(&in, 6 + 995);
    assert_int_equal(rg_input_front(&in).len, 5);
    assert_memory_equal(rg_input_front(&in).ptr, "56789", 5);
    rg_input_clear(&in);
}

static void gather_makes_it_contiguous(void **state)
{
    (void)state;
    struct rg_input in = {0};
    rg_input_push(&in, large_block('a'));
    rg_input_push(&in, large_block('b'));
    rg_input_use(&in, 2000);
    assert_true(rg_input_gather(&in, &bufs));
    struct rg_str front = rg_input_front(&in);
    assert_int_equal(front.len, 8000);
    assert_memory_equal(front.ptr + 2999, "ab", 2);
    assert_ptr_equal(in.head, in.tail);
    rg_input_clear(&in);
}

static void gather_never_writes_into_a_shared_block(void **state)
{
    (void)state;
    struct rg_input in = {0};
    struct rg_buf *first = rg_buf_ref(block_of("shared"));
    rg_input_push(&in, first);
    rg_input_push(&in, block_of("tail"));
    assert_true(rg_input_gather(&in, &bufs));
    assert_int_equal(first->len, 6);
    assert_memory_equal(rg_input_front(&in).ptr, "sharedtail", 10);
    rg_buf_unref(first);
    rg_input_clear(&in);
}

static void gather_beyond_a_bulk_block_fills_it(void **state)
{
    (void)state;
    struct rg_input in = {0};
    for (unsigned i = 0; i < 12; i++) {
        struct rg_buf *b = rg_buf_get_small(&bufs);
        memset(b->data, 'a' + (int)i, b->cap);
        b->len = b->cap;
        rg_input_push(&in, b);
    }
    uint32_t bytes = in.bytes;
    assert_true(rg_input_gather(&in, &bufs));
    assert_int_equal(rg_input_front(&in).len, RG_BUF_BULK_CAP);
    assert_int_equal(in.bytes, bytes);
    uint32_t seen = 0;
    while (in.bytes > 0) {
        struct rg_str front = rg_input_front(&in);
        for (size_t i = 0; i < front.len; i++, seen++)
            assert_int_equal(front.ptr[i], 'a' + (int)(seen / RG_BUF_SMALL_CAP));
        rg_input_use(&in, (uint32_t)front.len);
    }
    assert_int_equal(seen, bytes);
}

static void output_copies_stand_in_one_segment(void **state)
{
    (void)state;
    struct rg_output out = {0};
    for (unsigned i = 0; i < 50; i++)
        assert_true(rg_output_copy(&out, &bufs, "0123456789", 10));
    assert_int_equal(out.count, 1);
    assert_int_equal(out.bytes, 500);
    rg_output_sent(&out, 495);
    struct iovec iov[RG_OUT_SEGMENTS];
    assert_int_equal(rg_output_iov(&out, iov), 1);
    assert_int_equal(iov[0].iov_len, 5);
    assert_memory_equal(iov[0].iov_base, "56789", 5);
    rg_output_clear(&out);
    assert_int_equal(out.count, 0);
}

static void output_appends_only_to_a_block_of_its_own(void **state)
{
    (void)state;
    struct rg_output out = {0};
    struct rg_buf *kept = block_of("head");
    assert_true(rg_output_push(&out, kept, 0, kept->len));
    assert_true(rg_output_copy(&out, &bufs, "body", 4));
    assert_int_equal(kept->len, 4); /* untouched: somebody else still reads it */
    assert_int_equal(out.count, 2);
    rg_output_clear(&out);
    rg_buf_unref(kept);
}

static void output_merges_neighbours_and_fills_up(void **state)
{
    (void)state;
    struct rg_output out = {0};
    struct rg_buf *b = block_of("abcdefghijklmnopqrstuvwxyz");
    assert_true(rg_output_push(&out, b, 0, 3));
    assert_true(rg_output_push(&out, b, 3, 3));
    assert_int_equal(out.count, 1);
    for (unsigned i = 1; i < RG_OUT_SEGMENTS; i++)
        assert_true(rg_output_push(&out, b, 2 * i + 10, 1));
    assert_false(rg_output_push(&out, b, 0, 1));
    uint32_t cap;
    assert_null(rg_output_room(&out, &bufs, 10, &cap));
    rg_output_sent(&out, 6);
    assert_true(rg_output_push(&out, b, 0, 1));
    rg_output_clear(&out);
    rg_buf_unref(b);
}

static void room_that_is_not_used_leaves_nothing(void **state)
{
    (void)state;
    struct rg_output out = {0};
    uint32_t cap;
    assert_non_null(rg_output_room(&out, &bufs, 100, &cap));
    rg_output_commit(&out, 0);
    assert_int_equal(out.count, 0);
    assert_int_equal(out.bytes, 0);
}

static unsigned take_all(struct rg_buf **taken, unsigned most, struct rg_buf *(*get)(struct rg_bufs *))
{
    unsigned n = 0;
    while (n < most && (taken[n] = get(&bufs)))
        n++;
    return n;
}

/* The fuller it is, the fewer may take: ahead of need, bulk, something new, what others wait for, what is sent. */
static void each_purpose_leaves_a_reserve(void **state)
{
    (void)state;
    enum { MOST = 2048 };
    static struct rg_buf *(*const get[])(struct rg_bufs *) = {
        rg_buf_get_spare, rg_buf_get_bulk, rg_buf_get_small_for_new, rg_buf_get_small_urgent, rg_buf_get_small};
    static struct rg_buf *taken[MOST];
    unsigned n = 0;
    for (unsigned i = 0; i < sizeof get / sizeof *get; i++) {
        unsigned got = take_all(taken + n, MOST - n, get[i]);
        assert_in_range(got, 1, MOST - n - 1);
        n += got;
        for (unsigned k = 0; k <= i; k++)
            assert_null(get[k](&bufs));
    }
    while (n > 0)
        rg_buf_unref(taken[--n]);
}

/* What one size does not use any more is no reason to go beyond the limit for the other. */
static void no_more_is_mapped_than_the_limit(void **state)
{
    (void)state;
    enum { MOST = 2048 };
    static const unsigned limit = 4 << 20;
    static struct rg_buf *taken[MOST];
    struct rg_bufs two;
    rg_bufs_init(&two, limit);
    for (unsigned round = 0; round < 4; round++) {
        unsigned n = 0, bulk = 0;
        while ((taken[n] = rg_buf_get_bulk(&two)))
            n++;
        bulk = n;
        assert_in_range(bulk, 8, limit / 4 / RG_BUF_BULK);
        if (round % 2) /* else small ones beside them */
            while (n > 0)
                rg_buf_unref(taken[--n]);
        while (n < MOST && (taken[n] = rg_buf_get_small(&two)))
            n++;
        /* Whole chunks, but for their headers and one that does not fit. */
        assert_true(n - (round % 2 ? 0 : bulk) >= (limit - (round % 2 ? 0 : limit / 4)) / RG_BUF_SMALL * 15 / 16);
        assert_true(rg_bufs_bytes(&two) <= limit);
        while (n > 0)
            rg_buf_unref(taken[--n]);
        assert_true(rg_bufs_bytes(&two) <= limit);
    }
    rg_bufs_fini(&two);
}

/* One block of a bulk chunk in use keeps the rest of it from being small blocks: the reserve for these must not be
 * counted there. */
static void the_reserve_can_be_had(void **state)
{
    (void)state;
    enum { MOST = 2048 };
    static const unsigned limit = 4 << 20;
    static struct rg_buf *bulk[MOST], *taken[MOST];
    struct rg_bufs two;
    rg_bufs_init(&two, limit);
    unsigned n_bulk = 0, n = 0, urgent = 0;
    while ((bulk[n_bulk] = rg_buf_get_bulk(&two)))
        n_bulk++;
    for (unsigned i = 0; i < n_bulk; i++)
        if (i % two.bulk.per_chunk != 0)
            rg_buf_unref(bulk[i]);
    while ((taken[n] = rg_buf_get_spare(&two)))
        n++;
    assert_true(n > 0);
    while ((taken[n] = rg_buf_get_small_urgent(&two)))
        n++, urgent++;
    assert_true(urgent >= limit / 4 / RG_BUF_SMALL / 2);
    assert_non_null(taken[n] = rg_buf_get_small(&two));
    n++;
    while (n > 0)
        rg_buf_unref(taken[--n]);
    for (unsigned i = 0; i < n_bulk; i += two.bulk.per_chunk)
        rg_buf_unref(bulk[i]);
    rg_bufs_fini(&two);
}

static void the_least_limit_has_bulk_blocks(void **state)
{
    (void)state;
    struct rg_bufs least;
    rg_bufs_init(&least, 1u << 20);
    struct rg_buf *b = rg_buf_get_bulk(&least);
    assert_non_null(b);
    rg_buf_unref(b);
    rg_bufs_fini(&least);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_is_used_across_blocks),
        cmocka_unit_test(small_pieces_share_a_block),
        cmocka_unit_test(gather_makes_it_contiguous),
        cmocka_unit_test(gather_never_writes_into_a_shared_block),
        cmocka_unit_test(gather_beyond_a_bulk_block_fills_it),
        cmocka_unit_test(output_copies_stand_in_one_segment),
        cmocka_unit_test(output_appends_only_to_a_block_of_its_own),
        cmocka_unit_test(output_merges_neighbours_and_fills_up),
        cmocka_unit_test(room_that_is_not_used_leaves_nothing),
        cmocka_unit_test(each_purpose_leaves_a_reserve),
        cmocka_unit_test(no_more_is_mapped_than_the_limit),
        cmocka_unit_test(the_reserve_can_be_had),
        cmocka_unit_test(the_least_limit_has_bulk_blocks),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
