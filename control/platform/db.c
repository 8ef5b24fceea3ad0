#include "control/platform/db.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath/base/assert.h"

static int errno_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return -EROFS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_TOOBIG:
        return -EFBIG;
    default:
        return -EIO;
    }
}

static int note(struct rg_db *db, int rc)
{
    int error = errno_of(rc);
    if (error && error != -EEXIST && !db->error)
        db->error = error;
    return error;
}

/* ---- Opening ---- */

int rg_db_open(struct rg_db *db, const char *path)
{
    memset(db, 0, sizeof(*db));
    int rc = sqlite3_open_v2(path ? path : ":memory:", &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(db->handle, 1);
        sqlite3_busy_timeout(db->handle, 5000);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
    }
    return note(db, rc);
}

/* As a URI wants it. */
static bool write_path(char *out, size_t size, const char *path)
{
    size_t n = 0;
    for (; *path; path++) {
        bool plain = *path != '?' && *path != '#' && *path != '%';
        if (n + 4 > size)
            return false;
        n += (size_t)snprintf(out + n, size - n, plain ? "%c" : "%%%02X", (unsigned char)*path);
    }
    return true;
}

int rg_db_open_still(struct rg_db *db, const char *path)
{
    char uri[3 * PATH_MAX + 32] = "file:";
    memset(db, 0, sizeof(*db));
    if (!write_path(uri + 5, 3 * PATH_MAX, path))
        return note(db, SQLITE_CANTOPEN);
    strcat(uri, "?immutable=1");
    return note(db,
                sqlite3_open_v2(uri, &db->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL));
}

void rg_db_close(struct rg_db *db)
{
    for (unsigned i = 0; i < RG_DB_STATEMENTS; i++)
        sqlite3_finalize(db->cache[i].statement);
    sqlite3_close(db->handle);
    memset(db, 0, sizeof(*db));
}

const char *rg_db_message(const struct rg_db *db)
{
    return db->handle ? sqlite3_errmsg(db->handle) : "not open";
}

int rg_db_script(struct rg_db *db, const char *sql)
{
    if (db->error)
        return db->error;
    return note(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

/* ---- Statements ---- */

/* A free slot or that of sql; NULL when the table is full (then statements are made and thrown away). */
static sqlite3_stmt **slot_of(struct rg_db *db, const char *sql)
{
    size_t at = ((uintptr_t)sql >> 3) * 2654435761u;
    for (unsigned i = 0; i < RG_DB_STATEMENTS; i++, at++) {
        unsigned slot = (unsigned)(at & (RG_DB_STATEMENTS - 1));
        if (!db->cache[slot].sql)
            db->cache[slot].sql = sql;
        if (db->cache[slot].sql == sql)
            return &db->cache[slot].statement;
    }
    return NULL;
}

static int bind(sqlite3_stmt *statement, const struct rg_value *values, size_t n)
{
    RG_ASSERT(n == (size_t)sqlite3_bind_parameter_count(statement));
    for (size_t i = 0; i < n; i++) {
        const struct rg_value *v = &values[i];
        const char *bytes = v->text.ptr ? v->text.ptr : "";
        int at = (int)i + 1, rc = SQLITE_OK;
        if (v->type == RG_VALUE_NULL)
            rc = sqlite3_bind_null(statement, at);
        else if (v->type == RG_VALUE_INT)
            rc = sqlite3_bind_int64(statement, at, v->number);
        else if (v->type == RG_VALUE_TEXT)
            rc = sqlite3_bind_text64(statement, at, bytes, v->text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
        else
            rc = sqlite3_bind_blob64(statement, at, bytes, v->text.len, SQLITE_TRANSIENT);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

static void release(sqlite3_stmt *statement, bool own)
{
    if (own) {
        sqlite3_finalize(statement);
        return;
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement); /* what was bound may be a secret */
}

/* NULL: db->error. A statement that is being read gets a second one beside it. */
static sqlite3_stmt *start(struct rg_db *db, const char *sql, const struct rg_value *values, size_t n, bool *ret_own)
{
    sqlite3_stmt *statement = NULL;
    if (db->error)
        return NULL;
    sqlite3_stmt **slot = slot_of(db, sql);
    *ret_own = !slot || (*slot && sqlite3_stmt_busy(*slot));
    if (!*ret_own && *slot)
        statement = *slot;
    int rc = SQLITE_OK;
    if (!statement)
        rc = sqlite3_prepare_v3(db->handle, sql, -1, *ret_own ? 0 : SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (rc == SQLITE_OK && !*ret_own)
        *slot = statement;
    if (rc == SQLITE_OK)
        rc = bind(statement, values, n);
    if (rc != SQLITE_OK) {
        note(db, rc);
        if (statement)
            release(statement, *ret_own);
        return NULL;
    }
    return statement;
}

int rg_db_exec(struct rg_db *db, const char *sql, const struct rg_value *values, size_t n)
{
    bool own;
    sqlite3_stmt *statement = start(db, sql, values, n, &own);
    if (!statement)
        return db->error;
    int rc;
    do
        rc = sqlite3_step(statement);
    while (rc == SQLITE_ROW);
    int error = note(db, rc);
    int changed = sqlite3_changes(db->handle);
    release(statement, own);
    return error ? error : changed;
}

void rg_db_query(struct rg_db *db, struct rg_rows *rows, const char *sql, const struct rg_value *values, size_t n)
{
    *rows = (struct rg_rows){.db = db};
    rows->statement = start(db, sql, values, n, &rows->own);
}

bool rg_rows_next(struct rg_rows *rows)
{
    if (!rows->statement)
        return false;
    int rc = sqlite3_step(rows->statement);
    if (rc == SQLITE_ROW)
        return true;
    note(rows->db, rc);
    rg_rows_end(rows);
    return false;
}

void rg_rows_end(struct rg_rows *rows)
{
    if (rows->statement)
        release(rows->statement, rows->own);
    rows->statement = NULL;
}

const char *rg_rows_text(const struct rg_rows *rows, int column)
{
    return (const char *)sqlite3_column_text(rows->statement, column);
}

struct rg_str rg_rows_view(const struct rg_rows *rows, int column)
{
    const char *bytes = sqlite3_column_blob(rows->statement, column);
    return (struct rg_str){bytes ? bytes : "", (size_t)sqlite3_column_bytes(rows->statement, column)};
}

int64_t rg_rows_int(const struct rg_rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement, column);
}

bool rg_rows_is_null(const struct rg_rows *rows, int column)
{
    return sqlite3_column_type(rows->statement, column) == SQLITE_NULL;
}

int64_t rg_db_number(struct rg_db *db, int64_t otherwise, const char *sql, const struct rg_value *values, size_t n)
{
    struct rg_rows rows;
    rg_db_query(db, &rows, sql, values, n);
    int64_t number = rg_rows_next(&rows) && !rg_rows_is_null(&rows, 0) ? rg_rows_int(&rows, 0) : otherwise;
    rg_rows_end(&rows);
    return number;
}

/* ---- Transactions ---- */

static int nested(struct rg_db *db, const char *verb, unsigned level)
{
    char sql[64];
    snprintf(sql, sizeof(sql), "%s s%u", verb, level);
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
}

bool rg_db_is_lost(const struct rg_db *db)
{
    return db->deep > 0 && sqlite3_get_autocommit(db->handle) != 0;
}

int rg_db_begin(struct rg_db *db)
{
    if (db->deep == 0)
        db->error = 0;
    if (db->error)
        return db->error;
    int rc = db->deep == 0 ? sqlite3_exec(db->handle, "BEGIN", NULL, NULL, NULL) : nested(db, "SAVEPOINT", db->deep);
    if (rc != SQLITE_OK)
        return note(db, rc);
    db->deep++;
    return 0;
}

int rg_db_commit(struct rg_db *db)
{
    RG_ASSERT(db->deep > 0);
    int rc = SQLITE_OK;
    if (!db->error)
        rc = db->deep == 1 ? sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL) : nested(db, "RELEASE", db->deep - 1);
    if (!db->error && note(db, rc) == 0) {
        db->deep--;
        return 0;
    }
    int error = db->error ? db->error : -EIO;
    rg_db_rollback(db);
    return error;
}

void rg_db_rollback(struct rg_db *db)
{
    RG_ASSERT(db->deep > 0);
    bool lost = rg_db_is_lost(db);
    db->deep--;
    if (lost) {
        if (!db->error)
            db->error = -EIO;
        if (db->deep == 0)
            db->error = 0;
        return;
    }
    db->error = 0;
    if (db->deep == 0) {
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
        return;
    }
    int rc = nested(db, "ROLLBACK TO", db->deep);
    if (rc == SQLITE_OK)
        rc = nested(db, "RELEASE", db->deep);
    note(db, rc);
}
