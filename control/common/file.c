/* See file.h. */
#include "control/common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/common/descriptors.h"

#define ROOM_FIRST 4096 /* where the size is not known before */

static int check_kind(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) ? 0 : S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
}

int rg_file_open(int dir, const char *path, int flags, enum rg_file_kind kind)
{
    int wait = kind == RG_FILE_REGULAR ? O_NONBLOCK : 0; /* a FIFO would hold up */
    int fd = rg_descriptors_open(dir, path, O_RDONLY | O_CLOEXEC | wait | flags, 0);
    if (fd < 0)
        return -errno;
    int r = kind == RG_FILE_REGULAR ? check_kind(fd) : 0;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

ssize_t rg_file_read(int fd, void *ret, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, (char *)ret + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int error = -errno;
            explicit_bzero(ret, len);
            return error;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static void forget(char *text, size_t len)
{
    if (text)
        explicit_bzero(text, len);
    free(text);
}

/* realloc leaves the old bytes where they were. */
static int grow(char **text, size_t len, size_t room)
{
    char *more = malloc(room);
    if (!more)
        return -ENOMEM;
    if (*text)
        memcpy(more, *text, len);
    forget(*text, len);
    *text = more;
    return 0;
}

/* One byte more than there should be, so that the end, or that it is longer, is seen without growing. */
static size_t room_at_first(int fd, size_t most)
{
    struct stat st;
    size_t size = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : ROOM_FIRST;
    return (size < most ? size : most) + 1;
}

int rg_file_read_all(int fd, size_t most, char **ret, size_t *ret_len)
{
    char *text = NULL;
    size_t len = 0, room = room_at_first(fd, most);
    int r;
    for (;;) {
        r = grow(&text, len, room);
        ssize_t n = r < 0 ? r : rg_file_read(fd, text + len, room - len);
        if (n < 0) {
            r = (int)n;
            break;
        }
        len += (size_t)n;
        if (len < room) {
            text[len] = '\0';
            *ret = text;
            *ret_len = len;
            return 0;
        }
        if (len > most) {
            r = -EFBIG;
            break;
        }
        room = (2 * room < most ? 2 * room : most) + 1;
    }
    forget(text, len);
    return r;
}

ssize_t rg_file_load(const char *path, enum rg_file_kind kind, void *ret, size_t size)
{
    int fd = rg_file_open(AT_FDCWD, path, 0, kind);
    if (fd < 0)
        return fd;
    ssize_t n = rg_file_read(fd, ret, size);
    close(fd);
    return n;
}

int rg_file_load_all(const char *path, enum rg_file_kind kind, size_t most, char **ret, size_t *ret_len)
{
    int fd = rg_file_open(AT_FDCWD, path, 0, kind);
    if (fd < 0)
        return fd;
    int r = rg_file_read_all(fd, most, ret, ret_len);
    close(fd);
    return r;
}

void rg_file_parent(const char *path, char *ret, size_t size)
{
    snprintf(ret, size, "%s", path);
    size_t n = strlen(ret);
    while (n > 1 && ret[n - 1] == '/')
        n--;
    while (n > 1 && ret[n - 1] != '/')
        n--;
    while (n > 1 && ret[n - 1] == '/')
        n--;
    ret[n] = '\0';
}

const char *rg_file_remedy(int error, const char *otherwise)
{
    switch (error < 0 ? -error : error) {
    case EROFS:
        return "make the file system writable, or choose another directory";
    case ENOSPC:
    case EDQUOT:
        return "make room there";
    case ENOTDIR:
        return "choose a directory";
    default:
        return otherwise;
    }
}
