/* The agent without a control plane: what it begins with, and what it does while workers are late. Workers are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/agent/agent_parts.h"
#include "datapath/endpoint.h"
#include "tests/unit/scratch.h"

#define PATIENCE_MS 10000

static struct fixture {
    char dir[64];
    struct rg_loop loop;
    struct rg_control_settings settings;
    struct rg_agent_metrics metrics;
    struct rg_endpoints *endpoints;
    struct rg_agent *agent;
    struct rg_snapshot *snapshots[32]; /* as published; freed at the end */
    unsigned n_snapshots;
    int32_t late; /* the worker that has switched to `reached` alone; -1: none */
    uint64_t reached;
} f;

/* ---- The gateway ---- */

static int publish(void *owner, struct rg_unit *const *units, size_t n, uint64_t *generation,
                   struct rg_route_conflict *conflict)
{
    (void)owner;
    assert_true(f.n_snapshots < 32);
    int r = rg_snapshot_create(&f.snapshots[f.n_snapshots], units, n, f.n_snapshots + 1, 2, conflict);
    if (r == 0)
        *generation = ++f.n_snapshots;
    return r;
}

static int32_t late_worker(void *owner, uint64_t generation)
{
    (void)owner;
    return f.late >= 0 && generation > f.reached ? f.late : -1;
}

static void turn_until(bool (*condition)(void))
{
    for (uint64_t end = rg_now_ms() + PATIENCE_MS; !condition();) {
        rg_agent_tick(f.agent);
        if (f.late < 0)
            rg_agent_live(f.agent);
        assert_int_equal(rg_loop_turn(&f.loop), 0);
        assert_true(rg_now_ms() < end);
    }
}

/* Whatever else happens, the loop turns. */
static struct rg_alarm heartbeat;

static void beat(struct rg_alarm *a)
{
    rg_loop_set_alarm(&f.loop, a, 5);
}

/* ---- State ---- */

static void write_definition(const char *id, const char *context)
{
    char text[512], path[256], *bytes;
    size_t len;
    struct rg_state_deployment d = {.kind = RG_KIND_REST_API, .deployed = true};
    snprintf(text, sizeof(text),
             "apiVersion: gateway.api-platform.wso2.com/v1\nkind: RestApi\nmetadata: {name: %s}\nspec:\n"
             "  displayName: x\n  version: v1.0\n  context: %s\n"
             "  upstream: {main: {url: \"http://127.0.0.1:1\"}}\n  operations: [{method: GET, path: /x}]\n",
             id, context);
    snprintf(d.artifact_id, sizeof(d.artifact_id), "%s", id);
    snprintf(d.deployment_id, sizeof(d.deployment_id), "d-%s", id);
    snprintf(d.performed_at, sizeof(d.performed_at), "2026-08-22T09:15:04Z");
    d.text = rg_str_of(text);
    assert_int_equal(rg_state_encode_deployment(&d, &bytes, &len), 0);
    snprintf(path, sizeof(path), "%s/%s.deployment", f.dir, id);
    FILE *file = fopen(path, "we");
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
    free(bytes);
}

static int begin(void)
{
    struct rg_agent_init init = {.settings = &f.settings,
                                 .loop = &f.loop,
                                 .metrics = &f.metrics,
                                 .place = {.workers = 2, .endpoints = f.endpoints},
                                 .outlet = {publish, late_worker, NULL}};
    return rg_agent_create(&f.agent, &init);
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    f.late = -1;
    scratch_create(f.dir, sizeof(f.dir));
    snprintf(f.settings.url, sizeof(f.settings.url), "ws://127.0.0.1:1");
    snprintf(f.settings.state_dir, sizeof(f.settings.state_dir), "%s", f.dir);
    if (rg_loop_init(&f.loop) < 0 || rg_endpoints_create(&f.endpoints, 2) < 0)
        return -1;
    heartbeat = (struct rg_alarm){.due = beat};
    beat(&heartbeat);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_agent_destroy(f.agent);
    while (f.n_snapshots > 0)
        rg_snapshot_destroy(f.snapshots[--f.n_snapshots]);
    rg_endpoints_destroy(f.endpoints);
    rg_loop_clear_alarm(&f.loop, &heartbeat);
    rg_loop_fini(&f.loop);
    return scratch_remove(f.dir);
}

static void undeploy(const char *id, const char *deployment, const char *at)
{
    struct rg_event e;
    char text[512], why[RG_EVENT_WHY_MAX];
    snprintf(
        text, sizeof(text),
        "{\"type\":\"api.undeployed\",\"payload\":{\"apiId\":\"%s\",\"deploymentId\":\"%s\",\"performedAt\":\"%s\"}}",
        id, deployment, at);
    assert_int_equal(rg_event_parse(rg_str_of(text), &e, why), 0);
    rg_agent_take_event(f.agent, &e);
    rg_event_fini(&e);
}

/* Of a thousand instants a second, one after the other. */
static void deploy_at(const char *id, unsigned at_ms)
{
    struct rg_event e;
    char text[512], why[RG_EVENT_WHY_MAX];
    snprintf(text, sizeof(text),
             "{\"type\":\"api.deployed\",\"payload\":{\"apiId\":\"%s\",\"deploymentId\":\"d2-%s\","
             "\"performedAt\":\"2026-08-22T10:%02u:%02u.%03uZ\"}}",
             id, id, at_ms / 60000, at_ms / 1000 % 60, at_ms % 1000);
    assert_int_equal(rg_event_parse(rg_str_of(text), &e, why), 0);
    rg_agent_take_event(f.agent, &e);
    rg_event_fini(&e);
}

static size_t routes(void)
{
    return rg_snapshot_routes(f.snapshots[f.n_snapshots - 1]);
}

/* ---- Tests ---- */

static void what_is_on_the_disk_is_live_at_once(void **state)
{
    (void)state;
    write_definition("a", "/a");
    write_definition("b", "/b");
    assert_int_equal(begin(), 0);
    assert_int_equal(f.n_snapshots, 1);
    assert_int_equal(routes(), 2);
}

static void of_two_with_one_route_one_is_served(void **state)
{
    (void)state;
    write_definition("a", "/same");
    write_definition("b", "/same");
    write_definition("c", "/c");
    assert_int_equal(begin(), 0);
    assert_int_equal(routes(), 2);
}

static uint64_t undeployed(void)
{
    return f.metrics.values[RG_AM_UNDEPLOYED];
}

static bool one_has_gone(void)
{
    return undeployed() == 1;
}

static bool both_have_gone(void)
{
    return undeployed() == 2;
}

static void an_undeployment_goes_to_the_disk(void **state)
{
    (void)state;
    write_definition("a", "/a");
    assert_int_equal(begin(), 0);
    undeploy("a", "d-a", "2026-08-22T09:15:05Z");
    turn_until(one_has_gone);
    assert_int_equal(routes(), 0);
    rg_agent_destroy(f.agent);
    f.agent = NULL;
    assert_int_equal(begin(), 0);
    assert_int_equal(routes(), 0);
    undeploy("a", "d-a", "2026-08-22T09:15:05Z");
    assert_int_equal(f.metrics.values[RG_AM_DEPLOYMENTS_STALE], 1); /* it is still known */
}

static bool one_has_failed(void)
{
    return f.metrics.values[RG_AM_DEPLOYMENTS_FAILED] == 1;
}

static void a_late_worker_is_named_and_holds_up_nobody(void **state)
{
    (void)state;
    write_definition("a", "/a");
    write_definition("b", "/b");
    assert_int_equal(begin(), 0);
    f.agent->overdue_ms = 50;
    f.late = 1;
    f.reached = f.n_snapshots;
    undeploy("a", "d-a", "2026-08-22T09:15:05Z");
    turn_until(one_has_failed);
    assert_non_null(strstr(rg_entry_find(f.agent, "a")->failure, "worker 1 has not switched"));
    assert_int_equal(undeployed(), 0);
    assert_int_equal(routes(), 1); /* it stays published */

    /* others don't wait for it, and a success takes the failure back */
    unsigned before = f.n_snapshots;
    undeploy("b", "d-b", "2026-08-22T09:15:05Z");
    for (uint64_t end = rg_now_ms() + PATIENCE_MS; f.n_snapshots == before;) {
        assert_int_equal(rg_loop_turn(&f.loop), 0);
        assert_true(rg_now_ms() < end);
    }
    assert_int_equal(routes(), 0);
    f.late = -1;
    turn_until(both_have_gone);
    assert_null(rg_entry_find(f.agent, "a")->failure);
    assert_int_equal(f.metrics.values[RG_AM_DEPLOYMENTS_FAILED], 1);
}

static void what_comes_while_workers_switch_waits_for_the_next(void **state)
{
    (void)state;
    for (char id[2] = "a"; id[0] <= 'j'; id[0]++) {
        char context[8];
        snprintf(context, sizeof(context), "/%s", id);
        write_definition(id, context);
    }
    assert_int_equal(begin(), 0);
    f.late = 0;
    f.reached = 1;
    for (char id[2] = "a"; id[0] <= 'j'; id[0]++) {
        char deployment[8];
        snprintf(deployment, sizeof(deployment), "d-%s", id);
        undeploy(id, deployment, "2026-08-22T09:15:05Z");
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(rg_loop_turn(&f.loop), 0);
    }
    assert_int_equal(f.n_snapshots, 2); /* the first went at once */
    f.late = -1;
    for (uint64_t end = rg_now_ms() + PATIENCE_MS; undeployed() < 10;) {
        rg_agent_live(f.agent);
        assert_int_equal(rg_loop_turn(&f.loop), 0);
        assert_true(rg_now_ms() < end);
    }
    assert_int_equal(f.n_snapshots, 3);
    assert_int_equal(routes(), 0);
}

static void let_in(const char *id)
{
    struct rg_event e;
    char text[512], why[RG_EVENT_WHY_MAX];
    snprintf(text, sizeof(text),
             "{\"type\":\"apikey.created\",\"payload\":{\"apiId\":\"%s\",\"name\":\"k\",\"apiKeyHashes\":"
             "{\"sha256\":\"%064d\"}}}",
             id, 7);
    assert_int_equal(rg_event_parse(rg_str_of(text), &e, why), 0);
    rg_agent_take_event(f.agent, &e);
    rg_event_fini(&e);
}

static bool all_is_submitted(void)
{
    return !f.agent->keys_unsaved && !f.agent->secrets_unsaved;
}

static bool one_write_has_failed(void)
{
    return f.metrics.values[RG_AM_STATE_FAILURES] == 1;
}

/* The disk holds up the keys, the secrets come behind them and are written: the keys are tried again all the same. */
static void keys_that_fail_late_are_written_again(void **state)
{
    (void)state;
    char held_up[128], keys[128];
    snprintf(keys, sizeof(keys), "%s/keys.json", f.dir);
    snprintf(held_up, sizeof(held_up), "%s/keys.json.new", f.dir);
    write_definition("a", "/a");
    assert_int_equal(begin(), 0);
    assert_int_equal(mkfifo(held_up, 0600), 0); /* opened for writing it waits for a reader; it can't be synced */
    let_in("a");
    turn_until(all_is_submitted);
    rg_persist_secrets(f.agent);
    turn_until(all_is_submitted);
    int reader = open(held_up, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    turn_until(one_write_has_failed);
    close(reader);
    rg_agent_destroy(f.agent); /* writes what is not written */
    f.agent = NULL;
    assert_int_equal(access(keys, R_OK), 0);
}

/* ---- Limits ---- */

static struct rg_entry *entry(unsigned i)
{
    char id[32];
    snprintf(id, sizeof(id), "x%u", i);
    return rg_entry_get(f.agent, RG_KIND_REST_API, id);
}

static void so_many_artifacts_and_no_more(void **state)
{
    (void)state;
    const uint64_t *values = f.metrics.values;
    write_definition("a", "/a");
    assert_int_equal(begin(), 0);
    for (unsigned i = 0; f.agent->n_entries < RG_AGENT_ARTIFACTS_MAX; i++)
        assert_non_null(entry(i));
    deploy_at("one-more", 1);
    let_in("two-more");
    assert_null(rg_entry_find(f.agent, "one-more"));
    assert_null(rg_entry_find(f.agent, "two-more"));
    assert_int_equal(f.agent->n_entries, RG_AGENT_ARTIFACTS_MAX);
    assert_int_equal(values[RG_AM_DEPLOYMENTS_FAILED], 1);
    assert_true(rg_list_empty(&f.agent->orders));

    deploy_at("a", 2); /* what is known goes on */
    deploy_at("x1", 3);
    assert_int_equal(rg_entry_find(f.agent, "a")->n_orders, 1);
    assert_int_equal(rg_entry_find(f.agent, "x1")->n_orders, 1);
    assert_non_null(rg_entry_find(f.agent, "a")->live.unit);
    assert_int_equal(routes(), 1);
    rg_agent_forget(f.agent, rg_entry_find(f.agent, "x0"), "it was deleted"); /* there is room again */
    deploy_at("one-more", 4);
    assert_int_equal(rg_entry_find(f.agent, "one-more")->n_orders, 1);
    assert_int_equal(values[RG_AM_DEPLOYMENTS_FAILED], 1);
}

/* Of the failures that came last everything is kept, of older ones how they begin. */
static void old_failures_are_kept_in_short(void **state)
{
    (void)state;
    char text[RG_AGENT_FAILURE_MAX];
    assert_int_equal(begin(), 0);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; i <= RG_AGENT_FAILURES_WHOLE; i++) {
        json_t *errors = json_pack("[{s:s, s:s}]", "field", "spec", "message", text);
        rg_entry_set_failure(f.agent, entry(i), text, errors);
        json_decref(errors);
    }
    assert_in_range(strlen(entry(0)->failure), 32, 256);
    assert_null(entry(0)->errors);
    assert_string_equal(entry(1)->failure, text);
    rg_entry_set_failure(f.agent, entry(1), NULL, NULL); /* one goes, one comes: nobody else's is cut */
    rg_entry_set_failure(f.agent, entry(0), "again", NULL);
    assert_string_equal(entry(0)->failure, "again");
    assert_string_equal(entry(2)->failure, text);
    assert_non_null(entry(2)->errors);
    rg_entry_set_failure(f.agent, entry(2), "now it is the newest", NULL);
    rg_entry_set_failure(f.agent, entry(1), text, NULL);
    assert_in_range(strlen(entry(3)->failure), 32, 256);
    rg_agent_forget(f.agent, entry(4), "it was deleted");
    assert_string_equal(entry(5)->failure, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_on_the_disk_is_live_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(of_two_with_one_route_one_is_served, setup, teardown),
        cmocka_unit_test_setup_teardown(an_undeployment_goes_to_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_worker_is_named_and_holds_up_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(what_comes_while_workers_switch_waits_for_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_that_fail_late_are_written_again, setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_artifacts_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(old_failures_are_kept_in_short, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
