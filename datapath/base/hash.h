/*
 * Keyed hashes, for tables whose keys others choose: who does not know the secret can't guess collisions (SipHash-2-4).
 *
 * Owner: whoever embeds the secret. Thread: any; nothing is kept.
 */
#ifndef RG_BASE_HASH_H
#define RG_BASE_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/base/str.h"

struct rg_hash_secret {
    uint64_t k[2];
};

bool rg_hash_secret_make(struct rg_hash_secret *secret); /* random; false: the kernel gave none */

/* Hot. `before`: the hash of the parts that came before this one; 0: it is the first. */
uint64_t rg_hash(const struct rg_hash_secret *secret, uint64_t before, struct rg_str part);

#endif
