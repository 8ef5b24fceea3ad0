/* See access_trouble.h. */
#include "control/gateway/access_trouble.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/common/file.h"

bool rg_access_is_stdout(const char *path)
{
    return strcmp(path, "-") == 0;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

int rg_access_check(const char *path)
{
    char directory[RG_ACCESS_REMEDY_MAX];
    if (rg_access_is_stdout(path))
        return 0;
    if (is_directory(path))
        return -EISDIR;
    /* The rights of the effective user, as open() sees them. */
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    rg_file_parent(path, directory, sizeof(directory));
    return faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

static void missing(const char *path, char *out)
{
    char directory[RG_ACCESS_REMEDY_MAX];
    rg_file_parent(path, directory, sizeof(directory));
    if (is_there(directory))
        snprintf(out, RG_ACCESS_REMEDY_MAX, "%.255s is a link to nowhere: remove it", path);
    else
        snprintf(out, RG_ACCESS_REMEDY_MAX, "create the directory %.255s, or choose another access_log.path",
                 directory);
}

static void no_right(const char *path, char *out)
{
    char directory[RG_ACCESS_REMEDY_MAX];
    rg_file_parent(path, directory, sizeof(directory));
    const char *what = is_there(path) ? path : directory;
    snprintf(out, RG_ACCESS_REMEDY_MAX,
             "let the user with the id %u write to %.255s, or choose another access_log.path", (unsigned)geteuid(),
             what);
}

/* Of what does not depend on the path. */
static const char *remedy_of(int error)
{
    static const struct {
        int error;
        const char *text;
    } remedies[] = {
        {ENOTDIR, "a part of the path is no directory: choose another access_log.path"},
        {EISDIR, "access_log.path is a directory: name a file in it"},
        {EROFS, "the file system is read-only (under systemd: LogsDirectory= or ReadWritePaths=): make it writable, or "
                "choose another access_log.path"},
        {ENOSPC, "free space there, or choose another access_log.path"},
        {EDQUOT, "free space there, or choose another access_log.path"},
        {EFBIG, "the file is as large as files may be: rotate it"},
        {ENXIO, "nobody reads the pipe: start its reader"},
        {EPIPE, "nobody reads the pipe: start its reader"},
        {EMFILE, "raise the limit of open files (LimitNOFILE=)"},
        {ENFILE, "raise the limit of open files (LimitNOFILE=)"},
    };
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
        if (remedies[i].error == error)
            return remedies[i].text;
    return "see to the file system, or choose another access_log.path";
}

const char *rg_access_remedy(const char *path, int error, char out[RG_ACCESS_REMEDY_MAX])
{
    out[0] = '\0';
    if (error == ENOENT)
        missing(path, out);
    else if (error == EACCES || error == EPERM)
        no_right(path, out);
    if (out[0] == '\0')
        snprintf(out, RG_ACCESS_REMEDY_MAX, "%s", remedy_of(error));
    return out;
}
