/* What a listener has beside its address: decoded into each item, kept and changed by a reload, shown in JSON. */
#include "tests/unit/options/config_fixture.h"

#include <stdlib.h>

static void nothing_is_said_of_proxies(void **state)
{
    (void)state;
    struct rg_settings s = config_good("listeners: [{address: 80}]\n");
    assert_int_equal(s.listeners[0].proxy_mode, RG_PROXY_MODE_OFF);
    assert_int_equal(s.listeners[0].n_proxy_trusted, 0);
}

static void each_listener_has_its_own(void **state)
{
    (void)state;
    struct rg_settings s =
        config_good("listeners:\n"
                    "  - {address: 80, proxy_protocol: {mode: accept, trusted: [10.0.0.0/8, 'fd00::/8']}}\n"
                    "  - {address: 81}\n"
                    "  - {proxy_protocol: {trusted: [192.0.2.7], mode: require}, address: 82}\n"
                    "  - {address: 'unix:/run/in', proxy_protocol: {mode: require}}\n");
    assert_int_equal(s.n_listeners, 4);
    assert_int_equal(s.listeners[0].proxy_mode, RG_PROXY_MODE_ACCEPT);
    assert_int_equal(s.listeners[0].n_proxy_trusted, 2);
    assert_int_equal(s.listeners[1].proxy_mode, RG_PROXY_MODE_OFF);
    assert_int_equal(s.listeners[1].n_proxy_trusted, 0);
    assert_int_equal(s.listeners[2].proxy_mode, RG_PROXY_MODE_REQUIRE);
    assert_int_equal(s.listeners[2].n_proxy_trusted, 1);
    assert_int_equal(s.listeners[2].proxy_trusted[0].bits, 128);
    assert_int_equal(s.listeners[3].proxy_mode, RG_PROXY_MODE_REQUIRE);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"listeners: [{address: 80, proxy_protocol: {mode: accept}}]",
         "1:43: listeners[0].proxy_protocol.trusted: got nothing, wanted addresses or prefixes of the proxies in "
         "front; "
         "a client that may send a PROXY header has any address it likes"},
        {"listeners: [{address: 80}, {address: 81, proxy_protocol: {mode: require, trusted: []}}]",
         "1:83: listeners[1].proxy_protocol.trusted: got nothing, wanted addresses or prefixes of the proxies in "
         "front; "
         "a client that may send a PROXY header has any address it likes"},
        {"listeners: [{address: 80, proxy_protocol: {mode: on}}]",
         "1:50: listeners[0].proxy_protocol.mode: got \"on\", wanted one of off, accept or require"},
        {"listeners: [{address: 80, proxy_protocol: {mode: requires, trusted: ['::/0']}}]",
         "1:50: listeners[0].proxy_protocol.mode: got \"requires\", wanted one of off, accept or require; did you mean "
         "require?"},
        {"listeners: [{address: 80, proxy_protocol: accept}]",
         "1:43: listeners[0].proxy_protocol: got \"accept\", wanted a section with mode, trusted; did you mean {mode: "
         "\"accept\"}?\n"
         "t.yaml:1:43: listeners[0].proxy_protocol.trusted: got nothing, wanted addresses or prefixes of the proxies "
         "in "
         "front; a client that may send a PROXY header has any address it likes"},
        {"listeners: [{address: 80, proxy_protocol: {mode: accept, trusted: 10.0.0.0/8}}]",
         "1:67: listeners[0].proxy_protocol.trusted: got \"10.0.0.0/8\", wanted a list of 0 to 64 items; begin each "
         "item "
         "with a dash"},
        {"listeners: [{address: 80, proxy_protocol: {mode: accept, trusted: [proxy.example]}}]",
         "1:68: listeners[0].proxy_protocol.trusted[0]: got \"proxy.example\", wanted an address or a prefix "
         "like 10.0.0.0/8 or fd00::/8"},
        {"listeners: [{address: 80, proxy_protocol: {version: 2}}]",
         "1:44: listeners[0].proxy_protocol.version: got an unknown key, wanted one of mode, trusted"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[512];
        snprintf(line, sizeof(line), "t.yaml:%s\n", cases[i][1]);
        config_bad(cases[i][0], line);
    }
}

static void a_reload_changes_it_where_the_address_stays(void **state)
{
    (void)state;
    struct rg_settings running = config_good("listeners: [{address: 80}, {address: 81}]\n");
    struct rg_settings next =
        config_good("listeners: [{address: 80}, {address: 81, proxy_protocol: {mode: require, trusted: ['::1']}}]\n");
    assert_int_equal(rg_options_keep_fixed(&running, &next, NULL, NULL), 0);
    assert_int_equal(next.listeners[1].proxy_mode, RG_PROXY_MODE_REQUIRE);
    assert_int_equal(next.listeners[1].n_proxy_trusted, 1);
    /* Of other listeners nothing can be taken over. */
    next = config_good("listeners: [{address: 81, proxy_protocol: {mode: require, trusted: ['::1']}}]\n");
    assert_int_equal(rg_options_keep_fixed(&running, &next, NULL, NULL), 1);
    assert_int_equal(next.n_listeners, 2);
    assert_memory_equal(next.listeners, running.listeners, sizeof(next.listeners));
}

static void flags_replace_the_listeners_of_the_file(void **state)
{
    (void)state;
    static const char text[] =
        "listeners: [{address: 80, proxy_protocol: {mode: require, trusted: ['::1']}}]\nreplica: {address: 9000}\n";
    struct rg_flags flags = {.listen = {{"127.0.0.1:90"}, 1}};
    struct loaded l = config_load(text, strlen(text), &flags);
    assert_string_equal(l.errors, "");
    assert_int_equal(l.settings.n_listeners, 1);
    assert_string_equal(l.settings.listeners[0].address.text, "127.0.0.1:90");
    assert_int_equal(l.settings.listeners[0].proxy_mode, RG_PROXY_MODE_OFF);
    assert_int_equal(l.settings.listeners[0].n_proxy_trusted, 0);
    config_free(&l);
}

#define NO_REDIRECT "\"redirect_https\":\"off\",\"redirect_port\":443,"
#define NO_TLS                                                                                                    \
    "\"tls\":{\"certificates\":[],\"client_certificates\":\"off\",\"client_ca\":\"off\",\"min_version\":\"1.2\"," \
    "\"ciphers\":\"default\",\"alpn\":[]},"

static void json_has_it(void **state)
{
    (void)state;
    struct rg_settings s = config_good(
        "listeners: [{address: 80, proxy_protocol: {mode: accept, trusted: [10.0.0.0/8, '::1']}}, {address: 81}]\n");
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    rg_options_begin_json(&s, out);
    fputs("}\n", out);
    fclose(out);
    assert_non_null(strstr(
        text, "\"listeners\":[{\"address\":\"[::]:80\",\"http2\":true," NO_REDIRECT NO_TLS
              "\"proxy_protocol\":{\"mode\":\"accept\","
              "\"trusted\":[\"10.0.0.0/8\",\"::1/128\"]}},{\"address\":\"[::]:81\",\"http2\":true," NO_REDIRECT NO_TLS
              "\"proxy_protocol\":{"
              "\"mode\":\"off\",\"trusted\":[]}}],\"tls\":{\"ticket_keys\":\"off\","));
    struct rg_settings again = config_good(text);
    assert_memory_equal(&again, &s, sizeof(s));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_of_proxies),
        cmocka_unit_test(each_listener_has_its_own),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(a_reload_changes_it_where_the_address_stays),
        cmocka_unit_test(flags_replace_the_listeners_of_the_file),
        cmocka_unit_test(json_has_it),
    };
    return cmocka_run_group_tests(tests, config_setup, config_teardown);
}
