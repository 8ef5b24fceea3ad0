/* A directory for one test's files, removed with all that is in it. */
#ifndef RG_TEST_SCRATCH_H
#define RG_TEST_SCRATCH_H

#include <stddef.h>

void scratch_create(char *ret, size_t len); /* its path */
int scratch_remove(const char *path);       /* 0, or what a teardown reports as failed */

#endif
