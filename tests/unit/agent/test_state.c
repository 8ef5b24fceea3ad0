/* The state directory: files that are cut or changed at any byte, files set aside, the lock, the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/agent/state_dir.h"
#include "tests/unit/scratch.h"

static char dir_path[64];

static int setup(void **state)
{
    (void)state;
    scratch_create(dir_path, sizeof(dir_path));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return scratch_remove(dir_path);
}

/* ---- One file ---- */

static const char yaml[] = "apiVersion: x\nkind: RestApi\n";

static void encode(char **file, size_t *len)
{
    struct rg_state_deployment d = {.kind = RG_KIND_REST_API,
                                    .deployed = true,
                                    .artifact_id = "a-1",
                                    .deployment_id = "d-1",
                                    .performed_at = "2026-08-22T09:15:04.1Z",
                                    .text = {yaml, sizeof(yaml) - 1}};
    assert_int_equal(rg_state_encode_deployment(&d, file, len), 0);
}

static void a_file_comes_back(void **state)
{
    (void)state;
    char *file, why[RG_STATE_WHY_MAX];
    size_t len;
    struct rg_state_deployment d;
    encode(&file, &len);
    assert_int_equal(rg_state_decode_deployment((struct rg_str){file, len}, &d, why), 0);
    assert_int_equal(d.kind, RG_KIND_REST_API);
    assert_true(d.deployed);
    assert_string_equal(d.artifact_id, "a-1");
    assert_string_equal(d.deployment_id, "d-1");
    assert_string_equal(d.performed_at, "2026-08-22T09:15:04.1Z");
    assert_int_equal(d.performed_ns, 1787390104100000000);
    assert_true(rg_str_eq(d.text, RG_STR(yaml)));
    free(file);
}

/* In memory of its very size, so that a sanitizer sees any byte beyond it. */
static int decode_copy(const char *file, size_t len, char *why)
{
    struct rg_state_deployment d;
    char *copy = malloc(len ? len : 1);
    memcpy(copy, file, len);
    int r = rg_state_decode_deployment((struct rg_str){copy, len}, &d, why);
    free(copy);
    return r;
}

static void no_part_of_a_file_is_one(void **state)
{
    (void)state;
    char *file, why[RG_STATE_WHY_MAX];
    size_t len;
    encode(&file, &len);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(decode_copy(file, cut, why), -EBADMSG);
    for (size_t i = 0; i < len; i++) {
        file[i] ^= 1;
        assert_true(decode_copy(file, len, why) < 0);
        file[i] ^= 1;
    }
    char *longer = malloc(len + 1);
    memcpy(longer, file, len);
    longer[len] = '\n';
    assert_int_equal(decode_copy(longer, len + 1, why), -EBADMSG);
    free(longer);
    free(file);
}

static void other_versions_and_contents_are_refused(void **state)
{
    (void)state;
    char *file, why[RG_STATE_WHY_MAX];
    size_t len;
    json_t *value = json_pack("{s:[i]}", "x", 1), *back;
    encode(&file, &len);
    assert_int_equal(rg_state_decode_json((struct rg_str){file, len}, "keys", &back, why), -EBADMSG);
    file[strlen("ringgate-state ")] = '2';
    assert_int_equal(decode_copy(file, len, why), -ENOTSUP);
    assert_string_equal(why, "it has version 2, this program reads version 1");
    free(file);
    assert_int_equal(rg_state_encode_json("keys", value, &file, &len), 0);
    assert_int_equal(rg_state_decode_json((struct rg_str){file, len}, "keys", &back, why), 0);
    assert_true(json_equal(value, back));
    json_decref(value);
    json_decref(back);
    free(file);
}

/* ---- The directory ---- */

static struct rg_loop loop;
static unsigned done_batches;
static int done_error;

static void batch_done(struct rg_state_dir *dir, const struct rg_state_batch *batch)
{
    assert_int_equal(batch->ticket, ++done_batches);
    (void)dir;
    done_error = batch->error;
}

static struct rg_state_dir *open_dir(void)
{
    static struct rg_state_dir dir;
    char why[RG_STATE_DIR_WHY_MAX];
    assert_int_equal(rg_state_dir_open(&dir, dir_path, why), 0);
    dir.done = batch_done;
    done_batches = 0;
    assert_int_equal(rg_loop_init(&loop), 0);
    assert_int_equal(rg_state_dir_start(&dir, &loop), 0);
    return &dir;
}

static void close_dir(struct rg_state_dir *dir)
{
    rg_state_dir_close(dir);
    rg_loop_fini(&loop);
}

static void submit(struct rg_state_dir *dir, const char *name, const char *text)
{
    struct rg_state_batch *batch = rg_state_batch_create();
    assert_int_equal(rg_state_batch_add(batch, name, text ? strdup(text) : NULL, text ? strlen(text) : 0), 0);
    rg_state_dir_submit(dir, batch);
}

static void wait_for(unsigned batches)
{
    while (done_batches < batches)
        assert_int_equal(rg_loop_turn(&loop), 0);
}

static char found[256];

static int collect(void *owner, const char *name, struct rg_str bytes, char why[RG_STATE_WHY_MAX])
{
    (void)owner;
    if (rg_str_eq(bytes, RG_STR("bad"))) {
        snprintf(why, RG_STATE_WHY_MAX, "it is bad");
        return -EBADMSG;
    }
    size_t used = strlen(found);
    snprintf(found + used, sizeof(found) - used, "%s=%.*s;", name, (int)bytes.len, bytes.ptr);
    return 0;
}

static bool exists(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir_path, name);
    return access(path, F_OK) == 0;
}

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir_path, name);
    FILE *f = fopen(path, "we");
    fputs(text, f);
    fclose(f);
}

static void put_fifo(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir_path, name);
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void files_are_written_replaced_and_removed(void **state)
{
    (void)state;
    struct stat st;
    char path[128];
    struct rg_state_dir *dir = open_dir();
    submit(dir, "a.x", "one");
    submit(dir, "a.x", "two");
    submit(dir, "b.x", "three");
    submit(dir, "b.x", NULL);
    submit(dir, "c.x", NULL); /* it was never there */
    wait_for(5);
    assert_int_equal(done_error, 0);
    found[0] = '\0';
    assert_int_equal(rg_state_dir_load(dir, ".x", collect, NULL), 0);
    assert_string_equal(found, "a.x=two;");
    snprintf(path, sizeof(path), "%s/a.x", dir_path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close_dir(dir);
}

static void the_end_writes_what_was_submitted(void **state)
{
    (void)state;
    struct rg_state_dir *dir = open_dir();
    for (unsigned i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%u.x", i);
        submit(dir, name, "text");
    }
    close_dir(dir);
    assert_true(exists("0.x") && exists("49.x"));
}

static void what_cannot_be_written_leaves_what_was(void **state)
{
    (void)state;
    char path[128];
    struct rg_state_dir *dir = open_dir();
    submit(dir, "a.x", "old");
    wait_for(1);
    snprintf(path, sizeof(path), "%s/b.x.new", dir_path);
    assert_int_equal(mkdir(path, 0700), 0); /* in the way of the second file of the batch */
    struct rg_state_batch *batch = rg_state_batch_create();
    rg_state_batch_add(batch, "a.x", strdup("new"), 3);
    rg_state_batch_add(batch, "b.x", strdup("new"), 3);
    rg_state_dir_submit(dir, batch);
    wait_for(2);
    assert_int_equal(done_error, -EISDIR);
    found[0] = '\0';
    rmdir(path);
    assert_int_equal(rg_state_dir_load(dir, ".x", collect, NULL), 0);
    assert_string_equal(found, "a.x=old;");
    assert_false(exists("a.x.new"));
    close_dir(dir);
}

static void damaged_files_are_set_aside(void **state)
{
    (void)state;
    char why[RG_STATE_DIR_WHY_MAX];
    struct rg_state_dir dir;
    put("a.x", "good");
    put("b.x", "bad");
    put("c.x.new", "half");
    put("other", "not ours");
    put_fifo("d.x"); /* nobody will ever write to it */
    assert_int_equal(rg_state_dir_open(&dir, dir_path, why), 0);
    found[0] = '\0';
    assert_int_equal(rg_state_dir_load(&dir, ".x", collect, NULL), 0);
    assert_string_equal(found, "a.x=good;");
    found[0] = '\0';
    assert_int_equal(rg_state_dir_load(&dir, "other", collect, NULL), 0); /* a whole name */
    assert_string_equal(found, "other=not ours;");
    assert_true(exists("b.x.damaged") && exists("d.x.damaged") && exists("other"));
    assert_false(exists("b.x") || exists("c.x.new"));
    rg_state_dir_close(&dir);
}

static void a_directory_is_for_one(void **state)
{
    (void)state;
    char why[RG_STATE_DIR_WHY_MAX], below[128];
    struct rg_state_dir first, second;
    assert_int_equal(rg_state_dir_open(&first, dir_path, why), 0);
    assert_int_equal(rg_state_dir_open(&second, dir_path, why), -EBUSY);
    assert_non_null(strstr(why, "in use by another process"));
    rg_state_dir_close(&second);
    rg_state_dir_close(&first);
    assert_int_equal(rg_state_dir_open(&second, dir_path, why), 0);
    rg_state_dir_close(&second);
    snprintf(below, sizeof(below), "%s/made", dir_path);
    assert_int_equal(rg_state_dir_open(&second, below, why), 0);
    rg_state_dir_close(&second);
    snprintf(below, sizeof(below), "%s/no/such", dir_path);
    assert_int_equal(rg_state_dir_open(&second, below, why), -ENOENT);
    assert_non_null(strstr(why, "control.state_dir"));
    rg_state_dir_close(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_comes_back),
        cmocka_unit_test(no_part_of_a_file_is_one),
        cmocka_unit_test(other_versions_and_contents_are_refused),
        cmocka_unit_test_setup_teardown(files_are_written_replaced_and_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_writes_what_was_submitted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_leaves_what_was, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_is_for_one, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
