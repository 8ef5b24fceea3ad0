/* New settings for a running gateway: published, kept, refused. Workers and steering are played by fakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "gateway_fixture.h"

static void new_settings_are_published_and_old_ones_freed(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    fake_worker_rules.keep_generation = true;
    write_config(REPLICA "limits: {headers: 50}\n");
    assert_int_equal(reload(), 0);
    assert_int_equal(fake(0)->published->headers, 50);
    assert_int_equal(fake(1)->published->generation, 2);
    assert_string_equal(text, "{\"reloaded\":true,\"kept\":[],\"changed\":[{\"option\":\"limits.headers\","
                              "\"was\":\"100\",\"now\":\"50\"}],\"generation\":2}\n");
    assert_false(rg_gateway_settings_are_live(&gateway));
    rg_gateway_retire_settings(&gateway);
    assert_non_null(gateway.retired); /* still read */
    fake(0)->generation = 2;
    rg_gateway_retire_settings(&gateway);
    assert_non_null(gateway.retired);
    fake(1)->generation = 2;
    rg_gateway_retire_settings(&gateway);
    assert_null(gateway.retired);
    assert_true(rg_gateway_settings_are_live(&gateway));
}

static void reloads_that_overtake_each_other_keep_what_is_read(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    fake_worker_rules.keep_generation = true;
    assert_int_equal(reload(), 0);
    assert_int_equal(reload(), 0);
    assert_int_equal(reload(), 0);
    fake(0)->generation = 4;
    fake(1)->generation = 3;
    rg_gateway_retire_settings(&gateway);
    assert_non_null(gateway.retired); /* 3 alone */
    assert_int_equal(gateway.retired->settings.generation, 3);
    assert_null(gateway.retired->next);
    fake(1)->ended = true; /* a worker that ended reads nothing */
    rg_gateway_retire_settings(&gateway);
    assert_null(gateway.retired);
}

static void what_is_fixed_is_kept_and_said(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    FILE *f = fopen(fixture_config, "a");
    fputs("backlog: 77\nhealth_path: \"/up\"\n", f);
    fclose(f);
    assert_int_equal(reload(), 0);
    assert_non_null(strstr(text, "\"kept\":[{\"option\":\"backlog\",\"running\":\""));
    assert_non_null(strstr(text, "\"wanted\":\"77\"}]"));
    assert_non_null(strstr(text, "\"changed\":[{\"option\":\"health_path\",\"was\":\"/health\",\"now\":\"/up\"}]"));
    assert_int_not_equal(fake(0)->published->backlog, 77);
}

static void errors_change_nothing(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    const struct rg_settings *before = fake(0)->published;
    write_config(REPLICA "bogus: 1\nlimits: {headers: 0}\n");
    assert_true(reload() < 0);
    assert_ptr_equal(fake(0)->published, before);
    assert_int_equal(rg_gateway_settings(&gateway)->generation, 1);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_OK], 0);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_FAILURES], 1);
    assert_int_equal(strncmp(text, "{\"reloaded\":false,\"errors\":[\"", 28), 0);
    assert_non_null(strstr(text, ": bogus: got "));
    assert_non_null(strstr(text, ": limits.headers: got "));
    write_config(REPLICA);
    assert_int_equal(reload(), 0);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_OK], 1);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_FAILURES], 1);
}

/* Started by flags alone: nothing to read, until there is a file. One that vanishes is not the defaults. */
static void a_reload_needs_a_file(void **state)
{
    (void)state;
    char admin[128], listener[128];
    snprintf(admin, sizeof(admin), "unix:%s/admin.sock", fixture_dir);
    snprintf(listener, sizeof(listener), "unix:%s/l.sock", fixture_dir);
    fixture_flags.config_given = false;
    fixture_flags.replica = "unix:/nowhere/replica.sock";
    fixture_flags.admin = admin;
    fixture_flags.workers = "2";
    fixture_flags.listen.list[0] = listener;
    fixture_flags.listen.n = 1;
    assert_int_equal(unlink(fixture_config), 0);
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    assert_int_equal(reload(), -ENOENT);
    assert_non_null(strstr(text, "{\"reloaded\":false,"));
    assert_non_null(strstr(text, "got no file, wanted one to read; the gateway was started by flags alone"));
    assert_int_equal(rg_gateway_settings(&gateway)->generation, 1);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_OK], 1);

    write_config(REPLICA);
    assert_int_equal(reload(), 0);
    assert_int_equal(rg_gateway_settings(&gateway)->generation, 2);

    assert_int_equal(unlink(fixture_config), 0);
    assert_int_equal(reload(), -ENOENT);
    assert_non_null(strstr(text, "wanted the one that the running settings are from"));
    assert_int_equal(rg_gateway_settings(&gateway)->generation, 2);
    assert_int_equal(gateway.metrics.values[RG_CM_CONFIG_RELOAD_OK], 0);
}

/* Listeners stay until a restart: a file whose own addresses are apart may still point back at the running ones. */
static void a_reload_can_not_make_a_loop(void **state)
{
    (void)state;
    start_gateway();
    gateway.phase = RG_PHASE_SERVING;
    const char *const ours[] = {"l.sock", "admin.sock"};
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(fixture_config, "w");
        assert_non_null(f);
        fprintf(f, "listeners: [{address: 'unix:/else'}]\nadmin: {address: 'off'}\nreplica: {address: 'unix:%s/%s'}\n",
                fixture_dir, ours[i]);
        fclose(f);
        assert_int_equal(reload(), -EINVAL);
        assert_non_null(strstr(text, "replica.address: got"));
        assert_non_null(strstr(text, "until a restart"));
        assert_int_equal(rg_gateway_settings(&gateway)->generation, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_settings_are_published_and_old_ones_freed),
        TEST(reloads_that_overtake_each_other_keep_what_is_read),
        TEST(what_is_fixed_is_kept_and_said),
        TEST(errors_change_nothing),
        TEST(a_reload_needs_a_file),
        TEST(a_reload_can_not_make_a_loop),
    };
    return cmocka_run_group_tests_name("gateway_reload", tests, NULL, NULL);
}
