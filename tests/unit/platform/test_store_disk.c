/* The store on a disk: what survives, what is refused, what is not readable there, and what a full disk does. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/platform/db.h"
#include "control/platform/store_look.h"
#include "store_fixture.h"

static char *path_in(const struct fixture *f, const char *name, char path[512])
{
    snprintf(path, 512, "%s/%s", f->dir, name);
    return path;
}

static char *read_file(const struct fixture *f, const char *name, size_t *ret_len)
{
    char path[512];
    FILE *in = fopen(path_in(f, name, path), "re");
    assert_non_null(in);
    char *text = calloc(1, 1 << 23);
    assert_non_null(text);
    *ret_len = fread(text, 1, (1 << 23) - 1, in);
    fclose(in);
    return text;
}

static void write_file(const struct fixture *f, const char *name, const char *text, size_t len, mode_t mode)
{
    char path[512];
    int fd = open(path_in(f, name, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0 && fchmod(fd, mode) == 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static int open_again(struct fixture *f, char error[512])
{
    return rg_store_open(&f->store, &f->config, error, 512);
}

/* ---- Files ---- */

static void test_files(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"ringgate.db", "store.key", "admin.token"};
    char path[512];
    struct stat st;
    size_t len;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stat(path_in(f, names[i], path), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    char *token = read_file(f, "admin.token", &len);
    assert_int_equal(len, RG_TOKEN_LEN + 1);
    assert_memory_equal(token, f->token, RG_TOKEN_LEN);
    free(token);
}

/* Neither tokens nor keys nor secrets can be found in the files, the write-ahead log included. */
static void test_nothing_in_the_clear(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {"ringgate.db", "ringgate.db-wal"};
    char *token = make_gateway(f, "edge-1");
    assert_int_equal(
        call(f, "POST", API "/secrets", "{\"id\":\"s\",\"displayName\":\"S\",\"value\":\"needle-in-secret\"}"), 201);
    assert_int_equal(call(f, "POST", API "/llm-providers",
                          "{\"id\":\"p\",\"displayName\":\"P\",\"version\":\"v1.0\",\"template\":\"openai\","
                          "\"upstream\":{\"url\":\"https://a\",\"auth\":{\"type\":\"api-key\",\"header\":\"h\","
                          "\"value\":\"needle-in-upstream\"}}}"),
                     201);
    assert_int_equal(call(f, "POST", API "/llm-providers/p/deployments", "{\"gatewayId\":\"edge-1\"}"), 201);
    assert_int_equal(
        call(f, "POST", API "/llm-providers/p/api-keys", "{\"name\":\"k\",\"apiKey\":\"needle-in-apikey\"}"), 201);
    for (size_t i = 0; i < 2; i++) {
        size_t len;
        char *text = read_file(f, files[i], &len);
        assert_null(memmem(text, len, "needle-in", 9));
        assert_null(memmem(text, len, token, strlen(token)));
        assert_null(memmem(text, len, f->token, strlen(f->token)));
        free(text);
    }
    free(token);
}

/* ---- Again ---- */

static void test_reopen(void **state)
{
    struct fixture *f = *state;
    char error[512];
    struct rg_session session;
    struct operation op;
    char *token = make_gateway(f, "edge-1");
    make_api(f, "hello");
    char *d = deploy(f, "hello", "edge-1");
    last_operation(f, &op);
    connect_as(f, token, "", &session);
    fixture_close(f);
    fixture_open(f);
    assert_string_equal(status_of(f, "hello", d), "DEPLOYING");
    assert_int_equal(call(f, "GET", API "/gateways/edge-1", NULL), 200);
    assert_true(json_is_false(json_object_get(f->body, "isActive"))); /* nobody is connected to one that starts */
    connect_as(f, token, "", &session);
    ack(f, &session, &op, true);
    assert_string_equal(status_of(f, "hello", d), "DEPLOYED");
    f->now_ms -= 3600 * 1000; /* the clock was set back */
    free(deploy(f, "hello", "edge-1"));
    struct operation next;
    last_operation(f, &next);
    assert_true(strcmp(next.performed_at, op.performed_at) > 0);

    struct rg_store *second;
    assert_int_equal(rg_store_open(&second, &f->config, error, sizeof(error)), -EBUSY);
    assert_non_null(strstr(error, "another platform"));
    free(d);
    free(token);
}

/* The clock was wrong when the last process noted it; or has been set since. */
static void test_timeout_with_another_clock(void **state)
{
    struct fixture *f = *state;
    struct stage s;
    uint64_t next;
    set_up(f, &s);
    f->set_ms = INT64_C(5) * 365 * 24 * 3600 * 1000;
    char *d = deploy(f, "hello", "edge-1");
    fixture_close(f);
    f->set_ms = 0;
    fixture_open(f);
    assert_int_equal(rg_store_sweep(f->store, &f->effects, &next), 0);
    assert_int_equal(next, 300000);
    f->now_ms += 300000;
    assert_int_equal(rg_store_sweep(f->store, &f->effects, &next), 0);
    assert_true(next == UINT64_MAX);
    assert_status(f, d, "FAILED");
    free(d);
    free(s.token);
}

/* A database that a newer program has written: what is more does not matter. */
static void test_newer_schema(void **state)
{
    struct fixture *f = *state;
    char path[512];
    struct rg_db db;
    make_api(f, "hello");
    fixture_close(f);
    assert_int_equal(rg_db_open(&db, path_in(f, "ringgate.db", path)), 0);
    assert_int_equal(rg_db_script(&db, "ALTER TABLE gateways ADD COLUMN mood TEXT NOT NULL DEFAULT 'good';"
                                       "CREATE TABLE later (id INTEGER PRIMARY KEY);"
                                       "INSERT INTO schema_migrations (step, at) VALUES (1000, 'x')"),
                     0);
    rg_db_close(&db);
    fixture_open(f);
    free(make_gateway(f, "edge-1"));
    free(deploy(f, "hello", "edge-1"));
}

/* One of before there were columns for what is live, and for all that is wrong: the history says it. */
static void test_older_schema(void **state)
{
    struct fixture *f = *state;
    char path[512];
    struct rg_db db;
    struct rg_session session;
    struct operation op;
    char *token = make_gateway(f, "edge-1"), *ids[4];
    connect_as(f, token, "", &session);
    make_api(f, "hello");
    make_api(f, "gone");
    for (int i = 0; i < 4; i++) {
        f->now_ms += 1000;
        ids[i] = deploy(f, i < 3 ? "hello" : "gone", "edge-1");
        last_operation(f, &op);
        ack(f, &session, &op, i != 2);
    }
    assert_int_equal(callf(f, "POST", NULL, API "/rest-apis/gone/deployments/%s/undeploy", ids[3]), 200);
    last_operation(f, &op);
    ack(f, &session, &op, true);
    fixture_close(f);
    assert_int_equal(rg_db_open(&db, path_in(f, "ringgate.db", path)), 0);
    assert_int_equal(rg_db_script(&db, "DROP INDEX deployment_status_live;"
                                       "ALTER TABLE deployment_status DROP COLUMN live_uuid;"
                                       "ALTER TABLE deployment_status DROP COLUMN status_errors;"
                                       "ALTER TABLE deployment_events DROP COLUMN errors;"
                                       "ALTER TABLE deployment_acks DROP COLUMN errors;"
                                       "UPDATE deployment_events SET field_path = 'spec.policies[0].name'"
                                       " WHERE message IS NOT NULL;"
                                       "UPDATE deployment_status SET status_path = 'other' WHERE status = 'FAILED';"
                                       "DROP INDEX deployment_status_waiting;"
                                       "ALTER TABLE deployment_status DROP COLUMN waits_since_ms;"
                                       "CREATE INDEX deployment_status_waiting ON deployment_status (performed_at_ms)"
                                       " WHERE status IN ('DEPLOYING', 'UNDEPLOYING');"
                                       "DELETE FROM schema_migrations WHERE step >= 3"),
                     0);
    rg_db_close(&db);
    fixture_open(f);
    for (int i = 0; i < 4; i++) {
        status_of(f, i < 3 ? "hello" : "gone", ids[i]);
        assert_int_equal(json_is_true(json_object_get(f->body, "live")), i == 1);
    }
    status_of(f, "hello", ids[2]);
    assert_string_equal(got(f, "statusErrors.0.field"), "other");
    assert_string_equal(got(f, "statusErrors.0.message"), got(f, "statusMessage"));
    assert_int_equal(callf(f, "GET", NULL, API "/rest-apis/hello/deployments/%s/events", ids[2]), 200);
    assert_string_equal(got(f, "list.1.errors.0.field"), "spec.policies[0].name");
    assert_memory_equal(got(f, "list.1.errors.0.message"), "got \"nope\"", 10); /* without the path before it */
    for (int i = 0; i < 4; i++)
        free(ids[i]);
    free(token);
}

static void test_admin_token_is_replaced(void **state)
{
    struct fixture *f = *state;
    char old[RG_TOKEN_LEN + 1], path[512], error[512];
    snprintf(old, sizeof(old), "%s", f->token);
    fixture_close(f);
    unlink(path_in(f, "admin.token", path));
    fixture_open(f);
    assert_string_not_equal(f->token, old);
    assert_int_equal(call(f, "GET", API "/gateways", NULL), 200);
    f->token = old;
    assert_int_equal(call(f, "GET", API "/gateways", NULL), 401);
    fixture_close(f);
    write_file(f, "admin.token", "short\n", 6, 0600);
    assert_int_equal(open_again(f, error), -EINVAL);
    assert_non_null(strstr(error, "admin.token"));
}

/* ---- What is wrong with files ---- */

static void test_wrong_files(void **state)
{
    struct fixture *f = *state;
    char error[512], path[512], key[32] = "another key of thirty-two bytes";
    make_api(f, "hello");
    fixture_close(f);
    assert_int_equal(chmod(path_in(f, "store.key", path), 0644), 0);
    assert_int_equal(open_again(f, error), -EPERM);
    assert_non_null(strstr(error, "chmod 600"));
    write_file(f, "store.key", key, 16, 0600);
    assert_int_equal(open_again(f, error), -EINVAL);
    write_file(f, "store.key", key, 32, 0600);
    assert_int_equal(open_again(f, error), -EKEYREJECTED);
    assert_non_null(strstr(error, "is not the key of"));
}

/* Another key beside the database would look as if it were the one that belongs there. */
static void test_lost_key(void **state)
{
    struct fixture *f = *state;
    char error[512], path[512];
    struct rg_store_look look;
    struct stat st;
    make_api(f, "hello");
    fixture_close(f);
    assert_int_equal(unlink(path_in(f, "store.key", path)), 0);
    rg_store_look(f->config.dir, &look);
    assert_non_null(strstr(look.wrong, "store.key: is missing"));
    assert_int_equal(open_again(f, error), -ENOKEY);
    assert_non_null(strstr(error, "store.key: is missing"));
    assert_int_equal(stat(path, &st), -1);
}

static void test_corrupt(void **state)
{
    struct fixture *f = *state;
    char error[512], path[512], garbage[4096];
    make_api(f, "hello");
    fixture_close(f);
    memset(garbage, 0xa5, sizeof(garbage));
    int fd = open(path_in(f, "ringgate.db", path), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (off_t page = 1; page < 12; page++)
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), page * 4096), sizeof(garbage));
    close(fd);
    assert_int_equal(open_again(f, error), -EBADMSG);
    assert_non_null(strstr(error, "restore a backup"));
    assert_null(strstr(error, "not an error"));
    write_file(f, "ringgate.db", "this is no database at all, but it is long enough to be looked at", 65, 0600);
    assert_int_equal(open_again(f, error), -EBADMSG);
}

/* The words of what failed, not of the rollback after it. */
static void test_migration_that_fails(void **state)
{
    struct fixture *f = *state;
    char error[512], path[512];
    struct rg_db db;
    fixture_close(f);
    assert_int_equal(rg_db_open(&db, path_in(f, "ringgate.db", path)), 0);
    assert_int_equal(rg_db_script(&db, "DELETE FROM schema_migrations WHERE step > 3"), 0);
    rg_db_close(&db);
    assert_int_equal(open_again(f, error), -EIO);
    assert_non_null(strstr(error, "duplicate column"));
}

static void test_not_writable(void **state)
{
    struct fixture *f = *state;
    char error[512];
    struct rg_store_config config = f->config;
    struct rg_store *store;
    config.dir = "/proc/nowhere";
    assert_true(rg_store_open(&store, &config, error, sizeof(error)) < 0);
    assert_non_null(strstr(error, "/proc/nowhere"));
}

/* ---- Full ---- */

/* Refused with 507; what was there is there; smaller things still work; and room makes all well again. */
static void test_full(void **state)
{
    struct fixture *f = *state;
    char body[64];
    unsigned n = 0;
    fixture_close(f);
    f->config.max_pages = 100;
    fixture_open(f);
    free(make_gateway(f, "edge-1"));
    make_api(f, "hello");
    while (n < 2000) {
        fixture_forget(f);
        if (call(f, "POST", API "/rest-apis/hello/deployments", "{\"gatewayId\":\"edge-1\"}") != 201)
            break;
        n++;
        fixture_forget(f);
        snprintf(body, sizeof(body), "{\"displayName\":\"Project %u\"}", n);
        if (call(f, "POST", API "/projects", body) != 201)
            break;
    }
    assert_int_equal(f->status, 507);
    assert_string_equal(got(f, "code"), "STORAGE_FULL");
    assert_true(n > 10 && n < 2000);
    assert_int_equal(f->effects.count, 0);

    assert_int_equal(call(f, "GET", API "/rest-apis/hello/deployments", NULL), 200);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(f->body, "pagination"), "total")),
                     n < 20 ? n : 20);
    fixture_close(f);
    f->config.max_pages = 0;
    fixture_open(f);
    free(deploy(f, "hello", "edge-1"));
}

/* A limit of the size of files (LimitFSIZE=), which SQLite doesn't take for a full disk. */
static void test_limit_of_files(void **state)
{
    struct fixture *f = *state;
    char path[512];
    struct stat st;
    struct rlimit before, limit;
    unsigned n = 0;
    free(make_gateway(f, "edge-1"));
    make_api(f, "hello");
    assert_int_equal(stat(path_in(f, "ringgate.db-wal", path), &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)st.st_size + 1000000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    while (n < 2000 && call(f, "POST", API "/rest-apis/hello/deployments", "{\"gatewayId\":\"edge-1\"}") == 201)
        n++;
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(f->status, 507);
    assert_string_equal(got(f, "code"), "STORAGE_FULL");
    assert_true(n > 1);
    free(deploy(f, "hello", "edge-1"));
    fixture_close(f);
    fixture_open(f); /* checks the whole database */
    free(deploy(f, "hello", "edge-1"));
}

/* ---- Killed ---- */

/* A child deploys as fast as it can and says what was answered; it is killed in the middle. What it has said is there.
 */
static void child_deploys(struct fixture *f, int out)
{
    char line[64];
    for (;;) {
        f->now_ms++;
        if (call(f, "POST", API "/rest-apis/hello/deployments", "{\"gatewayId\":\"edge-1\"}") != 201)
            _exit(1);
        int n = snprintf(line, sizeof(line), "%s\n", got(f, "deploymentId"));
        if (write(out, line, (size_t)n) != n)
            _exit(1);
    }
}

static void kill_in_the_middle(struct fixture *f, useconds_t after)
{
    int ends[2];
    char text[65536], last[RG_UUID_LEN + 1] = "";
    size_t len = 0;
    assert_int_equal(pipe(ends), 0);
    fixture_close(f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        fixture_open(f);
        child_deploys(f, ends[1]);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof(text)); /* it has begun */
    assert_true(n > 0);
    len = (size_t)n;
    usleep(after);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (len < sizeof(text) && (n = read(ends[0], text + len, sizeof(text) - len)) > 0)
        len += (size_t)n;
    close(ends[0]);
    len -= len % (RG_UUID_LEN + 1);
    snprintf(last, sizeof(last), "%.*s", RG_UUID_LEN, text + len - RG_UUID_LEN - 1);
    fixture_open(f); /* checks the whole database */
    f->now_ms += 100000;
    assert_int_equal(call(f, "GET", API "/rest-apis/hello/deployments?limit=2", NULL), 200);
    bool there = strcmp(got(f, "list.0.deploymentId"), last) == 0 || strcmp(got(f, "list.1.deploymentId"), last) == 0;
    assert_true(there); /* the very last may have been stored, and not been said */
    assert_string_equal(got(f, "list.0.status"), "DEPLOYING");
}

static void test_killed(void **state)
{
    struct fixture *f = *state;
    free(make_gateway(f, "edge-1"));
    make_api(f, "hello");
    for (unsigned i = 0; i < 12; i++)
        kill_in_the_middle(f, 1000 + i * 3700);
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, fixture_setup_on_disk, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(test_files),          ON_DISK(test_nothing_in_the_clear),
        ON_DISK(test_reopen),         ON_DISK(test_newer_schema),
        ON_DISK(test_older_schema),   ON_DISK(test_admin_token_is_replaced),
        ON_DISK(test_wrong_files),    ON_DISK(test_lost_key),
        ON_DISK(test_corrupt),        ON_DISK(test_migration_that_fails),
        ON_DISK(test_not_writable),   ON_DISK(test_full),
        ON_DISK(test_limit_of_files), ON_DISK(test_timeout_with_another_clock),
        ON_DISK(test_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
