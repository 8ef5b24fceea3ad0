/*
 * The keys that a handshake has agreed on, as it hands them over: what follows from a secret (TLS 1.3, RFC 8446 7), or
 * from the master secret (TLS 1.2, RFC 5246 6.3).
 *
 * Lifetime: struct rg_tls_tools belongs to a worker's environment. Thread: the worker's.
 */
#ifndef RG_TLS_KEYS_H
#define RG_TLS_KEYS_H

#include <stdbool.h>

#include <openssl/evp.h>

#include "datapath/base/str.h"

#define RG_TLS_SECRET_MAX 48u /* SHA-384 */
#define RG_TLS_KEY_MAX    32u
#define RG_TLS_IV         12u

/* What OpenSSL would look up by name each time. */
struct rg_tls_tools {
    EVP_CIPHER *aes_128_gcm, *aes_256_gcm, *chacha20_poly1305;
    EVP_CIPHER *aes_256_cbc; /* of tickets */
    EVP_MAC_CTX *hmac_sha256, *hmac_sha384;
    EVP_KDF_CTX *prf;
};

struct rg_tls_suite {
    const EVP_CIPHER *cipher;
    EVP_MAC_CTX *hmac; /* of the hash that keys are made by */
    const char *hash;
    uint8_t key, secret; /* their bytes */
};

/* NULL: no memory, or an OpenSSL without them: its own records are used then. */
struct rg_tls_tools *rg_tls_tools_create(OSSL_LIB_CTX *library);
void rg_tls_tools_destroy(struct rg_tls_tools *tools); /* NULL is fine */

/* cipher and hash: NID_aes_128_gcm and its like, NID_sha256 or NID_sha384. false: none that is known here. */
bool rg_tls_suite_find(const struct rg_tls_tools *tools, int cipher, int hash, struct rg_tls_suite *ret);

/* NULL: no memory, or no such digest. */
EVP_MAC_CTX *rg_tls_hmac_create(EVP_MAC *mac, char *digest);
/* The key stays in it until another takes its place: here, none. */
void rg_tls_hmac_forget(EVP_MAC_CTX *hmac);

struct rg_tls_label {
    struct rg_str prefix, label, context;
};

/* HKDF-Expand-Label of RFC 8446 7.1, for at most as many bytes as the hash has. */
bool rg_tls_hkdf_expand(EVP_MAC_CTX *hmac, size_t hash, struct rg_str secret, const struct rg_tls_label *label,
                        unsigned char *to, size_t n);
/* HKDF-Expand-Label of RFC 8446 7.1 without a context, for at most as many bytes as the hash has. */
bool rg_tls_expand(const struct rg_tls_suite *suite, const unsigned char *secret, const char *label, unsigned char *to,
                   size_t n);
/* The key block of TLS 1.2. */
bool rg_tls_key_block(const struct rg_tls_tools *tools, const struct rg_tls_suite *suite, const unsigned char *master,
                      size_t master_len, const unsigned char server_random[32], const unsigned char client_random[32],
                      unsigned char *to, size_t n);

#endif
