/* See records.h. A nonce is used once: it is made of the sequence number, which grows with each record of a key and
 * starts where OpenSSL's handshake has ended (takeover.c). */
#include "datapath/tls/records.h"

#include <stdlib.h>

#define FIXED_NONCE 4u /* the part of a GCM nonce in TLS 1.2 that follows from the handshake */

/* ---- keys ---- */

bool rg_tls_half_set(struct rg_tls_half *half, const struct rg_tls_suite *suite, bool seals, const unsigned char *key,
                     const unsigned char *iv, size_t iv_len)
{
    if (!half->ctx)
        half->ctx = EVP_CIPHER_CTX_new();
    if (!half->ctx || EVP_CipherInit_ex(half->ctx, suite->cipher, NULL, key, NULL, seals) != 1)
        return false;
    memcpy(half->iv, iv, iv_len);
    return true;
}

bool rg_tls_half_rekey(struct rg_tls_half *half, const struct rg_tls_suite *suite, bool seals)
{
    unsigned char key[RG_TLS_KEY_MAX], iv[RG_TLS_IV];
    bool ok = rg_tls_expand(suite, half->secret, "key", key, suite->key) &&
              rg_tls_expand(suite, half->secret, "iv", iv, sizeof(iv)) &&
              rg_tls_half_set(half, suite, seals, key, iv, sizeof(iv));
    OPENSSL_cleanse(key, sizeof(key));
    return ok;
}

bool rg_tls_half_update(struct rg_tls_half *half, const struct rg_tls_suite *suite, bool seals)
{
    half->sequence = 0;
    bool ok = rg_tls_expand(suite, half->secret, "traffic upd", half->secret, suite->secret) &&
              rg_tls_half_rekey(half, suite, seals);
    rg_tls_hmac_forget(suite->hmac);
    return ok;
}

void rg_tls_half_fini(struct rg_tls_half *half)
{
    EVP_CIPHER_CTX_free(half->ctx);
    OPENSSL_cleanse(half, sizeof(*half));
}

void rg_tls_records_destroy(struct rg_tls_env *env, struct rg_tls_records *r)
{
    if (!r)
        return;
    rg_tls_half_fini(&r->in);
    rg_tls_half_fini(&r->out);
    free(r->held);
    rg_pool_put(&env->records, r);
}

/* ---- nonce and additional data ---- */

static void put_number(unsigned char *to, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (unsigned char)(number >> (8 * (bytes - 1 - i)));
}

static void make_nonce(const struct rg_tls_half *half, const unsigned char *explicit_nonce,
                       unsigned char nonce[RG_TLS_IV])
{
    memcpy(nonce, half->iv, RG_TLS_IV);
    if (explicit_nonce) {
        memcpy(nonce + FIXED_NONCE, explicit_nonce, RG_TLS_EXPLICIT);
        return;
    }
    for (unsigned i = 0; i < 8; i++)
        nonce[RG_TLS_IV - 1 - i] ^= (unsigned char)(half->sequence >> (8 * i));
}

/* TLS 1.3: the header as it is; TLS 1.2: the number of the record, then the header with the length of the plaintext. */
static bool begin(const struct rg_tls_records *r, struct rg_tls_half *half, const unsigned char header[RG_TLS_HEADER],
                  const unsigned char *explicit_nonce, uint32_t plain)
{
    unsigned char nonce[RG_TLS_IV], data[13];
    int n;
    make_nonce(half, explicit_nonce, nonce);
    if (EVP_CipherInit_ex(half->ctx, NULL, NULL, NULL, nonce, -1) != 1)
        return false;
    if (r->is_13)
        return EVP_CipherUpdate(half->ctx, NULL, &n, header, RG_TLS_HEADER) == 1;
    put_number(data, half->sequence, 8);
    memcpy(data + 8, header, 3);
    put_number(data + 11, plain, 2);
    return EVP_CipherUpdate(half->ctx, NULL, &n, data, sizeof(data)) == 1;
}

/* ---- out ---- */

uint32_t rg_tls_record_size(const struct rg_tls_records *r, uint32_t n)
{
    return RG_TLS_HEADER + (r->explicit_nonce ? RG_TLS_EXPLICIT : 0) + n + (r->is_13 ? 1 : 0) + RG_TLS_TAG;
}

static bool encrypt(struct rg_tls_half *half, const struct iovec *iov, uint32_t n, unsigned char **to)
{
    int made = 0;
    for (; n > 0; iov++) {
        uint32_t here = iov->iov_len < n ? (uint32_t)iov->iov_len : n;
        if (EVP_CipherUpdate(half->ctx, *to, &made, iov->iov_base, (int)here) != 1)
            return false;
        *to += made;
        n -= here;
    }
    return true;
}

bool rg_tls_record_make(struct rg_tls_records *r, enum rg_tls_type type, const struct iovec *iov, uint32_t n, char *to)
{
    unsigned char *at = (unsigned char *)to, *explicit_nonce = NULL, inner = (unsigned char)type;
    struct rg_tls_half *half = &r->out;
    int made = 0;
    at[0] = r->is_13 ? RG_TLS_APPLICATION : inner;
    put_number(at + 1, 0x0303, 2);
    put_number(at + 3, rg_tls_record_size(r, n) - RG_TLS_HEADER, 2);
    at += RG_TLS_HEADER;
    if (r->explicit_nonce) {
        explicit_nonce = at;
        put_number(at, half->sequence, RG_TLS_EXPLICIT);
        at += RG_TLS_EXPLICIT;
    }
    if (!begin(r, half, (unsigned char *)to, explicit_nonce, n) || !encrypt(half, iov, n, &at))
        return false;
    if (r->is_13) {
        if (EVP_CipherUpdate(half->ctx, at, &made, &inner, 1) != 1)
            return false;
        at += made;
    }
    half->sequence++;
    return EVP_CipherFinal_ex(half->ctx, at, &made) == 1 &&
           EVP_CIPHER_CTX_ctrl(half->ctx, EVP_CTRL_AEAD_GET_TAG, RG_TLS_TAG, at) == 1;
}

/* ---- in ---- */

bool rg_tls_record_begin(struct rg_tls_records *r, const unsigned char header[RG_TLS_HEADER],
                         const unsigned char *explicit_nonce, uint32_t plain)
{
    return begin(r, &r->in, header, explicit_nonce, plain);
}

bool rg_tls_record_piece(struct rg_tls_records *r, const char *from, uint32_t n, char *to)
{
    int made = 0;
    return EVP_CipherUpdate(r->in.ctx, (unsigned char *)to, &made, (const unsigned char *)from, (int)n) == 1 &&
           (uint32_t)made == n;
}

bool rg_tls_record_end(struct rg_tls_records *r, unsigned char tag[RG_TLS_TAG])
{
    unsigned char none[16];
    int made = 0;
    r->in.sequence++;
    return EVP_CIPHER_CTX_ctrl(r->in.ctx, EVP_CTRL_AEAD_SET_TAG, RG_TLS_TAG, tag) == 1 &&
           EVP_CipherFinal_ex(r->in.ctx, none, &made) == 1;
}
