/*
 * SQLite as the store uses it: statements prepared once, values bound by type, one error that sticks.
 *
 * After an error that is not a matter of the data (disk full, corrupt file, no memory) every further call of the same
 * transaction fails with it: a caller may look once, at the end. A violated constraint is -EEXIST and does not stick.
 * Owner: the store. Thread: the store's.
 */
#ifndef RG_PLATFORM_DB_H
#define RG_PLATFORM_DB_H

#include <sqlite3.h>

#include "datapath/base/str.h"

#define RG_DB_STATEMENTS 512 /* kept prepared; a power of two */
#define RG_DB_LEVELS     4   /* a transaction and what may nest in it */

struct rg_db {
    sqlite3 *handle;
    int error;                 /* of this transaction: negative errno */
    char message[160];         /* of the last that was one, in SQLite's words, which it forgets with what comes after */
    unsigned deep;             /* levels that are open */
    bool shares[RG_DB_LEVELS]; /* the level is one with that around it */
    bool untouched;            /* nothing was done since the innermost began */
    struct {
        const char *sql; /* the literal's address is the key */
        sqlite3_stmt *statement;
    } cache[RG_DB_STATEMENTS];
};

struct rg_value {
    enum { RG_VALUE_NULL, RG_VALUE_TEXT, RG_VALUE_INT, RG_VALUE_BLOB } type;
    struct rg_str text;
    int64_t number;
};

static inline struct rg_value rg_view(struct rg_str s)
{
    return (struct rg_value){.type = RG_VALUE_TEXT, .text = s};
}
/* NULL is the database's NULL. */
static inline struct rg_value rg_text(const char *z)
{
    return z ? rg_view(rg_str_of(z)) : (struct rg_value){.type = RG_VALUE_NULL};
}
static inline struct rg_value rg_int(int64_t n)
{
    return (struct rg_value){.type = RG_VALUE_INT, .number = n};
}
static inline struct rg_value rg_blob(struct rg_str s)
{
    return (struct rg_value){.type = RG_VALUE_BLOB, .text = s};
}

/* The values of ?1, ?2, ...: two arguments in one. */
#define RG_WITH(...) \
    (const struct rg_value[]){__VA_ARGS__}, sizeof((const struct rg_value[]){__VA_ARGS__}) / sizeof(struct rg_value)
#define RG_WITHOUT NULL, 0

int rg_db_open(struct rg_db *db, const char *path); /* NULL: in memory */
/* For a look: reads what the file alone has, without its log, and leaves no trace beside it. */
int rg_db_open_still(struct rg_db *db, const char *path);
void rg_db_close(struct rg_db *db);                /* half-open is fine */
const char *rg_db_message(const struct rg_db *db); /* of the last error, in SQLite's words; "": there was none */

/* Several statements of constant text: schema, pragmas. */
int rg_db_script(struct rg_db *db, const char *sql);

/* sql is a literal. Returns the number of rows changed (of statements that do), or negative errno. */
int rg_db_exec(struct rg_db *db, const char *sql, const struct rg_value *values, size_t n);

struct rg_rows {
    struct rg_db *db;
    sqlite3_stmt *statement; /* NULL: it failed */
    bool own;                /* not the cache's */
};

/* The result is read by next, and given up by end (or by next at the last row). */
void rg_db_query(struct rg_db *db, struct rg_rows *rows, const char *sql, const struct rg_value *values, size_t n);
bool rg_rows_next(struct rg_rows *rows); /* false: no more, or db->error */
void rg_rows_end(struct rg_rows *rows);
/* Valid until the next row. NULL of the database: NULL, "" or 0. */
const char *rg_rows_text(const struct rg_rows *rows, int column);
struct rg_str rg_rows_view(const struct rg_rows *rows, int column);
int64_t rg_rows_int(const struct rg_rows *rows, int column);
bool rg_rows_is_null(const struct rg_rows *rows, int column);

/* One number; `otherwise` where there is no row. */
int64_t rg_db_number(struct rg_db *db, int64_t otherwise, const char *sql, const struct rg_value *values, size_t n);

/*
 * Transactions nest: the outermost is BEGIN, those within are savepoints. One that begins before anything was done in
 * the one around it needs none of its own: both begin at the same point, which a rollback goes back to. A savepoint is
 * not for nothing: each page is copied before it is changed for the first time since.
 */
int rg_db_begin(struct rg_db *db);
int rg_db_commit(struct rg_db *db);         /* an error rolls back */
void rg_db_rollback(struct rg_db *db);      /* clears db->error unless the whole transaction is lost with it */
bool rg_db_is_lost(const struct rg_db *db); /* SQLite has rolled back everything by itself */

#endif
