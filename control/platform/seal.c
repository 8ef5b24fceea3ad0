/* See seal.h. */
#include "control/platform/seal.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/common/ids.h"
#include "control/platform/secret_file.h"

#define VERSION 1
#define NONCE   12
#define TAG     16

int rg_seal_init(struct rg_seal *seal, const char *file, char *error, size_t size)
{
    size_t len = 0;
    int rc = file ? rg_secret_file_read(file, (char *)seal->key, sizeof(seal->key), &len, error, size) : -ENOENT;
    if (rc == -ENOENT) {
        rg_random(seal->key, sizeof(seal->key));
        struct rg_str key = {(const char *)seal->key, sizeof(seal->key)};
        return file ? rg_secret_file_write(file, key, error, size) : 0;
    }
    if (rc == 0 && len != sizeof(seal->key)) {
        snprintf(error, size, "%s: has %zu bytes, wanted %d; put the key back that belongs to the database", file, len,
                 RG_SEAL_KEY);
        rc = -EINVAL;
    }
    return rc;
}

void rg_seal_fini(struct rg_seal *seal)
{
    explicit_bzero(seal, sizeof(*seal));
}

static EVP_CIPHER_CTX *begin(const struct rg_seal *seal, struct rg_str place, const unsigned char *nonce, int encrypt)
{
    int n;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, seal->key, nonce, encrypt) == 1 &&
        EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)place.ptr, (int)place.len) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

char *rg_seal_close(const struct rg_seal *seal, struct rg_str place, struct rg_str plain, size_t *ret_len)
{
    unsigned char *out = plain.len < INT_MAX / 2 ? malloc(plain.len + RG_SEAL_OVERHEAD + 1) : NULL;
    if (!out)
        return NULL;
    out[0] = VERSION;
    rg_random(out + 1, NONCE);
    unsigned char *tag = out + 1 + NONCE, *bytes = tag + TAG;
    int n = 0, end = 0;
    EVP_CIPHER_CTX *ctx = begin(seal, place, out + 1, 1);
    bool ok = ctx && EVP_CipherUpdate(ctx, bytes, &n, (const unsigned char *)plain.ptr, (int)plain.len) == 1 &&
              EVP_CipherFinal_ex(ctx, bytes + n, &end) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        free(out);
        return NULL;
    }
    *ret_len = plain.len + RG_SEAL_OVERHEAD;
    out[*ret_len] = '\0';
    return (char *)out;
}

char *rg_seal_open(const struct rg_seal *seal, struct rg_str place, struct rg_str sealed, size_t *ret_len)
{
    if (sealed.len < RG_SEAL_OVERHEAD || sealed.len > INT_MAX / 2 || sealed.ptr[0] != VERSION)
        return NULL;
    size_t len = sealed.len - RG_SEAL_OVERHEAD;
    unsigned char *out = malloc(len + 1), tag[TAG];
    if (!out)
        return NULL;
    const unsigned char *in = (const unsigned char *)sealed.ptr;
    memcpy(tag, in + 1 + NONCE, TAG);
    int n = 0, end = 0;
    EVP_CIPHER_CTX *ctx = begin(seal, place, in + 1, 0);
    bool ok = ctx && EVP_CipherUpdate(ctx, out, &n, in + RG_SEAL_OVERHEAD, (int)len) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
              EVP_CipherFinal_ex(ctx, out + n, &end) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        free(out);
        return NULL;
    }
    out[len] = '\0';
    *ret_len = len;
    return (char *)out;
}
