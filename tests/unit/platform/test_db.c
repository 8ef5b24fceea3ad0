/* Transactions that nest: what is kept and what is undone, whether a level has a savepoint of its own or not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/platform/db.h"

static int setup(void **state)
{
    struct rg_db *db = calloc(1, sizeof(*db));
    assert_non_null(db);
    assert_int_equal(rg_db_open(db, NULL), 0);
    assert_int_equal(rg_db_script(db, "CREATE TABLE t (n INTEGER PRIMARY KEY)"), 0);
    *state = db;
    return 0;
}

static int teardown(void **state)
{
    rg_db_close(*state);
    free(*state);
    return 0;
}

static void put(struct rg_db *db, int64_t n)
{
    assert_int_equal(rg_db_exec(db, "INSERT INTO t (n) VALUES (?1)", RG_WITH(rg_int(n))), 1);
}

/* The numbers that are there, as a set of bits. */
static int64_t all(struct rg_db *db)
{
    return rg_db_number(db, 0, "SELECT sum(1 << n) FROM t", RG_WITHOUT);
}

static void begin(struct rg_db *db, unsigned levels)
{
    while (levels-- > 0)
        assert_int_equal(rg_db_begin(db), 0);
}

static void test_committed_at_every_level(void **state)
{
    struct rg_db *db = *state;
    begin(db, 3);
    put(db, 0);
    assert_int_equal(rg_db_commit(db), 0);
    put(db, 1);
    assert_int_equal(rg_db_commit(db), 0);
    put(db, 2);
    assert_int_equal(rg_db_commit(db), 0);
    assert_int_equal(db->deep, 0);
    assert_true(sqlite3_get_autocommit(db->handle));
    assert_int_equal(all(db), 7);
}

/* The first of several that share a commit begins where the transaction does. */
static void test_the_first_is_undone_alone(void **state)
{
    struct rg_db *db = *state;
    begin(db, 3);
    put(db, 0);
    rg_db_rollback(db);
    assert_false(rg_db_is_lost(db));
    rg_db_rollback(db);
    begin(db, 2);
    put(db, 1);
    assert_int_equal(rg_db_commit(db), 0);
    assert_int_equal(rg_db_commit(db), 0);
    begin(db, 2);
    put(db, 2);
    rg_db_rollback(db);
    put(db, 3);
    assert_int_equal(rg_db_commit(db), 0);
    assert_int_equal(rg_db_commit(db), 0);
    assert_int_equal(all(db), 2 + 8);
}

static void test_one_in_the_middle_is_undone_alone(void **state)
{
    struct rg_db *db = *state;
    begin(db, 2);
    put(db, 0);
    assert_int_equal(rg_db_commit(db), 0);
    begin(db, 2); /* a savepoint, and one that shares it */
    put(db, 1);
    rg_db_rollback(db);
    put(db, 2);
    assert_int_equal(rg_db_commit(db), 0);
    begin(db, 1);
    put(db, 3);
    rg_db_rollback(db);
    assert_int_equal(rg_db_commit(db), 0);
    assert_int_equal(all(db), 1 + 4);
}

/* What an inner one has done is gone with the outer one. */
static void test_the_outer_one_takes_all_with_it(void **state)
{
    struct rg_db *db = *state;
    begin(db, 2);
    put(db, 0);
    assert_int_equal(rg_db_commit(db), 0);
    begin(db, 1);
    put(db, 1);
    assert_int_equal(rg_db_commit(db), 0);
    rg_db_rollback(db);
    assert_int_equal(all(db), 0);
}

/* Nothing was done in a savepoint, but before it: what comes next must not go back to the beginning. */
static void test_after_an_empty_savepoint(void **state)
{
    struct rg_db *db = *state;
    begin(db, 1);
    put(db, 0);
    begin(db, 1);
    assert_int_equal(rg_db_commit(db), 0);
    begin(db, 1);
    put(db, 1);
    rg_db_rollback(db);
    begin(db, 1);
    rg_db_rollback(db);
    begin(db, 1);
    put(db, 2);
    rg_db_rollback(db);
    assert_int_equal(rg_db_commit(db), 0);
    assert_int_equal(all(db), 1);
}

static void test_errors(void **state)
{
    struct rg_db *db = *state;
    begin(db, 2);
    put(db, 0);
    assert_int_equal(rg_db_exec(db, "INSERT INTO t (n) VALUES (0)", RG_WITHOUT), -EEXIST); /* does not stick */
    put(db, 1);
    assert_int_equal(rg_db_exec(db, "no statement", RG_WITHOUT), -EIO); /* does */
    assert_int_equal(rg_db_exec(db, "INSERT INTO t (n) VALUES (2)", RG_WITHOUT), -EIO);
    assert_int_equal(rg_db_begin(db), -EIO);
    assert_int_equal(rg_db_commit(db), -EIO); /* rolls back */
    assert_int_equal(db->deep, 1);
    put(db, 3);
    assert_int_equal(rg_db_commit(db), 0);
    assert_int_equal(all(db), 8);
}

/* A constraint that is looked at by the commit: it fails, and nothing is left open. */
static void test_a_commit_that_is_refused(void **state)
{
    struct rg_db *db = *state;
    assert_int_equal(rg_db_script(db, "PRAGMA foreign_keys = ON; CREATE TABLE u (n INTEGER REFERENCES t DEFERRABLE"
                                      " INITIALLY DEFERRED)"),
                     0);
    begin(db, 2);
    assert_int_equal(rg_db_exec(db, "INSERT INTO u (n) VALUES (5)", RG_WITHOUT), 1);
    assert_int_equal(rg_db_commit(db), 0);
    assert_true(rg_db_commit(db) < 0);
    assert_true(sqlite3_get_autocommit(db->handle));
    assert_int_equal(rg_db_number(db, -1, "SELECT count(*) FROM u", RG_WITHOUT), 0);
    begin(db, 1);
    put(db, 0);
    assert_int_equal(rg_db_commit(db), 0);
    assert_int_equal(all(db), 1);
}

/* SQLite itself has rolled all back: said at each level, until the outermost is left. */
static void test_lost(void **state)
{
    struct rg_db *db = *state;
    begin(db, 2);
    put(db, 0);
    assert_int_equal(sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_true(rg_db_is_lost(db));
    rg_db_rollback(db);
    assert_true(rg_db_begin(db) < 0);
    assert_true(rg_db_commit(db) < 0);
    assert_int_equal(db->deep, 0);
    begin(db, 2);
    put(db, 1);
    rg_db_rollback(db);
    assert_int_equal(rg_db_commit(db), 0);
    assert_int_equal(all(db), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_committed_at_every_level),          TEST(test_the_first_is_undone_alone),
        TEST(test_one_in_the_middle_is_undone_alone), TEST(test_the_outer_one_takes_all_with_it),
        TEST(test_after_an_empty_savepoint),          TEST(test_errors),
        TEST(test_a_commit_that_is_refused),          TEST(test_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
