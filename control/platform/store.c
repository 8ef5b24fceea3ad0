/* See store.h: the directory, the database, what is there from the start, open and close. */
#include "control/platform/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/common/file.h"
#include "control/common/loop.h"
#include "control/platform/migrations.h"
#include "control/platform/secret_file.h"
#include "control/platform/store_look.h"
#include "control/platform/store_parts.h"
#include "datapath/base/log.h"

#define TIMEOUT_MS      (5 * 60 * 1000)
#define MAX_PER_GATEWAY 20

int64_t rg_store_now(const struct rg_store *store)
{
    return store->config.now_ms ? store->config.now_ms(store->config.now_arg) : rg_wall_ms();
}

static int64_t elapsed(const struct rg_store *store)
{
    const struct rg_store_config *c = &store->config;
    return (int64_t)(c->elapsed_ms ? c->elapsed_ms(c->now_arg) : rg_now_ms());
}

int64_t rg_store_steady(const struct rg_store *store)
{
    return store->steady_ms + elapsed(store);
}

void rg_store_fail(struct rg_store *store, int error)
{
    if (!store->db.error)
        store->db.error = error;
}

bool rg_store_may_complain(struct rg_store *store)
{
    int64_t now_ms = rg_store_steady(store);
    bool may = now_ms - store->complained_ms >= 1000;
    if (may)
        store->complained_ms = now_ms;
    return may;
}

uint64_t rg_store_count(const struct rg_store *store, enum rg_store_counter counter)
{
    return atomic_load_explicit(&store->counters[counter], memory_order_relaxed);
}

const char *rg_store_admin_token(const struct rg_store *store)
{
    return store->admin_token;
}

/* ---- The directory ---- */

static int path_in(const struct rg_store *store, const char *name, char path[PATH_MAX], char *error, size_t size)
{
    if ((size_t)snprintf(path, PATH_MAX, "%s/%s", store->config.dir, name) < PATH_MAX)
        return 0;
    snprintf(error, size, "%s: the path is too long", store->config.dir);
    return -ENAMETOOLONG;
}

/* Two platforms on one database would not hear of each other's deployments. */
static int lock_directory(struct rg_store *store, char *error, size_t size)
{
    char path[PATH_MAX];
    int rc = path_in(store, "lock", path, error, size);
    if (rc)
        return rc;
    if (mkdir(store->config.dir, 0700) < 0 && errno != EEXIST) {
        rc = -errno;
        snprintf(error, size, "%s: can't be made: %s; %s", store->config.dir, strerror(-rc),
                 rg_file_remedy(rc, "make it, and give it to the user of this program, or choose another directory"));
        return rc;
    }
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0) {
        rc = -errno;
        snprintf(error, size, "%s: can't be opened: %s; %s", path, strerror(-rc),
                 rg_file_remedy(rc, "the directory must belong to the user of this program"));
        return rc;
    }
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        snprintf(error, size, "%s: another platform uses this directory; stop it, or choose another directory",
                 store->config.dir);
        return -EBUSY;
    }
    return 0;
}

/* ---- The database ---- */

static const char *explain(int rc)
{
    switch (rc) {
    case -EBADMSG:
        return "the file is not a sound database; restore a backup, or move it away to start with nothing";
    case -ENOSPC:
        return "the disk is full; make room";
    case -EROFS:
        return "the file can't be written; check its owner and mode";
    case -EBUSY:
        return "another program holds its lock; stop it";
    default:
        return "check the directory and its owner";
    }
}

static const char *cause_of(const struct rg_db *db, int rc)
{
    const char *text = rg_db_message(db);
    return *text ? text : rc == -EBADMSG ? "it contradicts itself" : strerror(-rc);
}

static int check_integrity(struct rg_db *db)
{
    struct rg_rows rows;
    int rc = -EBADMSG;
    rg_db_query(db, &rows, "PRAGMA quick_check(1)", RG_WITHOUT);
    if (rg_rows_next(&rows) && strcmp(rg_rows_text(&rows, 0), "ok") == 0)
        rc = 0;
    rg_rows_end(&rows);
    return db->error ? db->error : rc;
}

/* Who is connected now, and the first of them that an operation waits for: gone with the process. */
static const char temporary[] =
    "CREATE TEMP TABLE sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, connection TEXT NOT NULL UNIQUE,"
    " gateway_uuid TEXT NOT NULL, token_uuid TEXT NOT NULL, instance TEXT NOT NULL, named INTEGER NOT NULL);"
    "CREATE INDEX temp.sessions_gateway ON sessions (gateway_uuid, named);"
    "CREATE TEMP TABLE missing (artifact_uuid TEXT NOT NULL, gateway_uuid TEXT NOT NULL, performed_at TEXT NOT NULL,"
    " session INTEGER NOT NULL, PRIMARY KEY (artifact_uuid, gateway_uuid)) WITHOUT ROWID;";

static int open_database(struct rg_store *store, char *error, size_t size)
{
    char path[PATH_MAX] = ":memory:", pragma[64] = "";
    int rc = store->config.dir ? path_in(store, "ringgate.db", path, error, size) : 0;
    if (rc)
        return rc;
    struct rg_db *db = &store->db;
    mode_t mask = umask(0077);
    rc = rg_db_open(db, store->config.dir ? path : NULL);
    if (store->config.max_pages)
        snprintf(pragma, sizeof(pragma), "PRAGMA max_page_count = %u", store->config.max_pages);
    if (!rc)
        rc = rg_db_script(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                              "PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON; PRAGMA cache_size = -16384;");
    if (!rc)
        rc = check_integrity(db);
    if (!rc)
        rc = rg_migrate(db);
    if (!rc)
        rc = rg_db_script(db, pragma);
    if (!rc)
        rc = rg_db_script(db, temporary);
    umask(mask);
    if (rc)
        snprintf(error, size, "%s: %s; %s", path, cause_of(db, rc), explain(rc));
    return rc;
}

/* ---- What is there from the start ---- */

#define DEFAULT "default"

/* The file says which token is the administrator's: replacing it replaces the token. */
static int read_admin_token(struct rg_store *store, char *error, size_t size)
{
    char path[PATH_MAX], text[RG_TOKEN_LEN + 2] = "";
    size_t len = 0;
    if (!store->config.dir) {
        rg_token_make(store->admin_token);
        return 0;
    }
    int rc = path_in(store, "admin.token", path, error, size);
    if (!rc)
        rc = rg_secret_file_read(path, text, sizeof(text) - 1, &len, error, size);
    if (rc == -ENOENT) {
        rg_token_make(store->admin_token);
        snprintf(text, sizeof(text), "%s\n", store->admin_token);
        rc = rg_secret_file_write(path, rg_str_of(text), error, size);
        if (!rc)
            rg_info("the administrator's token was written file=%s", path);
    } else if (!rc) {
        text[strcspn(text, "\r\n")] = '\0';
        if (rg_token_is_valid(rg_str_of(text))) {
            memcpy(store->admin_token, text, RG_TOKEN_LEN + 1);
        } else {
            snprintf(error, size, "%s: holds no token of %d characters; remove it, and a new one is made", path,
                     RG_TOKEN_LEN);
            rc = -EINVAL;
        }
    }
    explicit_bzero(text, sizeof(text));
    return rc;
}

static void put_admin_token(struct rg_store *store, const char *organization, const char *now)
{
    char uuid[RG_UUID_LEN + 1], hash[RG_SHA256_LEN + 1];
    rg_uuid_make(uuid, rg_store_now(store));
    rg_sha256_hex(hash, rg_str_of(store->admin_token));
    rg_db_exec(&store->db,
               "UPDATE access_tokens SET revoked_at = ?1 WHERE created_by = 'admin.token' AND token_hash <> ?2 AND"
               " revoked_at IS NULL",
               RG_WITH(rg_text(now), rg_text(hash)));
    rg_db_exec(&store->db,
               "INSERT INTO access_tokens (uuid, organization_uuid, name, role, token_hash, created_by, created_at)"
               " VALUES (?1, ?2, 'admin', 'admin', ?3, 'admin.token', ?4)"
               " ON CONFLICT (token_hash) DO UPDATE SET revoked_at = NULL, role = 'admin'",
               RG_WITH(rg_text(uuid), rg_text(organization), rg_text(hash), rg_text(now)));
}

static void find_default(struct rg_store *store, char uuid[RG_UUID_LEN + 1], const char *now)
{
    struct rg_rows rows;
    rg_db_query(&store->db, &rows, "SELECT uuid FROM organizations WHERE handle = '" DEFAULT "'", RG_WITHOUT);
    if (rg_rows_next(&rows)) {
        snprintf(uuid, RG_UUID_LEN + 1, "%s", rg_rows_text(&rows, 0));
        rg_rows_end(&rows);
        return;
    }
    rg_uuid_make(uuid, rg_store_now(store));
    rg_db_exec(&store->db,
               "INSERT INTO organizations (uuid, handle, display_name, created_at, updated_at)"
               " VALUES (?1, '" DEFAULT "', 'Default', ?2, ?2)",
               RG_WITH(rg_text(uuid), rg_text(now)));
}

/* A key that does not fit would be found out only when something sealed is needed. */
static int check_key(struct rg_store *store)
{
    struct rg_str place = RG_STR("key"), text = RG_STR("ringgate");
    struct rg_rows rows;
    bool known = false, fits = false;
    size_t len;
    rg_db_query(&store->db, &rows, "SELECT value FROM settings WHERE name = 'key'", RG_WITHOUT);
    if (rg_rows_next(&rows)) {
        char *plain = rg_seal_open(&store->seal, place, rg_rows_view(&rows, 0), &len);
        known = true;
        fits = plain && rg_str_eq((struct rg_str){plain, len}, text);
        free(plain);
    }
    rg_rows_end(&rows);
    if (known)
        return fits ? 0 : -EKEYREJECTED;
    char *sealed = rg_seal_close(&store->seal, place, text, &len);
    if (!sealed)
        return -ENOMEM;
    rg_db_exec(&store->db, "INSERT INTO settings (name, value) VALUES ('key', ?1)",
               RG_WITH(rg_blob((struct rg_str){sealed, len})));
    free(sealed);
    return 0;
}

/* Of instants that an earlier process has noted, by a clock that may have been wrong: none is still to come. */
static void take_times_over(struct rg_store *store)
{
    const struct rg_value now = rg_int(rg_store_steady(store));
    rg_db_exec(&store->db,
               "UPDATE deployment_status SET waits_since_ms = min(performed_at_ms, ?1)"
               " WHERE status IN ('DEPLOYING', 'UNDEPLOYING')",
               RG_WITH(now));
    rg_db_exec(&store->db, "UPDATE gateways SET deleted_at_ms = ?1 WHERE deleted_at_ms > ?1", RG_WITH(now));
}

static int furnish(struct rg_store *store, char *error, size_t size)
{
    char organization[RG_UUID_LEN + 1], now[RG_INSTANT_TEXT_MAX];
    rg_store_time(now, rg_store_now(store));
    int rc = rg_db_begin(&store->db);
    if (!rc) {
        int key = check_key(store);
        if (key)
            rg_store_fail(store, key);
        find_default(store, organization, now);
        put_admin_token(store, organization, now);
        rg_organization_furnish(store, organization, now);
        /* Nobody is connected to a platform that starts. */
        rg_db_exec(&store->db, "UPDATE gateways SET is_active = 0 WHERE is_active <> 0", RG_WITHOUT);
        take_times_over(store);
        rc = rg_db_commit(&store->db);
    }
    const char *dir = store->config.dir ? store->config.dir : "(memory)";
    if (rc == -EKEYREJECTED)
        snprintf(error, size, "%s/store.key: is not the key of %s/ringgate.db; put the key back that belongs to it",
                 dir, dir);
    else if (rc)
        snprintf(error, size, "%s/ringgate.db: %s; %s", dir, cause_of(&store->db, rc), explain(rc));
    return rc;
}

/* ---- Open and close ---- */

int rg_store_open(struct rg_store **ret, const struct rg_store_config *config, char *error, size_t size)
{
    snprintf(error, size, "no memory");
    struct rg_store *store = calloc(1, sizeof(*store));
    if (!store)
        return -ENOMEM;
    store->lock_fd = -1;
    store->config = *config;
    store->steady_ms = rg_store_now(store) - elapsed(store);
    if (!store->config.timeout_ms)
        store->config.timeout_ms = TIMEOUT_MS;
    if (!store->config.max_per_gateway)
        store->config.max_per_gateway = MAX_PER_GATEWAY;
    char key[PATH_MAX];
    int rc = config->dir ? lock_directory(store, error, size) : 0;
    if (!rc && config->dir)
        rc = path_in(store, "store.key", key, error, size);
    if (!rc && config->dir && rg_store_lacks_key(config->dir, error, size))
        rc = -ENOKEY;
    if (!rc)
        rc = rg_seal_init(&store->seal, config->dir ? key : NULL, error, size);
    if (!rc)
        rc = read_admin_token(store, error, size);
    if (!rc)
        rc = open_database(store, error, size);
    if (!rc)
        rc = furnish(store, error, size);
    if (rc) {
        rg_store_close(store);
        return rc;
    }
    *ret = store;
    return 0;
}

void rg_store_close(struct rg_store *store)
{
    if (!store)
        return;
    rg_db_close(&store->db);
    rg_seal_fini(&store->seal);
    explicit_bzero(store->admin_token, sizeof(store->admin_token));
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    free(store);
}
