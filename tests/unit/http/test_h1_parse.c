/* What the vectors in tests/conformance/h1 don't show: when is parsed, how often, and where the views point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/http/h1_test.h"

static struct rg_field fields[RG_H1_FIELDS_MAX];
static const struct rg_h1_limits limits = {
    .head_bytes = 32768, .field_bytes = 16384, .target_bytes = 8192, .fields = 100};

static int32_t parse(struct rg_h1_resume *resume, const char *text, size_t len, struct rg_h1_request *req,
                     enum rg_reason *reason)
{
    return rg_h1_parse_request(resume, h1_guard(0, text, len, false), len, &limits, fields, req, reason);
}

static void views_point_into_the_buffer(void **state)
{
    (void)state;
    static const char text[] = "POST /a/b?c HTTP/1.1\r\nHost: example.com\r\nX-Y:  z \r\n\r\nbody";
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    int32_t n = rg_h1_parse_request(&resume, text, sizeof(text) - 1, &limits, fields, &req, &reason);
    assert_int_equal(n, sizeof(text) - 1 - 4);
    assert_ptr_equal(req.method.ptr, text);
    assert_ptr_equal(req.target.ptr, text + 5);
    assert_ptr_equal(req.query.ptr, strchr(text, '?'));
    assert_ptr_equal(req.fields, fields);
    assert_int_equal(req.n_fields, 2);
    assert_int_equal(req.method_id, RG_METHOD_POST);
    assert_int_equal(fields[0].id, RG_FIELD_HOST);
    assert_int_equal(fields[1].id, RG_FIELD_OTHER);
    assert_ptr_equal(fields[1].name, strstr(text, "X-Y"));
    assert_ptr_equal(fields[1].value, strchr(text, 'z'));
    assert_int_equal(fields[1].value_len, 1);
    assert_int_equal(reason, RG_REASON_NONE);
}

/* The line of an empty value still runs from name to the CR LF after value. */
static void empty_values_point_before_their_line_end(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB: \t \r\n\r\n";
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    assert_true(rg_h1_parse_request(&resume, text, sizeof(text) - 1, &limits, fields, &req, &reason) > 0);
    assert_int_equal(fields[1].value_len, 0);
    assert_ptr_equal(fields[1].value, strstr(text, "A:") + 2);
    assert_int_equal(fields[2].value_len, 0);
    assert_true(fields[2].value > fields[2].name && fields[2].value <= strstr(text, "\r\n\r\n"));
}

/* Whatever way a name is read: at once, in two steps, byte by byte, or near the end of the input. */
static void plain_names_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_plain;
    } names[] = {
        {"a", true},
        {"X-Ringgate-9", true},
        {"Content-Security-Policy", true},
        {"access-control-allow-credentials-x", true},
        {"a_b", false},
        {"Content.Length", false},
        {"content-security_policy", false},
        {"access-control-allow-credentials+x", false},
        {"!", false},
    };
    static const struct rg_h1_limits loose = {32768, 16384, 8192, 100, true};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        for (size_t padding = 0; padding < 40; padding++) {
            char text[200];
            struct rg_h1_resume resume = {0};
            struct rg_h1_request req;
            enum rg_reason reason = RG_REASON_NONE;
            int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s:%*s\r\n\r\n", names[i].name, (int)padding, "");
            const char *placed = h1_guard(0, text, (size_t)n, false);
            assert_int_equal(rg_h1_parse_request(&resume, placed, (size_t)n, &loose, fields, &req, &reason), n);
            assert_int_equal(fields[0].name_is_plain, names[i].is_plain);
        }
    }
}

static void every_method_has_its_id(void **state)
{
    (void)state;
    static const char *const names[] = {
        NULL,
#define RG_METHOD(id, name, safe) name,
#include "datapath/http/methods.def"
#undef RG_METHOD
    };
    for (unsigned id = 1; id < RG_METHOD_COUNT; id++) {
        char text[64];
        struct rg_h1_resume resume = {0};
        struct rg_h1_request req;
        enum rg_reason reason = RG_REASON_NONE;
        const char *target = id == RG_METHOD_CONNECT ? "a:1" : "/";
        int len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", names[id], target);
        assert_int_equal(parse(&resume, text, (size_t)len, &req, &reason), len);
        assert_int_equal(req.method_id, id);
        text[1] = (char)(text[1] | 0x20);
        assert_int_equal(parse(&resume, text, (size_t)len, &req, &reason), -1);
        assert_reason(reason, RG_REASON_BAD_METHOD);
    }
}

/* What can never be HTTP is refused by the first call, with as few bytes as possible. */
static void noise_is_refused_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        enum rg_reason reason;
    } cases[] = {
        {"\x16\x03", 2, RG_REASON_TLS_ON_CLEAR},
        {"\x16\x04", 2, RG_REASON_NOT_HTTP},
        {"\0", 1, RG_REASON_NOT_HTTP},
        {"\x80", 1, RG_REASON_NOT_HTTP},
        {"SSH-", 4, RG_REASON_NOT_HTTP},
        {"\n", 1, RG_REASON_BAD_LINE_END},
        {"\rG", 2, RG_REASON_BAD_LINE_END},
        {"GET x", 5, RG_REASON_BAD_TARGET},
        {"get ", 4, RG_REASON_BAD_METHOD},
        {"GET /\x01", 6, RG_REASON_BAD_TARGET},
        {"GET /%g", 7, RG_REASON_BAD_ESCAPE},
        {"GET / x", 7, RG_REASON_BAD_REQUEST_LINE},
        {"GET / HTTP/1.1\n", 15, RG_REASON_BAD_LINE_END},
        {"GET / HTTP/1.1\r\n ", 17, RG_REASON_BAD_FIELD_NAME},
        {"GET / HTTP/1.1\r\nA ", 18, RG_REASON_BAD_FIELD_NAME},
        {"GET / HTTP/1.1\r\nA:\x01", 19, RG_REASON_BAD_FIELD_VALUE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct rg_h1_resume resume = {0};
        struct rg_h1_request req;
        enum rg_reason reason = RG_REASON_NONE;
        assert_int_equal(parse(&resume, cases[i].bytes, cases[i].len, &req, &reason), -1);
        assert_reason(reason, cases[i].reason);
        resume = (struct rg_h1_resume){0};
        if (cases[i].len > 1) /* and not earlier: until the last byte it could have become a request */
            assert_int_equal(parse(&resume, cases[i].bytes, cases[i].len - 1, &req, &reason), 0);
    }
}

static void nothing_is_no_error(void **state)
{
    (void)state;
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    assert_int_equal(parse(&resume, "", 0, &req, &reason), 0);
    assert_int_equal(parse(&resume, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, &req, &reason), 27);
}

/* Byte by byte, only a doubling of the input is parsed again, so the sum of all parses is linear. */
static void a_slow_head_is_parsed_rarely(void **state)
{
    (void)state;
    struct h1_bytes b = {0};
    h1_bytes_print(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 90; i++)
        h1_bytes_print(&b, "X-Field-%d: %0200d\r\n", i, i);
    h1_bytes_print(&b, "\r\n");

    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    unsigned parses = 0;
    size_t parsed_bytes = 0;
    for (size_t len = 1; len < b.len; len++) {
        uint32_t before = resume.parsed;
        assert_int_equal(rg_h1_parse_request(&resume, b.ptr, len, &limits, fields, &req, &reason), 0);
        assert_int_equal(resume.seen, len);
        if (resume.parsed != before) {
            parses++;
            parsed_bytes += len;
        }
    }
    assert_true(parses <= 16);
    assert_true(parsed_bytes <= 2 * b.len);
    assert_int_equal(rg_h1_parse_request(&resume, b.ptr, b.len, &limits, fields, &req, &reason), b.len);
    assert_int_equal(req.n_fields, 91);
    h1_bytes_fini(&b);
}

/* A bad byte that came late is found when the input has doubled, also without an end. */
static void a_late_bad_byte_is_found_by_doubling(void **state)
{
    (void)state;
    char text[400];
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
    text[120] = '\x01';
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    assert_int_equal(parse(&resume, text, 100, &req, &reason), 0);
    assert_int_equal(parse(&resume, text, 199, &req, &reason), 0);
    assert_int_equal(parse(&resume, text, 200, &req, &reason), -1);
    assert_reason(reason, RG_REASON_BAD_FIELD_VALUE);
}

/* A bare LF is looked at when it comes: such a head has no proper end to wait for. */
static void a_late_bare_lf_is_found_at_once(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyy\n\n";
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    assert_int_equal(parse(&resume, text, 50, &req, &reason), 0);
    assert_int_equal(parse(&resume, text, sizeof(text) - 2, &req, &reason), -1);
    assert_reason(reason, RG_REASON_BAD_LINE_END);
}

/* Limits are found without an end, and with the first byte beyond them. */
static void limits_need_no_end(void **state)
{
    (void)state;
    struct rg_h1_limits small = limits;
    small.head_bytes = 64;
    char text[64];
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    for (size_t len = 1; len < 64; len++)
        assert_int_equal(rg_h1_parse_request(&resume, text, len, &small, fields, &req, &reason), 0);
    assert_int_equal(rg_h1_parse_request(&resume, text, 64, &small, fields, &req, &reason), -1);
    assert_reason(reason, RG_REASON_HEAD_TOO_LARGE);
}

static void the_number_of_fields_never_exceeds_the_array(void **state)
{
    (void)state;
    struct h1_bytes b = {0};
    struct rg_h1_limits many = limits;
    many.fields = UINT16_MAX;
    h1_bytes_print(&b, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < RG_H1_FIELDS_MAX; i++)
        h1_bytes_print(&b, "X: y\r\n");
    h1_bytes_print(&b, "\r\n");
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    assert_int_equal(rg_h1_parse_request(&resume, b.ptr, b.len, &many, fields, &req, &reason), b.len);
    assert_int_equal(req.n_fields, RG_H1_FIELDS_MAX);
    b.len -= 2;
    h1_bytes_print(&b, "X: y\r\n\r\n");
    assert_int_equal(rg_h1_parse_request(&resume, b.ptr, b.len, &many, fields, &req, &reason), -1);
    assert_reason(reason, RG_REASON_TOO_MANY_FIELDS);
    h1_bytes_fini(&b);
}

/* name_len has 16 bits, whatever the limits allow. */
static void a_name_over_64_kib_is_refused(void **state)
{
    (void)state;
    struct rg_h1_limits large = {.head_bytes = 1u << 20, .field_bytes = 1u << 20, .target_bytes = 8192, .fields = 100};
    size_t len = 16 + 70000 + 6;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, 'a', len);
    memcpy(text, "GET / HTTP/1.1\r\n", 16);
    memcpy(text + len - 6, ":x\r\n\r\n", 6);
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    assert_int_equal(rg_h1_parse_request(&resume, text, len, &large, fields, &req, &reason), -1);
    assert_reason(reason, RG_REASON_FIELD_TOO_LARGE);
    resume = (struct rg_h1_resume){0};
    assert_int_equal(rg_h1_parse_request(&resume, text, len - 6, &large, fields, &req, &reason), -1);
    assert_reason(reason, RG_REASON_FIELD_TOO_LARGE);
    free(text);
}

/* The buffer may move between calls. */
static void the_buffer_may_move(void **state)
{
    (void)state;
    static const char text[] = "GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    size_t len = sizeof(text) - 1;
    struct rg_h1_resume resume = {0};
    struct rg_h1_request req;
    enum rg_reason reason = RG_REASON_NONE;
    char *first = malloc(20), *second = malloc(len);
    assert_true(first && second);
    memcpy(first, text, 20);
    memcpy(second, text, len);
    assert_int_equal(rg_h1_parse_request(&resume, first, 20, &limits, fields, &req, &reason), 0);
    free(first);
    assert_int_equal(rg_h1_parse_request(&resume, second, len, &limits, fields, &req, &reason), len);
    assert_str(req.path, "/a");
    free(second);
}

static void responses(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nServer: a\r\nX_Y: z\r\n\r\n";
    struct rg_h1_resume resume = {0};
    struct rg_h1_response res;
    enum rg_reason reason = RG_REASON_NONE;
    assert_int_equal(rg_h1_parse_response(&resume, text, sizeof(text) - 1, &limits, fields, &res, &reason),
                     sizeof(text) - 1);
    assert_int_equal(res.status, 200);
    assert_int_equal(res.minor, 1);
    assert_str(res.reason_phrase, "OK");
    assert_int_equal(res.n_fields, 2);
    assert_int_equal(rg_h1_parse_response(&resume, "X", 1, &limits, fields, &res, &reason), -1);
    assert_reason(reason, RG_REASON_REPLICA_MALFORMED);
}

static bool field_line(const char *text, size_t len, struct rg_field *f)
{
    return rg_h1_parse_field_line(h1_guard(0, text, len, false), len, f);
}

static void field_lines(void **state)
{
    (void)state;
    struct rg_field f;
    assert_true(field_line("A: b", 4, &f));
    assert_str(rg_field_name(&f), "A");
    assert_str(rg_field_value(&f), "b");
    assert_true(field_line("content-length: \t5 ", 19, &f));
    assert_int_equal(f.id, RG_FIELD_CONTENT_LENGTH);
    assert_str(rg_field_value(&f), "5");
    assert_true(field_line("A_b:", 4, &f));
    assert_int_equal(f.value_len, 0);
    static const char *const bad[] = {"",      "a",      ":",      ": b",     "a b: c",  " a: b",
                                      "a : b", "a: b\r", "a: b\n", "a: \x7f", "a\x80: b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(field_line(bad[i], strlen(bad[i]), &f));
    assert_false(field_line("a: \0", 4, &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_point_into_the_buffer),
        cmocka_unit_test(empty_values_point_before_their_line_end),
        cmocka_unit_test(plain_names_are_told),
        cmocka_unit_test(every_method_has_its_id),
        cmocka_unit_test(noise_is_refused_at_once),
        cmocka_unit_test(nothing_is_no_error),
        cmocka_unit_test(a_slow_head_is_parsed_rarely),
        cmocka_unit_test(a_late_bad_byte_is_found_by_doubling),
        cmocka_unit_test(a_late_bare_lf_is_found_at_once),
        cmocka_unit_test(limits_need_no_end),
        cmocka_unit_test(the_number_of_fields_never_exceeds_the_array),
        cmocka_unit_test(a_name_over_64_kib_is_refused),
        cmocka_unit_test(the_buffer_may_move),
        cmocka_unit_test(responses),
        cmocka_unit_test(field_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
