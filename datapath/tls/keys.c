/* See keys.h. */
#include "datapath/tls/keys.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/objects.h>

EVP_MAC_CTX *rg_tls_hmac_create(EVP_MAC *mac, char *digest)
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    if (ctx && EVP_MAC_CTX_set_params(ctx, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

void rg_tls_hmac_forget(EVP_MAC_CTX *hmac)
{
    static const unsigned char nothing[32]; /* as long as a key has to be where short ones are refused */
    EVP_MAC_init(hmac, nothing, sizeof(nothing), NULL);
}

struct rg_tls_tools *rg_tls_tools_create(OSSL_LIB_CTX *library)
{
    static char sha256[] = "SHA256", sha384[] = "SHA384";
    struct rg_tls_tools *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    EVP_MAC *hmac = EVP_MAC_fetch(library, "HMAC", NULL);
    EVP_KDF *prf = EVP_KDF_fetch(library, "TLS1-PRF", NULL);
    t->aes_128_gcm = EVP_CIPHER_fetch(library, "AES-128-GCM", NULL);
    t->aes_256_gcm = EVP_CIPHER_fetch(library, "AES-256-GCM", NULL);
    t->chacha20_poly1305 = EVP_CIPHER_fetch(library, "ChaCha20-Poly1305", NULL);
    t->aes_256_cbc = EVP_CIPHER_fetch(library, "AES-256-CBC", NULL);
    t->hmac_sha256 = rg_tls_hmac_create(hmac, sha256);
    t->hmac_sha384 = rg_tls_hmac_create(hmac, sha384);
    t->prf = prf ? EVP_KDF_CTX_new(prf) : NULL;
    EVP_MAC_free(hmac);
    EVP_KDF_free(prf);
    if (t->aes_256_cbc && t->hmac_sha256 && t->hmac_sha384 && t->prf)
        return t;
    rg_tls_tools_destroy(t);
    return NULL;
}

void rg_tls_tools_destroy(struct rg_tls_tools *t)
{
    if (!t)
        return;
    EVP_CIPHER_free(t->aes_128_gcm);
    EVP_CIPHER_free(t->aes_256_gcm);
    EVP_CIPHER_free(t->chacha20_poly1305);
    EVP_CIPHER_free(t->aes_256_cbc);
    EVP_MAC_CTX_free(t->hmac_sha256);
    EVP_MAC_CTX_free(t->hmac_sha384);
    EVP_KDF_CTX_free(t->prf);
    free(t);
}

bool rg_tls_suite_find(const struct rg_tls_tools *tools, int cipher, int hash, struct rg_tls_suite *ret)
{
    bool long_hash = hash == NID_sha384;
    if (!long_hash && hash != NID_sha256)
        return false;
    *ret = (struct rg_tls_suite){.hmac = long_hash ? tools->hmac_sha384 : tools->hmac_sha256,
                                 .hash = long_hash ? "SHA384" : "SHA256",
                                 .key = RG_TLS_KEY_MAX,
                                 .secret = long_hash ? 48 : 32};
    if (cipher == NID_aes_128_gcm) {
        ret->cipher = tools->aes_128_gcm;
        ret->key = 16;
    } else if (cipher == NID_aes_256_gcm) {
        ret->cipher = tools->aes_256_gcm;
    } else if (cipher == NID_chacha20_poly1305) {
        ret->cipher = tools->chacha20_poly1305;
    }
    return ret->cipher;
}

/* The structure HkdfLabel of RFC 8446 7.1. 0: it is too long. */
static size_t put_info(const struct rg_tls_label *label, size_t n, unsigned char *to, size_t cap)
{
    size_t len = label->prefix.len + label->label.len, at = 0;
    if (len > 255 || label->context.len > 255 || n > UINT16_MAX || 4 + len + label->context.len > cap)
        return 0;
    to[at++] = (unsigned char)(n >> 8);
    to[at++] = (unsigned char)n;
    to[at++] = (unsigned char)len;
    const struct rg_str parts[] = {label->prefix, label->label, label->context};
    for (unsigned i = 0; i < 3; i++) {
        if (i == 2)
            to[at++] = (unsigned char)label->context.len;
        if (parts[i].len > 0)
            memcpy(to + at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return at;
}

bool rg_tls_hkdf_expand(EVP_MAC_CTX *hmac, size_t hash, struct rg_str secret, const struct rg_tls_label *label,
                        unsigned char *to, size_t n)
{
    unsigned char info[520], block[EVP_MAX_MD_SIZE], number = 1; /* the first block of HKDF-Expand, which is enough */
    size_t len = 0, info_len = n > hash ? 0 : put_info(label, n, info, sizeof(info));
    bool ok = info_len > 0 && EVP_MAC_init(hmac, (const unsigned char *)secret.ptr, secret.len, NULL) == 1 &&
              EVP_MAC_update(hmac, info, info_len) == 1 && EVP_MAC_update(hmac, &number, 1) == 1 &&
              EVP_MAC_final(hmac, block, &len, sizeof(block)) == 1 && len >= n;
    if (ok)
        memcpy(to, block, n);
    OPENSSL_cleanse(block, sizeof(block));
    return ok;
}

bool rg_tls_expand(const struct rg_tls_suite *suite, const unsigned char *secret, const char *label, unsigned char *to,
                   size_t n)
{
    struct rg_tls_label l = {rg_str_of("tls13 "), rg_str_of(label), RG_STR_NONE};
    struct rg_str from = {(const char *)secret, suite->secret};
    return rg_tls_hkdf_expand(suite->hmac, suite->secret, from, &l, to, n);
}

bool rg_tls_key_block(const struct rg_tls_tools *tools, const struct rg_tls_suite *suite, const unsigned char *master,
                      size_t master_len, const unsigned char server_random[32], const unsigned char client_random[32],
                      unsigned char *to, size_t n)
{
    static char label[] = "key expansion";
    unsigned char secret[64], randoms[64];
    char hash[8];
    if (master_len > sizeof(secret) || strlen(suite->hash) >= sizeof(hash))
        return false;
    memcpy(secret, master, master_len);
    memcpy(randoms, server_random, 32);
    memcpy(randoms + 32, client_random, 32);
    memcpy(hash, suite->hash, strlen(suite->hash) + 1);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash, 0),
                           OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, secret, master_len),
                           OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label, sizeof(label) - 1),
                           OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, randoms, sizeof(randoms)),
                           OSSL_PARAM_construct_end()};
    EVP_KDF_CTX_reset(tools->prf); /* seeds add up */
    bool ok = EVP_KDF_derive(tools->prf, to, n, params) == 1;
    EVP_KDF_CTX_reset(tools->prf);
    OPENSSL_cleanse(secret, sizeof(secret));
    return ok;
}
