/* SHA-256 for policies that compare secrets: on the hot path without allocation, but for a thread's first. */
#ifndef RG_POLICY_DIGEST_H
#define RG_POLICY_DIGEST_H

#include "datapath/base/str.h"

#define RG_DIGEST_LEN 32

bool rg_digest(struct rg_str s, uint8_t ret[RG_DIGEST_LEN]); /* false: the library has no memory */
bool rg_digest_eq(const uint8_t a[RG_DIGEST_LEN], const uint8_t b[RG_DIGEST_LEN]); /* in constant time */

#endif
