/* The store's thread: jobs in order, one commit for many, and what a lost transaction does to each of them. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/platform/store_parts.h"
#include "datapath/base/list.h"
#include "store_fixture.h"

struct job {
    struct rg_store_job job;
    unsigned number;
    unsigned runs;
    unsigned wanted_done; /* its place in the order */
    int fail;             /* what run returns after it has written */
};

static unsigned done_count;

static int run(struct rg_store *store, struct rg_store_job *job)
{
    struct job *j = RG_CONTAINER(job, struct job, job);
    char name[32];
    snprintf(name, sizeof(name), "job-%u", j->number);
    j->runs++;
    rg_db_exec(&store->db, "INSERT INTO settings (name, value) VALUES (?1, zeroblob(2000))", RG_WITH(rg_text(name)));
    return j->fail;
}

static void done(struct rg_store_job *job)
{
    struct job *j = RG_CONTAINER(job, struct job, job);
    assert_int_equal(j->wanted_done, done_count);
    done_count++;
}

static void wait_for(struct rg_store_thread *thread, unsigned n)
{
    struct pollfd pfd = {.fd = rg_store_thread_fd(thread), .events = POLLIN};
    while (done_count < n) {
        assert_int_equal(poll(&pfd, 1, 30000), 1);
        rg_store_thread_collect(thread);
    }
}

static int64_t stored(struct fixture *f)
{
    return rg_db_number(&f->store->db, -1, "SELECT count(*) FROM settings WHERE name LIKE 'job-%'", RG_WITHOUT);
}

#define JOBS 1000u

static void submit_all(struct rg_store_thread *thread, struct job *jobs)
{
    done_count = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i].job = (struct rg_store_job){.run = run, .done = done};
        jobs[i].number = jobs[i].wanted_done = i;
        assert_int_equal(rg_store_thread_submit(thread, &jobs[i].job), 0);
    }
}

static void test_order_and_commits(void **state)
{
    struct fixture *f = *state;
    struct rg_store_thread *thread;
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    assert_non_null(jobs);
    jobs[3].fail = -ECANCELED; /* alone is rolled back */
    assert_int_equal(rg_store_thread_create(&thread, f->store), 0);
    submit_all(thread, jobs);
    wait_for(thread, JOBS);
    rg_store_thread_destroy(thread);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(jobs[i].job.result, jobs[i].fail);
    assert_int_equal(stored(f), JOBS - 1);
    assert_int_equal(rg_store_count(f->store, RG_STORE_JOBS), JOBS);
    assert_true(rg_store_count(f->store, RG_STORE_COMMITS) < JOBS / 2);
    free(jobs);
}

/* Destroying it runs what waits, and hands everything back. */
static void test_end(void **state)
{
    struct fixture *f = *state;
    struct rg_store_thread *thread;
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    assert_non_null(jobs);
    assert_int_equal(rg_store_thread_create(&thread, f->store), 0);
    submit_all(thread, jobs);
    rg_store_thread_destroy(thread);
    assert_int_equal(done_count, JOBS);
    assert_int_equal(stored(f), JOBS);
    free(jobs);
}

/* Where the shared transaction runs out of room, each runs again alone: those that fit are stored, each says how it
 * went. */
static void test_full(void **state)
{
    struct fixture *f = *state;
    struct rg_store_thread *thread;
    unsigned good = 0;
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    assert_non_null(jobs);
    fixture_close(f);
    f->config.max_pages = 300;
    fixture_open(f);
    assert_int_equal(rg_store_thread_create(&thread, f->store), 0);
    submit_all(thread, jobs);
    rg_store_thread_destroy(thread);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_true(jobs[i].job.result == 0 || jobs[i].job.result == -ENOSPC);
        good += jobs[i].job.result == 0;
    }
    assert_true(good > 100 && good < JOBS);
    assert_int_equal(stored(f), good);
    assert_true(rg_store_count(f->store, RG_STORE_FULL) > 0);
    free(jobs);
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, fixture_setup_on_disk, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {ON_DISK(test_order_and_commits), ON_DISK(test_end), ON_DISK(test_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
