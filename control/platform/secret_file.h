/*
 * Files that hold a secret: mode 0600, made at the first start, never readable by others. Thread: any one, at the
 * start.
 */
#ifndef RG_PLATFORM_SECRET_FILE_H
#define RG_PLATFORM_SECRET_FILE_H

#include "datapath/base/str.h"

/*
 * Reads at most `size` bytes. -ENOENT: there is none; -EPERM: others than the owner may use it; -EFBIG: longer.
 * `error` names the file, what is wrong and the remedy (not for -ENOENT).
 */
int rg_secret_file_read(const char *path, char *out, size_t size, size_t *ret_len, char *error, size_t error_size);

/* Makes a new file in one step (a name beside it, fsync, rename). */
int rg_secret_file_write(const char *path, struct rg_str content, char *error, size_t error_size);

#endif
