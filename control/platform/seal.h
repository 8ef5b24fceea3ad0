/*
 * What must not lie on the disk in the clear: AES-256-GCM with the store's key. The place (a row's id) goes into the
 * tag, so that a sealed value means nothing in another row. Thread: the store's.
 *
 * Sealed: version 1, nonce of 12 bytes, tag of 16 bytes, then the bytes.
 */
#ifndef RG_PLATFORM_SEAL_H
#define RG_PLATFORM_SEAL_H

#include "datapath/base/str.h"

#define RG_SEAL_KEY      32
#define RG_SEAL_OVERHEAD 29

struct rg_seal {
    unsigned char key[RG_SEAL_KEY];
};

/* Reads the key, or makes one where there is none. Negative errno; `error` names file and remedy. */
int rg_seal_init(struct rg_seal *seal, const char *file, char *error, size_t size); /* NULL: a key for this run alone */
void rg_seal_fini(struct rg_seal *seal);

/* *ret is of malloc, with a NUL after it. NULL without memory, or where the bytes were not sealed with this key for
 * this place. */
char *rg_seal_close(const struct rg_seal *seal, struct rg_str place, struct rg_str plain, size_t *ret_len);
char *rg_seal_open(const struct rg_seal *seal, struct rg_str place, struct rg_str sealed, size_t *ret_len);

#endif
