/*
 * Names that nobody guesses: UUIDv7 (RFC 9562), tokens, hashes.
 * Randomness is the kernel's. Thread: any; no state is kept.
 */
#ifndef RG_COMMON_IDS_H
#define RG_COMMON_IDS_H

#include <stdint.h>

#include "datapath/base/str.h"

#define RG_UUID_LEN   36
#define RG_TOKEN_LEN  43 /* 32 random bytes as base64url without padding */
#define RG_SHA256_LEN 64 /* hexadecimal */

/* Each writes a NUL after the text. */
void rg_uuid_make(char out[RG_UUID_LEN + 1], int64_t unix_ms);
/* The same for the same time and name: what is in the name is hashed into the random bits. */
void rg_uuid_derive(char out[RG_UUID_LEN + 1], int64_t unix_ms, struct rg_str name);

void rg_token_make(char out[RG_TOKEN_LEN + 1]);
bool rg_token_is_valid(struct rg_str text); /* its form */
void rg_sha256_hex(char out[RG_SHA256_LEN + 1], struct rg_str text);

void rg_random(void *out, size_t len); /* aborts when the kernel has no randomness */

int64_t rg_wall_ms(void); /* since 1970, UTC */

#endif
