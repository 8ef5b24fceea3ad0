/* See db.h: opening, statements, transactions. */
#include "control/platform/db.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

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

/* What the last operation on the database or its log that failed did fail of. 0: none has. */
static int last_errno(const struct rg_db *db, int which)
{
    sqlite3_file *file = NULL;
    int last = 0;
    if (sqlite3_file_control(db->handle, "main", which, &file) == SQLITE_OK && file && file->pMethods)
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &last);
    return last;
}

/* SQLite knows a full disk; a quota, or a limit of the size of files, is to it an error like any other. */
static bool is_out_of_room(const struct rg_db *db, int rc)
{
    static const int files[] = {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER};
    if (rc == SQLITE_IOERR_SHMSIZE)
        return true;
    if (!db->handle || (rc != SQLITE_IOERR_WRITE && rc != SQLITE_IOERR_FSYNC))
        return false;
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        int cause = last_errno(db, files[i]);
        if (cause == ENOSPC || cause == EDQUOT || cause == EFBIG)
            return true;
    }
    return false;
}

static int note(struct rg_db *db, int rc)
{
    int error = is_out_of_room(db, rc) ? -ENOSPC : errno_of(rc);
    if (error && error != -EEXIST && !db->error) {
        db->error = error;
        snprintf(db->message, sizeof(db->message), "%s", db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc));
    }
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
    out[0] = '\0';
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
    char encoded[3 * PATH_MAX], uri[sizeof(encoded) + 32];
    memset(db, 0, sizeof(*db));
    if (!write_path(encoded, sizeof(encoded), path))
        return note(db, SQLITE_CANTOPEN);
    snprintf(uri, sizeof(uri), "file:%s?immutable=1", encoded);
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
    return db->message;
}

int rg_db_script(struct rg_db *db, const char *sql)
{
    if (db->error)
        return db->error;
    db->untouched = false;
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

/* keep: whether SQLite has to copy the values, as it must where they may be gone before the last row is read. */
static int bind(sqlite3_stmt *statement, const struct rg_value *values, size_t n, sqlite3_destructor_type keep)
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
            rc = sqlite3_bind_text64(statement, at, bytes, v->text.len, keep, SQLITE_UTF8);
        else
            rc = sqlite3_bind_blob64(statement, at, bytes, v->text.len, keep);
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

/* A statement that is being read gets a second one beside it. */
static int prepare(struct rg_db *db, const char *sql, sqlite3_stmt **ret, bool *ret_own)
{
    sqlite3_stmt **slot = slot_of(db, sql);
    *ret_own = !slot || (*slot && sqlite3_stmt_busy(*slot));
    *ret = *ret_own ? NULL : *slot;
    if (*ret)
        return SQLITE_OK;
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, *ret_own ? 0 : SQLITE_PREPARE_PERSISTENT, ret, NULL);
    if (rc == SQLITE_OK && !*ret_own)
        *slot = *ret;
    return rc;
}

/* NULL: db->error. */
static sqlite3_stmt *start(struct rg_db *db, const char *sql, const struct rg_value *values, size_t n,
                           sqlite3_destructor_type keep, bool *ret_own)
{
    sqlite3_stmt *statement;
    if (db->error)
        return NULL;
    db->untouched = false;
    int rc = prepare(db, sql, &statement, ret_own);
    if (rc == SQLITE_OK)
        rc = bind(statement, values, n, keep);
    if (rc != SQLITE_OK) {
        note(db, rc);
        if (statement)
            release(statement, *ret_own);
        return NULL;
    }
    return statement;
}

static int step_to_end(sqlite3_stmt *statement)
{
    int rc;
    do
        rc = sqlite3_step(statement);
    while (rc == SQLITE_ROW);
    return rc;
}

int rg_db_exec(struct rg_db *db, const char *sql, const struct rg_value *values, size_t n)
{
    bool own;
    sqlite3_stmt *statement = start(db, sql, values, n, SQLITE_STATIC, &own);
    if (!statement)
        return db->error;
    int error = note(db, step_to_end(statement));
    int changed = sqlite3_changes(db->handle);
    release(statement, own);
    return error ? error : changed;
}

void rg_db_query(struct rg_db *db, struct rg_rows *rows, const char *sql, const struct rg_value *values, size_t n)
{
    *rows = (struct rg_rows){.db = db};
    rows->statement = start(db, sql, values, n, SQLITE_TRANSIENT, &rows->own);
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

/* By level. */
static const char *const begin_level[RG_DB_LEVELS] = {"BEGIN", "SAVEPOINT s1", "SAVEPOINT s2", "SAVEPOINT s3"};
static const char *const commit_level[RG_DB_LEVELS] = {"COMMIT", "RELEASE s1", "RELEASE s2", "RELEASE s3"};
static const char *const undo_level[RG_DB_LEVELS] = {"ROLLBACK", "ROLLBACK TO s1", "ROLLBACK TO s2", "ROLLBACK TO s3"};

/* Whatever db->error is. */
static int control(struct rg_db *db, const char *sql)
{
    sqlite3_stmt *statement;
    bool own;
    int rc = prepare(db, sql, &statement, &own);
    if (rc != SQLITE_OK)
        return rc;
    rc = step_to_end(statement);
    release(statement, own);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool rg_db_is_lost(const struct rg_db *db)
{
    return db->deep > 0 && sqlite3_get_autocommit(db->handle) != 0;
}

int rg_db_begin(struct rg_db *db)
{
    RG_ASSERT(db->deep < RG_DB_LEVELS);
    if (db->deep == 0) {
        db->error = 0;
        db->message[0] = '\0';
    }
    if (db->error)
        return db->error;
    bool shares = db->deep > 0 && db->untouched;
    int rc = shares ? SQLITE_OK : control(db, begin_level[db->deep]);
    if (rc != SQLITE_OK)
        return note(db, rc);
    db->shares[db->deep++] = shares;
    db->untouched = true;
    return 0;
}

int rg_db_commit(struct rg_db *db)
{
    RG_ASSERT(db->deep > 0);
    unsigned level = db->deep - 1;
    int error = db->error;
    if (!error && !db->shares[level]) {
        error = note(db, control(db, commit_level[level]));
        db->untouched = false; /* the one around it was not, when this began */
    }
    if (error)
        rg_db_rollback(db);
    else
        db->deep = level;
    return error;
}

/* Undoes all since the level began. The one around it is as it was then: of a shared one, that is its own beginning. */
static int undo(struct rg_db *db, unsigned level)
{
    unsigned own = level;
    while (db->shares[own])
        own--;
    int rc = control(db, undo_level[own]);
    if (rc == SQLITE_OK && own > 0 && own == level)
        rc = control(db, commit_level[own]);
    if (rc == SQLITE_OK && own == 0 && level > 0)
        rc = control(db, begin_level[own]);
    db->untouched = own < level;
    return rc;
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
    int rc = undo(db, db->deep);
    if (db->deep > 0)
        note(db, rc);
}
