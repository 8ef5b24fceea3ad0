/* control/options/options.c: what comes from the file, what from flags, and what must come from either. */
#include "tests/unit/options/config_fixture.h"

static const char file[] = "workers: 3\n"
                           "listeners: [{address: 80}, {address: 81}, {address: 'unix:/run/in.sock'}]\n"
                           "replica: {address: 'unix:/run/replica.sock'}\n"
                           "admin: {address: 9000}\n"
                           "limits: {headers: 21}\n";

static void a_replica_is_needed(void **state)
{
    (void)state;
    struct rg_flags none = {0};
    struct loaded l = config_load("workers: 1\n", 11, &none);
    assert_string_equal(
        l.errors, "t.yaml:1:1: replica.address: got nothing, wanted the address of the service behind the gateway; "
                  "give it here or by --replica ADDR\n");
    config_free(&l);
    l = config_load("log: {}\nreplica:\n  protocol: http1\n", 34, &none);
    assert_string_equal(
        l.errors, "t.yaml:3:3: replica.address: got nothing, wanted the address of the service behind the gateway; "
                  "give it here or by --replica ADDR\n");
    config_free(&l);
    l = config_load("log: [\n", 7, &none); /* one error is enough when the file could not be read */
    assert_null(strstr(l.errors, "replica.address"));
    config_free(&l);
}

static void flags_win_over_the_file(void **state)
{
    (void)state;
    struct rg_flags flags = {
        .listen = {{"81", "127.0.0.1:82"}, 2}, .replica = "http://127.0.0.1:83", .workers = "5", .admin = "off"};
    struct loaded l = config_load(file, strlen(file), &flags);
    assert_string_equal(l.errors, "");
    assert_int_equal(l.settings.n_listeners, 2);
    assert_string_equal(l.settings.listeners[0].address.text, "[::]:81");
    assert_string_equal(l.settings.listeners[1].address.text, "127.0.0.1:82");
    assert_string_equal(l.settings.replica.text, "127.0.0.1:83");
    assert_int_equal(l.settings.workers, 5);
    assert_false(l.settings.admin_enabled);
    assert_int_equal(l.settings.headers, 21);
    config_free(&l);
    flags = (struct rg_flags){.workers = "auto", .replica = "1"};
    l = config_load("workers: 63\n", 12, &flags);
    assert_int_equal(l.rc, 0);
    assert_int_not_equal(l.settings.workers, 63);
    config_free(&l);
}

static void bad_flags_are_named_after_the_file(void **state)
{
    (void)state;
    struct rg_flags flags = {.listen = {{"80", "x", "80"}, 3},
                             .replica = "https://127.0.0.1:1",
                             .workers = "0",
                             .admin = "of",
                             .control = "tcp://p",
                             .token_file = "t",
                             .state_dir = "off"};
    struct loaded l = config_load("log: {level: x}\n", 16, &flags);
    assert_string_equal(
        l.errors,
        "t.yaml:1:14: log.level: got \"x\", wanted one of error, warn, info or debug\n"
        "--listen: got \"x\", wanted a numeric address or localhost; host names are not supported by this version\n"
        "--replica: got \"https://127.0.0.1:1\", wanted http://ADDR or h2c://ADDR; this version does not speak TLS to "
        "the "
        "replica yet\n"
        "--workers: got 0, wanted auto or a whole number from 1 to 64\n"
        "--admin: got \"of\", wanted a numeric address or localhost; host names are not supported by this version; did "
        "you mean off?\n"
        "--control: got \"tcp://p\", wanted off, or a URL like wss://platform.example:9243 (wss, https, ws or http; no "
        "user, query or fragment)\n"
        "--token-file: got \"t\", wanted an absolute path of at most 255 bytes, or off\n"
        "--state-dir: got \"off\", wanted an absolute path of at most 255 bytes\n"
        "--listen: got \"[::]:80\" a second time, wanted each address once\n");
    config_free(&l);
}

/* What a set of flags is refused with; config NULL: there is no file. */
static void refused(const char *config, struct rg_flags flags, const char *errors)
{
    if (!config)
        flags.config_path = "none.yaml";
    struct loaded l = config_load(config ? config : "", config ? strlen(config) : 0, &flags);
    assert_string_equal(l.errors, errors);
    assert_true(l.rc < 0);
    config_free(&l);
}

#define A_LOOP ", wanted the address of the service behind the gateway; requests would go round in a circle\n"
#define OPEN   ", wanted the address of the service behind the gateway; clients would reach the admin endpoint\n"

static void a_control_plane_needs_a_token(void **state)
{
    (void)state;
    refused("replica: {address: 1}\ncontrol: {url: 'wss://p', reconnect_initial: 2s, reconnect_max: 1s}\n",
            (struct rg_flags){0},
            "t.yaml:2:10: control.token_file: got nothing, wanted a file with the gateway's registration token; "
            "control.url needs it\n"
            "t.yaml:2:65: control.reconnect_max: got 1s, wanted at least control.reconnect_initial, which is 2s\n");
    refused(NULL, (struct rg_flags){.replica = "1", .control = "wss://p"},
            "--token-file: got nothing, wanted a file with the gateway's registration token; control.url needs it\n");
}

static void flags_name_the_control_plane(void **state)
{
    (void)state;
    struct rg_flags flags = {.replica = "1", .control = "ws://127.0.0.1:9080/x", .token_file = "/t", .state_dir = "/d"};
    struct loaded l = config_load("control: {url: off, token_file: /u, insecure_skip_verify: true}\n", 63, &flags);
    assert_string_equal(l.errors, "");
    assert_string_equal(l.settings.control.url, "ws://127.0.0.1:9080/x");
    assert_string_equal(l.settings.control.token_file, "/t");
    assert_string_equal(l.settings.control.state_dir, "/d");
    assert_true(l.settings.control.insecure_skip_verify);
    assert_int_equal(l.settings.control.reconnect_max_ms, 300000);
    config_free(&l);
}

static void the_replica_is_not_the_gateway(void **state)
{
    (void)state;
    refused(NULL, (struct rg_flags){.listen = {{"1", "127.0.0.1:2"}, 2}, .replica = "2"},
            "--replica: got \"127.0.0.1:2\", where the gateway itself listens (--listen 127.0.0.1:2)" A_LOOP);
    refused(NULL, (struct rg_flags){.replica = "http://127.0.0.1"},
            "--replica: got \"127.0.0.1:80\", where the gateway itself listens (the default listener [::]:80)" A_LOOP);
    refused("replica: {address: 'unix:/a'}\nlisteners: [{address: 80}, {address: 'unix:/a'}]\n", (struct rg_flags){0},
            "t.yaml:1:20: replica.address: got \"unix:/a\", where the gateway itself listens (listeners[1].address "
            "unix:/a)" A_LOOP);
    refused(
        "replica: {address: 'unix:/a'}\n", (struct rg_flags){.listen = {{"unix:/a"}, 1}},
        "t.yaml:1:20: replica.address: got \"unix:/a\", where the gateway itself listens (--listen unix:/a)" A_LOOP);
    refused("listeners: [{address: 81}]\n", (struct rg_flags){.replica = "[::1]:81"},
            "--replica: got \"[::1]:81\", where the gateway itself listens (listeners[0].address [::]:81)" A_LOOP);
    refused(NULL, (struct rg_flags){.replica = "9901"},
            "--replica: got \"127.0.0.1:9901\", which is the admin endpoint (--admin)" OPEN);
    refused("replica: {address: 9}\nadmin: {address: 9}\n", (struct rg_flags){0},
            "t.yaml:1:20: replica.address: got \"127.0.0.1:9\", which is the admin endpoint (admin.address)" OPEN);
    struct rg_flags another = {.config_path = "none.yaml", .replica = "10.0.0.1:80"}; /* another machine's port 80 */
    struct loaded l = config_load("", 0, &another);
    assert_string_equal(l.errors, "");
    config_free(&l);
}

static void the_admin_endpoint_is_not_a_listener(void **state)
{
    (void)state;
    refused(NULL, (struct rg_flags){.listen = {{"127.0.0.1:81"}, 1}, .replica = "1", .admin = "81"},
            "--admin: got \"127.0.0.1:81\", where clients connect (--listen 127.0.0.1:81), wanted an address of its "
            "own\n");
    refused(NULL, (struct rg_flags){.listen = {{"9901"}, 1}, .replica = "1"},
            "--admin: got \"127.0.0.1:9901\", where clients connect (--listen [::]:9901), wanted an address of its "
            "own\n");
    refused("replica: {address: 1}\nadmin: {address: 80}\n", (struct rg_flags){0},
            "t.yaml:2:18: admin.address: got \"127.0.0.1:80\", where clients connect (the default listener [::]:80), "
            "wanted an address of its own\n");
}

static void files_that_are_not_there(void **state)
{
    (void)state;
    struct rg_flags flags = {.config_path = "none.yaml", .replica = "8080"};
    struct loaded l = config_load("", 0, &flags);
    assert_int_equal(l.rc, 0);
    assert_string_equal(l.errors, "");
    config_free(&l);
    flags.replica = NULL;
    l = config_load("", 0, &flags);
    assert_string_equal(
        l.errors, "none.yaml: got an error (No such file or directory), wanted a configuration file that can be read; "
                  "give replica.address in a file that -c FILE names, or start without one by --replica ADDR\n");
    config_free(&l);
    flags = (struct rg_flags){.config_path = "none.yaml", .config_given = true, .replica = "8080"};
    l = config_load("", 0, &flags);
    assert_string_equal(
        l.errors,
        "none.yaml: got an error (No such file or directory), wanted a configuration file that can be read\n");
    config_free(&l);
    flags = (struct rg_flags){.config_path = ".", .replica = "8080"};
    l = config_load("", 0, &flags);
    assert_string_equal(l.errors,
                        ".: got an error (Is a directory), wanted a configuration file that can be read; "
                        "give replica.address in a file that -c FILE names, or start without one by --replica ADDR\n");
    config_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_is_needed),
        cmocka_unit_test(flags_win_over_the_file),
        cmocka_unit_test(bad_flags_are_named_after_the_file),
        cmocka_unit_test(a_control_plane_needs_a_token),
        cmocka_unit_test(flags_name_the_control_plane),
        cmocka_unit_test(the_replica_is_not_the_gateway),
        cmocka_unit_test(the_admin_endpoint_is_not_a_listener),
        cmocka_unit_test(files_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, config_setup, config_teardown);
}
