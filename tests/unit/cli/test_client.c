/* control/cli/client.c: which URLs are this machine's, as nothing may be sent in the clear to others without a word. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/cli/client.h"

static void this_machine(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://127.0.0.1",      "http://127.0.0.1:9080", "http://127.8.8.8/x",
                                       "http://localhost:9080", "https://[::1]",         "http://[::1]:80/a?b#c",
                                       "http://localhost"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_true(rg_client_is_local(urls[i]));
}

static void others(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://10.0.0.1",
                                       "http://example.com",
                                       "http://127.0.0.1.example.com",
                                       "http://[2001:db8::1]",
                                       "http://127.0.0.1@example.com",
                                       "http://",
                                       "http://localhost.evil",
                                       "http://0.0.0.0:80",
                                       ""};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_false(rg_client_is_local(urls[i]));
}

static void urls_that_are_none(void **state)
{
    (void)state;
    static const char *const urls[] = {"", "example.com", "ftp://x", "HTTP//x", "wss://x"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct rg_client client;
        const struct rg_client_config config = {.url = urls[i]};
        assert_true(rg_client_init(&client, &config) < 0);
        assert_true(client.trouble[0] != '\0');
        rg_client_fini(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machine),
        cmocka_unit_test(others),
        cmocka_unit_test(urls_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
