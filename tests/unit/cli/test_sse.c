/* control/cli/sse.c: events come out the same in whatever pieces their bytes come in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/cli/sse.h"

struct seen {
    char text[4096];
    unsigned n, stop_after;
};

static bool see(void *owner, const char *type, const char *data)
{
    struct seen *s = owner;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof(s->text) - n, "[%s|%s]", type, data);
    return ++s->n != s->stop_after;
}

/* In pieces of each size, always the same. */
static void becomes(const char *stream, const char *events)
{
    size_t len = strlen(stream);
    for (size_t piece = 1; piece <= len; piece++) {
        struct seen seen = {0};
        struct rg_sse sse;
        assert_int_equal(rg_sse_init(&sse), 0);
        for (size_t i = 0; i < len; i += piece)
            assert_true(rg_sse_take(&sse, stream + i, len - i < piece ? len - i : piece, see, &seen));
        assert_string_equal(seen.text, events);
        rg_sse_fini(&sse);
    }
}

static void events(void **state)
{
    (void)state;
    becomes("data: a\n\n", "[message|a]");
    becomes("event: x\ndata: a\ndata: b\n\ndata:c\n\n", "[x|a\nb][message|c]");
    becomes(": comment\n\nid: 7\nretry: 5\ndata\n\n", "[message|]");
    becomes("event: x\n\ndata: a\n\n", "[message|a]"); /* an event without data is none, and its type goes with it */
    becomes("data: a\r\n\r\ndata: b\r\rdata:  c\n\n", "[message|a][message|b][message| c]");
    becomes("data: not ended\n", "");
    becomes("data: {\"a\": \"b: c\"}\n\n", "[message|{\"a\": \"b: c\"}]");
    becomes("database: x\ndat: y\n\n", "");
}

static void the_end(void **state)
{
    (void)state;
    struct seen seen = {.stop_after = 2};
    struct rg_sse sse;
    static const char stream[] = "data: 1\n\ndata: 2\n\ndata: 3\n\n";
    assert_int_equal(rg_sse_init(&sse), 0);
    assert_false(rg_sse_take(&sse, stream, sizeof(stream) - 1, see, &seen));
    assert_string_equal(seen.text, "[message|1][message|2]");
    rg_sse_fini(&sse);
}

static void feed(struct rg_sse *sse, size_t n, struct seen *seen)
{
    static char block[65536];
    memset(block, 'x', sizeof(block));
    for (size_t left = n; left > 0; left -= left < sizeof(block) ? left : sizeof(block))
        assert_true(rg_sse_take(sse, block, left < sizeof(block) ? left : sizeof(block), see, seen));
}

static void what_is_too_long_is_dropped(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct rg_sse sse;
    assert_int_equal(rg_sse_init(&sse), 0);
    assert_true(rg_sse_take(&sse, "data: ", 6, see, &seen)); /* one line */
    feed(&sse, 2 * RG_SSE_EVENT_MAX, &seen);
    assert_true(rg_sse_take(&sse, "\n\n", 2, see, &seen));
    for (int i = 0; i < 3; i++) { /* several lines of one event */
        assert_true(rg_sse_take(&sse, "data: ", 6, see, &seen));
        feed(&sse, RG_SSE_EVENT_MAX / 2, &seen);
        assert_true(rg_sse_take(&sse, "\n", 1, see, &seen));
    }
    assert_true(rg_sse_take(&sse, "\ndata: fine\n\n", 13, see, &seen));
    assert_string_equal(seen.text, "[message|fine]");
    assert_int_equal(sse.dropped, 2);
    rg_sse_fini(&sse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),
        cmocka_unit_test(the_end),
        cmocka_unit_test(what_is_too_long_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
