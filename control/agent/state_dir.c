/* Opening, locking and loading. Writing is in state_writer.c. */
#include "control/agent/state_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/agent/state_parts.h"
#include "control/common/file.h"
#include "datapath/base/log.h"

#define OWN_IT         "let the gateway's user own it"
#define LOCK_WAIT_MS   2000
#define LOCK_STEP_MS   50
#define FILE_MAX_BYTES (64u << 20) /* an artifact has at most 16 MiB; more is nothing of ours */

/* ---- Opening ---- */

static int refuse(char *why, int error, const char *what, const char *path, const char *remedy)
{
    snprintf(why, RG_STATE_DIR_WHY_MAX, "can't %s %s: %s; %s", what, path, strerror(-error),
             rg_file_remedy(error, remedy));
    return error;
}

static int refuse_making(char *why, int error, const char *path)
{
    return refuse(why, error, "make the directory", path,
                  "make it, owned by the gateway's user, or name another with control.state_dir or --state-dir");
}

/* One level at most: a path that is mistyped must not become a tree. */
static int make_directory(const char *path, char *why)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : refuse_making(why, -errno, path);
}

/* With the rights of the effective user, as opening and making it would have them. */
static int may(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 ? 0 : -errno;
}

int rg_state_dir_check(const char *path, char why[RG_STATE_DIR_WHY_MAX])
{
    char parent[sizeof(((struct rg_state_dir *)0)->path)];
    struct stat st;
    if (stat(path, &st) == 0) {
        int r = S_ISDIR(st.st_mode) ? may(path, R_OK | W_OK | X_OK) : -ENOTDIR;
        return r < 0 ? refuse(why, r, "write to", path, OWN_IT) : 0;
    }
    if (errno != ENOENT)
        return refuse_making(why, -errno, path);
    rg_file_parent(path, parent, sizeof(parent));
    int r = may(parent, W_OK | X_OK);
    return r < 0 ? refuse_making(why, r, path) : 0;
}

/* One that was killed, or is about to end, may still hold it for a moment. */
static int wait_for_lock(const struct rg_state_dir *dir)
{
    for (unsigned waited_ms = 0;; waited_ms += LOCK_STEP_MS) {
        if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK || waited_ms >= LOCK_WAIT_MS)
            return -errno;
        if (waited_ms == 0)
            rg_info("state: waiting for another process to let go of %s", dir->path);
        usleep(LOCK_STEP_MS * 1000);
    }
}

static int lock_directory(struct rg_state_dir *dir, char *why)
{
    dir->lock_fd = openat(dir->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (dir->lock_fd < 0)
        return refuse(why, -errno, "write to", dir->path, OWN_IT);
    int r = wait_for_lock(dir);
    if (r == 0)
        return 0;
    errno = -r;
    if (errno != EWOULDBLOCK)
        return refuse(why, -errno, "lock", dir->path, "use a file system that has locks");
    snprintf(why, RG_STATE_DIR_WHY_MAX,
             "%s is in use by another process: every gateway needs a directory of its own, see control.state_dir",
             dir->path);
    return -EBUSY;
}

int rg_state_dir_open(struct rg_state_dir *dir, const char *path, char why[RG_STATE_DIR_WHY_MAX])
{
    *dir = (struct rg_state_dir){.fd = -1, .lock_fd = -1, .done_event.fd = -1};
    pthread_mutex_init(&dir->lock, NULL);
    pthread_cond_init(&dir->wake, NULL);
    snprintf(dir->path, sizeof(dir->path), "%s", path);
    int r = make_directory(path, why);
    if (r < 0)
        return r;
    dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0)
        return refuse(why, -errno, "open the directory", path, OWN_IT);
    return lock_directory(dir, why);
}

void rg_state_dir_close(struct rg_state_dir *dir)
{
    rg_state_writer_end(dir);
    if (dir->lock_fd >= 0)
        close(dir->lock_fd);
    if (dir->fd >= 0)
        close(dir->fd);
    dir->fd = dir->lock_fd = -1;
}

/* ---- Loading ---- */

/* Longer, or no file at all, is nothing of ours. */
static int read_file(struct rg_state_dir *dir, const char *name, char **ret, size_t *ret_len)
{
    int fd = rg_file_open(dir->fd, name, O_NOFOLLOW, RG_FILE_REGULAR);
    if (fd < 0)
        return fd;
    int r = rg_file_read_all(fd, FILE_MAX_BYTES, ret, ret_len);
    close(fd);
    return r;
}

static void set_aside(struct rg_state_dir *dir, const char *name, const char *why)
{
    char aside[300];
    snprintf(aside, sizeof(aside), "%s.damaged", name);
    bool moved = renameat(dir->fd, name, dir->fd, aside) == 0;
    rg_error("state: %s/%s is damaged, going on without it: %s%s%s", dir->path, name, why,
             moved ? "; set aside as " : "; it could not be set aside", moved ? aside : "");
}

static bool ends_in(const char *name, const char *suffix)
{
    size_t len = strlen(name), end = strlen(suffix);
    return len >= end && strcmp(name + len - end, suffix) == 0;
}

static void load_one(struct rg_state_dir *dir, const char *name,
                     int (*each)(void *owner, const char *name, struct rg_str bytes, char why[RG_STATE_WHY_MAX]),
                     void *owner)
{
    char why[RG_STATE_WHY_MAX] = "";
    char *bytes = NULL;
    size_t len = 0;
    int r = read_file(dir, name, &bytes, &len);
    if (r < 0)
        snprintf(why, sizeof(why), "it can't be read (%s)", strerror(-r));
    else
        r = each(owner, name, (struct rg_str){bytes, len}, why);
    if (r < 0)
        set_aside(dir, name, why[0] ? why : strerror(-r));
    free(bytes);
}

int rg_state_dir_load(struct rg_state_dir *dir, const char *suffix,
                      int (*each)(void *owner, const char *name, struct rg_str bytes, char why[RG_STATE_WHY_MAX]),
                      void *owner)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    if (!listing) {
        int error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    for (const struct dirent *e; (e = readdir(listing));) {
        if (ends_in(e->d_name, RG_STATE_UNFINISHED))
            unlinkat(dir->fd, e->d_name, 0); /* a process died while it wrote: the old file is the one that counts */
        else if (ends_in(e->d_name, suffix))
            load_one(dir, e->d_name, each, owner);
    }
    closedir(listing);
    return 0;
}
