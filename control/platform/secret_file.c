/* See secret_file.h. */
#include "control/platform/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/common/file.h"

static int read_all(int fd, char *out, size_t size, size_t *ret_len)
{
    char beyond;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_mode & 077)
        return -EPERM;
    ssize_t n = rg_file_read(fd, out, size);
    ssize_t more = n < 0 ? n : rg_file_read(fd, &beyond, 1);
    if (more != 0)
        return more < 0 ? (int)more : -EFBIG;
    *ret_len = (size_t)n;
    return 0;
}

int rg_secret_file_read(const char *path, char *out, size_t size, size_t *ret_len, char *error, size_t error_size)
{
    int fd = rg_file_open(AT_FDCWD, path, O_NOFOLLOW, RG_FILE_REGULAR);
    if (fd < 0) {
        snprintf(error, error_size, "%s: can't be opened: %s", path, strerror(-fd));
        return fd;
    }
    int rc = read_all(fd, out, size, ret_len);
    close(fd);
    if (rc == -EPERM)
        snprintf(error, error_size, "%s: holds a secret and may be used by others; chmod 600 %s", path, path);
    else if (rc == -EFBIG)
        snprintf(error, error_size, "%s: is longer than %zu bytes; it is not a file of this program", path, size);
    else if (rc)
        snprintf(error, error_size, "%s: can't be read: %s", path, strerror(-rc));
    return rc;
}

static int write_all(int fd, struct rg_str content)
{
    while (content.len > 0) {
        ssize_t n = write(fd, content.ptr, content.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        content.ptr += n;
        content.len -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* The name itself must survive a loss of power. */
static int sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

int rg_secret_file_write(const char *path, struct rg_str content, char *error, size_t error_size)
{
    char beside[PATH_MAX];
    snprintf(beside, sizeof(beside), "%s.new", path);
    unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -errno : write_all(fd, content);
    if (fd >= 0 && close(fd) < 0 && !rc)
        rc = -errno;
    if (!rc && rename(beside, path) < 0)
        rc = -errno;
    if (!rc)
        rc = sync_folder(path);
    if (rc) {
        if (fd >= 0)
            unlink(beside);
        snprintf(error, error_size, "%s: can't be written: %s; the directory must be writable and have space", path,
                 strerror(-rc));
    }
    return rc;
}
