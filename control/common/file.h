/*
 * Files that are read as a whole, up to a limit. What was read may be a secret: no copy of it is left behind but the
 * one that the caller gets. Thread: any; a descriptor of the reserve (descriptors.h) only serves the control thread.
 */
#ifndef RG_COMMON_FILE_H
#define RG_COMMON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum rg_file_kind {
    RG_FILE_ANY,     /* also a pipe, or what a shell's <(...) gives; opening one may wait */
    RG_FILE_REGULAR, /* -EISDIR or -EINVAL for all else, and no waiting */
};

/* For reading, from the directory `dir` or AT_FDCWD. `flags` are added to those that reading needs. */
int rg_file_open(int dir, const char *path, int flags, enum rg_file_kind kind);

/* To the end of the file or of the buffer; how much it was, or negative errno. */
ssize_t rg_file_read(int fd, void *ret, size_t size);

/* All of it, and a NUL after it that does not count, for free. -EFBIG: more than `most` bytes. */
int rg_file_read_all(int fd, size_t most, char **ret, size_t *ret_len);

/* Both: opens, reads to the end and closes. */
ssize_t rg_file_load(const char *path, enum rg_file_kind kind, void *ret, size_t size);
int rg_file_load_all(const char *path, enum rg_file_kind kind, size_t most, char **ret, size_t *ret_len);

/* What is to be done where a file can't be written; `otherwise` where the error doesn't tell. */
const char *rg_file_remedy(int error, const char *otherwise);

/* The directory that a path is in: "/" at the top. Slashes at its end don't count. */
void rg_file_parent(const char *path, char *ret, size_t size);

#endif
