/* See store_look.h. */
#include "control/platform/store_look.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/common/file.h"
#include "control/platform/migrations.h"
#include "control/platform/secret_file.h"

#define OWN_IT "give it to the user of this program"

static bool may(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

/* It is made at the start, but not what it is in. */
static void look_where_it_will_be(const char *dir, struct rg_store_look *ret)
{
    char parent[PATH_MAX];
    rg_file_parent(dir, parent, sizeof(parent));
    if (!may(parent, F_OK))
        snprintf(ret->wrong, sizeof(ret->wrong), "%.200s: can't be made, for %.200s is missing; make that directory",
                 dir, parent);
    else if (!may(parent, W_OK | X_OK))
        snprintf(ret->wrong, sizeof(ret->wrong), "%.150s: can't be made in %.150s (%s); %s", dir, parent,
                 strerror(errno), rg_file_remedy(errno, "make it, and give it to the user of this program"));
    else
        snprintf(ret->known, sizeof(ret->known), "%.200s: will be made by the first start", dir);
}

/* Without the log and without a lock, so that nothing is left behind: what is in the log is not seen. */
static void look_at_database(const char *path, struct rg_store_look *ret)
{
    struct rg_db db;
    int rc = rg_db_open_still(&db, path), done = 0;
    if (!rc) {
        bool has_steps = rg_db_number(&db, 0, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migrations'",
                                      RG_WITHOUT) > 0; /* else they are in the log, as all is at first */
        done = has_steps ? rg_migrations_done(&db) : 0;
        rc = db.error;
    }
    if (rc)
        snprintf(ret->wrong, sizeof(ret->wrong),
                 "%.300s: can't be read (%s); restore a backup, or move it away to start with nothing", path,
                 rg_db_message(&db));
    else if (done > rg_migrations_known())
        snprintf(
            ret->known, sizeof(ret->known),
            "%.200s: a newer version has written it (schema %d, this one knows %d): this one can serve it, but does "
            "not see what is new in it",
            path, done, rg_migrations_known());
    rg_db_close(&db);
}

static void look_at_file(const char *dir, const char *name, struct rg_store_look *ret)
{
    char path[PATH_MAX], start[1];
    size_t len;
    if (ret->wrong[0] || (size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
        return;
    if (strcmp(name, "ringgate.db") != 0) {
        int rc = rg_secret_file_read(path, start, 0, &len, ret->wrong, sizeof(ret->wrong));
        if (rc == -ENOENT || rc == -EFBIG) /* made at the start; longer than nothing */
            ret->wrong[0] = '\0';
    } else if (may(path, F_OK) && !may(path, R_OK | W_OK)) {
        snprintf(ret->wrong, sizeof(ret->wrong), "%.300s: can't be read and written (%s); %s", path, strerror(errno),
                 rg_file_remedy(errno, OWN_IT));
    } else if (may(path, F_OK)) {
        look_at_database(path, ret);
    }
}

void rg_store_look(const char *dir, struct rg_store_look *ret)
{
    static const char *const files[] = {"store.key", "admin.token", "ringgate.db"};
    struct stat st;
    *ret = (struct rg_store_look){0};
    if (stat(dir, &st) < 0 && errno == ENOENT) {
        look_where_it_will_be(dir, ret);
        return;
    }
    if (stat(dir, &st) < 0)
        snprintf(ret->wrong, sizeof(ret->wrong), "%.300s: can't be looked at: %s", dir, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        snprintf(ret->wrong, sizeof(ret->wrong), "%.300s: is not a directory; choose another path", dir);
    else if (!may(dir, R_OK | W_OK | X_OK))
        snprintf(ret->wrong, sizeof(ret->wrong), "%.300s: can't be written (%s); %s", dir, strerror(errno),
                 rg_file_remedy(errno, OWN_IT));
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        look_at_file(dir, files[i], ret);
    if (!ret->wrong[0])
        rg_store_lacks_key(dir, ret->wrong, sizeof(ret->wrong));
}

bool rg_store_lacks_key(const char *dir, char *error, size_t size)
{
    char key[PATH_MAX], database[PATH_MAX];
    struct stat st;
    bool fit = (size_t)snprintf(key, sizeof(key), "%s/store.key", dir) < sizeof(key) &&
               (size_t)snprintf(database, sizeof(database), "%s/ringgate.db", dir) < sizeof(database);
    if (!fit || may(key, F_OK) || errno != ENOENT || stat(database, &st) < 0 || st.st_size == 0)
        return false;
    snprintf(error, size, "%.150s: is missing, and nothing that is sealed in %.150s opens without it; put it back", key,
             database);
    return true;
}
