/* Archives of artifacts, made in memory: a zip with one file, a tar.gz with many. Thread: any (no state). */
#ifndef RG_PLATFORM_BUNDLE_H
#define RG_PLATFORM_BUNDLE_H

#include "datapath/base/str.h"

/* *ret is of malloc. 0, -ENOMEM or -EIO. */
int rg_bundle_zip(const char *name, struct rg_str content, char **ret, size_t *ret_len);

struct rg_bundle; /* a tar.gz that grows */

int rg_bundle_create(struct rg_bundle **ret);
int rg_bundle_add(struct rg_bundle *bundle, const char *name, struct rg_str content);
int rg_bundle_finish(struct rg_bundle *bundle, char **ret, size_t *ret_len); /* destroys it */
void rg_bundle_destroy(struct rg_bundle *bundle);                            /* NULL is fine */

#endif
