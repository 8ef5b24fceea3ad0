/*
 * Why the access log can't be written, in words that help: what is wrong with the path, and what to do about it.
 * Ownership: the caller's buffer. Thread: any; looks at the file system, changes nothing.
 */
#ifndef RG_GATEWAY_ACCESS_TROUBLE_H
#define RG_GATEWAY_ACCESS_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>

#define RG_ACCESS_REMEDY_MAX 512

/* Standard output, not a file. */
bool rg_access_is_stdout(const char *path);

/* Whether a log could be opened there now by this user: 0 or negative errno. Creates nothing. */
int rg_access_check(const char *path);

/* What to do about an error (errno, positive) of opening or writing the path. Returns out. */
const char *rg_access_remedy(const char *path, int error, char out[RG_ACCESS_REMEDY_MAX]);

#endif
