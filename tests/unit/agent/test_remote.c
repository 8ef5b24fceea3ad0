/* Where the control plane is, the token by which it knows the gateway, and how long to wait for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "control/agent/remote.h"
#include "control/agent/retry.h"
#include "control/options/control_url.h"

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *path;
        bool tls, loopback;
    } rows[] = {
        {"wss://p.example:9243", "p.example:9243", "", true, false},
        {"https://p.example", "p.example", "", true, false},
        {"WS://127.0.0.1:9080/", "127.0.0.1:9080", "", false, true},
        {"http://localhost/a/b-c/", "localhost", "/a/b-c", false, true},
        {"ws://[::1]:1", "[::1]:1", "", false, true},
        {"ws://127.example:1", "127.example:1", "", false, false},
        {"wss://[fd00::1]", "[fd00::1]", "", true, false},
    };
    static const char *const bad[] = {
        "",           "p.example:9243", "tcp://p",       "wss:/p",      "wss://",     "wss://:80",
        "wss://p:",   "wss://p:0",      "wss://p:65536", "wss://p:8x",  "wss://u@p",  "wss://p?x=1",
        "wss://p#x",  "wss://p q",      "wss://p/a b",   "wss://p/%41", "wss://[::1", "wss://[::1]x:1",
        "wss://[]:1", "wss://p\r\nx",   "unix:/x",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rg_control_url url;
        print_message("%s\n", rows[i].text);
        assert_true(rg_control_url_parse(rg_str_of(rows[i].text), &url));
        assert_true(rg_str_eq(url.host, rg_str_of(rows[i].host)));
        assert_true(rg_str_eq(url.path, rg_str_of(rows[i].path)));
        assert_int_equal(url.tls, rows[i].tls);
        assert_int_equal(url.loopback, rows[i].loopback);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rg_control_url url;
        print_message("%s\n", bad[i]);
        assert_false(rg_control_url_parse(rg_str_of(bad[i]), &url));
    }
}

static char token_path[64];

static const char *read_token(const char *bytes, size_t len)
{
    static char token[RG_TOKEN_MAX + 1], why[RG_TOKEN_WHY_MAX];
    FILE *f = fopen(token_path, "we");
    fwrite(bytes, 1, len, f);
    fclose(f);
    return rg_token_read(token_path, token, why) == 0 ? token : why + strlen(token_path);
}

static void tokens(void **state)
{
    (void)state;
    char longest[RG_TOKEN_MAX + 2];
    snprintf(token_path, sizeof(token_path), "/tmp/rg-token-%d", (int)getpid());
    assert_string_equal(read_token("abc", 3), "abc");
    assert_string_equal(read_token(" \t\nabc_-=.\r\n\n", 13), "abc_-=.");
    assert_string_equal(read_token("", 0), ", which is empty");
    assert_string_equal(read_token(" \n ", 3), ", which is empty");
    assert_string_equal(read_token("a b", 3), ", which has white space or control bytes in it");
    assert_string_equal(read_token("a\r\nx: y", 7), ", which has white space or control bytes in it");
    assert_string_equal(read_token("a\0b", 3), ", which has white space or control bytes in it");
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(strlen(read_token(longest, RG_TOKEN_MAX)), RG_TOKEN_MAX);
    assert_string_equal(read_token(longest, RG_TOKEN_MAX + 1), ", which is longer than 4096 bytes");
    unlink(token_path);
    char why[RG_TOKEN_WHY_MAX];
    assert_true(rg_token_read(token_path, longest, why) < 0);
    assert_non_null(strstr(why, "which can't be read (No such file"));
    assert_true(rg_token_read("/tmp", longest, why) < 0);
    assert_non_null(strstr(why, "no ordinary file"));
}

static void waits_grow_to_a_limit(void **state)
{
    (void)state;
    static const struct {
        unsigned failures;
        uint64_t ms;
    } rows[] = {{0, 1000}, {1, 2000}, {4, 16000}, {8, 256000}, {9, 300000}, {1000000, 300000}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (unsigned n = 0; n < 200; n++) {
            uint64_t ms = rg_retry_delay(rows[i].failures, 1000, 300000);
            assert_in_range(ms, rows[i].ms * 3 / 4, rows[i].ms * 5 / 4);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(tokens),
        cmocka_unit_test(waits_grow_to_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
