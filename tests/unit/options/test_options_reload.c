/* What a reload keeps, and settings as JSON, which must load again to the same settings. */
#include "tests/unit/options/config_fixture.h"

#include <stdlib.h>

static char reported[4096];

static void report(const char *path, const char *running, const char *wanted, void *arg)
{
    assert_ptr_equal(arg, reported);
    snprintf(reported + strlen(reported), sizeof(reported) - strlen(reported), "%s: %s -> %s\n", path, running, wanted);
}

static unsigned keep(const struct rg_settings *running, struct rg_settings *next)
{
    *reported = '\0';
    return rg_options_keep_fixed(running, next, report, reported);
}

static void nothing_changed_is_nothing_reported(void **state)
{
    (void)state;
    struct rg_settings running = config_good("listeners: [{address: 80}]\nworkers: 2\n");
    struct rg_settings next = config_good("workers: 2\nlisteners: [{address: '[::0]:80'}]\n"); /* spelt differently */
    assert_int_equal(keep(&running, &next), 0);
    assert_string_equal(reported, "");
}

static void fixed_options_stay_and_are_reported(void **state)
{
    (void)state;
    struct rg_settings running = config_good("workers: 2\nlisteners: [{address: 80}]\n");
    struct rg_settings next =
        config_good("workers: 3\npin_workers: true\nbacklog: 9\n"
                    "listeners: [{address: 80}, {address: unix:/run/x}]\n"
                    "steering: {mode: off}\nadmin: {address: off}\naccess_log: {ring_bytes: 64KiB}\n"
                    "limits: {headers: 7}\nreplica: {address: 77}\n");
    assert_int_equal(keep(&running, &next), 7);
    assert_string_equal(reported, "workers: 2 -> 3\n"
                                  "pin_workers: false -> true\n"
                                  "backlog: 4096 -> 9\n"
                                  "listeners: [::]:80 -> [::]:80, unix:/run/x\n"
                                  "steering.mode: near -> off\n"
                                  "admin.address: 127.0.0.1:9901 -> off\n"
                                  "access_log.ring_bytes: 1MiB -> 64KiB\n");
    assert_int_equal(next.workers, 2);
    assert_false(next.pin_workers);
    assert_int_equal(next.backlog, 4096);
    assert_int_equal(next.n_listeners, 1);
    assert_memory_equal(next.listeners, running.listeners, sizeof(next.listeners));
    assert_int_equal(next.steering, RG_STEERING_NEAR);
    assert_true(next.admin_enabled);
    assert_string_equal(next.admin.text, "127.0.0.1:9901");
    assert_int_equal(next.access_ring_bytes, 1 << 20);
    assert_int_equal(next.headers, 7); /* this one may change */
    assert_int_equal(keep(&running, &next), 0);
}

static void a_listener_of_another_address(void **state)
{
    (void)state;
    struct rg_settings running = config_good("listeners: [{address: 80}, {address: 81}]\nadmin: {address: off}\n");
    struct rg_settings next = config_good("listeners: [{address: 80}, {address: 82}]\nadmin: {address: 9902}\n");
    assert_int_equal(rg_options_keep_fixed(&running, &next, NULL, NULL), 2); /* a report is not needed */
    assert_string_equal(next.listeners[1].address.text, "[::]:81");
    assert_false(next.admin_enabled);
}

static char *json_of(const struct rg_settings *s)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    rg_options_begin_json(s, out);
    fputs("}\n", out);
    fclose(out);
    return text;
}

static void json_loads_again(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "workers: 3\nlisteners: [{address: 80}, {address: 'unix:/run/a \"b\\c'}]\nadmin: {address: off}\nhealth_path: "
        "off\n"
        "replica: {address: 'unix:/x', health: {path: off, expect: 200-399}}\ntrusted_proxies: [10.0.0.0/8, '::1']\n"
        "access_log: {path: \"/tmp/\\u00e9 \\\"x\\\".log\", sample: 3}\nlimits: {body_bytes: 0, body_rate: 1537}\n"
        "timeouts: {drain: 0s, drain_idle: 1500ms}\nsteering: {mode: off}\nhttp: {allow_underscores: true}\n",
        "replica: {health: {expect: 5xx}}\nadmin: {address: 'unix:/run/admin'}\nlog: {level: error}\n",
        "replica: {health: {expect: ic-status}}\naccess_log: {path: '-'}\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct rg_settings first = config_good(texts[i]);
        char *json = json_of(&first);
        struct rg_settings second = config_good(json); /* config_good gives --replica 9000 both times */
        char *again = json_of(&second);
        assert_string_equal(json, again);
        assert_memory_equal(&first, &second, sizeof(first));
        free(json);
        free(again);
    }
}

static void json_has_the_shape_of_the_file(void **state)
{
    (void)state;
    struct rg_settings s =
        config_good("workers: 3\nlisteners: [{address: 80}, {address: 81}]\ntrusted_proxies: [10.0.0.0/8]\n");
    char *json = json_of(&s);
    assert_non_null(strstr(json, "{\"workers\":3,\"pin_workers\":false,\"backlog\":4096,\"health_path\":\"/health\","
                                 "\"trusted_proxies\":[\"10.0.0.0/8\"],\"listeners\":[{\"address\":\"[::]:80\","));
    assert_non_null(strstr(json, "},{\"address\":\"[::]:81\","));
    assert_non_null(strstr(json, "}],\"tls\":{\"ticket_keys\":\"off\",\"ticket_lifetime\":\"12h\"},\"replica\":{"
                                 "\"address\":\"127.0.0.1:9000\",\"protocol\":\"http1\","));
    assert_non_null(strstr(
        json, "\"health\":{\"path\":\"/api/v2/status\",\"interval\":\"1s\",\"timeout\":\"2s\",\"expect\":\"auto\","
              "\"rise\":1,\"fall\":2}},\"steering\":{\"mode\":\"near\"},\"control\":{\"url\":\"off\","));
    assert_non_null(strstr(json, "\"log\":{\"level\":\"info\"}}\n"));
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changed_is_nothing_reported), cmocka_unit_test(fixed_options_stay_and_are_reported),
        cmocka_unit_test(a_listener_of_another_address),       cmocka_unit_test(json_loads_again),
        cmocka_unit_test(json_has_the_shape_of_the_file),
    };
    return cmocka_run_group_tests(tests, config_setup, config_teardown);
}
