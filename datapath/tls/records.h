/*
 * Records of an open session, with keys of its own: one struct rg_tls_records has what takes the place of OpenSSL's SSL
 * when a handshake with a client is over. Records of TLS 1.3 (RFC 8446 5) and of TLS 1.2 with AEAD (RFC 5246 6.2.3.3,
 * RFC 5288, RFC 7905).
 *
 * Lifetime: belongs to its struct rg_tls, which frees it. Thread: the worker's.
 */
#ifndef RG_TLS_RECORDS_H
#define RG_TLS_RECORDS_H

#include "datapath/tls/keys.h"
#include "datapath/tls/tls.h"

#define RG_TLS_HEADER   5u
#define RG_TLS_TAG      16u
#define RG_TLS_EXPLICIT 8u                                             /* of a nonce, with GCM in TLS 1.2 */
#define RG_TLS_OVERHEAD (RG_TLS_HEADER + RG_TLS_EXPLICIT + RG_TLS_TAG) /* most of a record that we make */

enum rg_tls_type { RG_TLS_CHANGE_CIPHER = 20, RG_TLS_ALERT = 21, RG_TLS_HANDSHAKE = 22, RG_TLS_APPLICATION = 23 };

/* One direction. */
struct rg_tls_half {
    EVP_CIPHER_CTX *ctx;
    uint64_t sequence;
    unsigned char iv[RG_TLS_IV];
    unsigned char secret[RG_TLS_SECRET_MAX]; /* TLS 1.3: the next keys follow from it */
};

struct rg_tls_records {
    struct rg_tls_half in, out;
    struct rg_tls_suite suite;
    char *held;                   /* of a record that is not complete: received, and in `net` no longer */
    uint32_t held_at, held_bytes; /* ... of which this much is used, and there */
    uint32_t held_cap;
    bool is_13;
    bool explicit_nonce;
    bool has_in, has_out; /* the handshake has told the secret */
    bool update_owed;     /* a KeyUpdate goes before the next data */
    uint8_t idle;         /* records without data, one after the other */
    uint8_t message_len;  /* of a handshake message that is coming in pieces */
    unsigned char message[5];
};

/* The secrets are set (TLS 1.3), or the keys given (TLS 1.2: key and the fixed part of the nonce). */
bool rg_tls_half_rekey(struct rg_tls_half *half, const struct rg_tls_suite *suite, bool seals);
bool rg_tls_half_set(struct rg_tls_half *half, const struct rg_tls_suite *suite, bool seals, const unsigned char *key,
                     const unsigned char *iv, size_t iv_len);
/* The keys after these (RFC 8446 7.2). */
bool rg_tls_half_update(struct rg_tls_half *half, const struct rg_tls_suite *suite, bool seals);
void rg_tls_half_fini(struct rg_tls_half *half);

/* How many bytes a record of n bytes of plaintext takes. */
uint32_t rg_tls_record_size(const struct rg_tls_records *r, uint32_t n);
/* Makes a record of the first n bytes of what iov leads to, which has no more than RG_TLS_RECORD. */
bool rg_tls_record_make(struct rg_tls_records *r, enum rg_tls_type type, const struct iovec *iov, uint32_t n, char *to);

/* The steps of opening one: its header and what else is not encrypted, ciphertext in pieces, the tag. What came out
 * before the tag was found right is nobody's. */
bool rg_tls_record_begin(struct rg_tls_records *r, const unsigned char header[RG_TLS_HEADER],
                         const unsigned char *explicit_nonce, uint32_t plain);
bool rg_tls_record_piece(struct rg_tls_records *r, const char *from, uint32_t n, char *to);
bool rg_tls_record_end(struct rg_tls_records *r, unsigned char tag[RG_TLS_TAG]);

void rg_tls_records_destroy(struct rg_tls_env *env, struct rg_tls_records *r); /* NULL is fine */

#endif
