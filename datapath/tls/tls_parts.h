/* What the files of TLS share, with OpenSSL's types: session.c (a connection), bio.c (its bytes), context.c (how it is
 * made), store.c (the contexts of all listeners), client.c (how it is spoken to a server), takeover.c and open.c (an
 * open session without OpenSSL's). Thread: see each file's header. */
#ifndef RG_TLS_PARTS_H
#define RG_TLS_PARTS_H

#include <openssl/ssl.h>

#include "datapath/tls/names.h"
#include "datapath/tls/store.h"
#include "datapath/tls/tls.h"

#define RG_TLS_CONTEXTS_MAX 64 /* of a listener: different sets of certificates that names lead to */

/* Towards clients and servers alike. */
#define RG_TLS_CIPHERS_12                                                                      \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define RG_TLS_CIPHERS_13     "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define RG_TLS_SECURITY_LEVEL 2 /* 112 bits: RSA from 2048, no SHA-1, nothing anonymous or without encryption */

/* bio.c. NULL: no memory. The BIO reads from t->net and writes to t->wire. */
BIO *rg_tls_bio(struct rg_tls *t);

/* session.c. The session is broken; what it was about to read is dropped. */
enum rg_tls_event rg_tls_fail(struct rg_tls *t, enum rg_tls_failure failure);

/* takeover.c. Sessions of the context can be taken over; and one whose handshake is done is: t->ssl is NULL then. It
 * stays OpenSSL's where it does what is not done here. */
void rg_tls_takeover_prepare(SSL_CTX *context);
/* A step of the handshake with a client, as SSL_do_handshake; what it tells of keys is noted. */
int rg_tls_takeover_watch(struct rg_tls *t);
void rg_tls_take_over(struct rg_tls *t);

/* open.c. A session that was taken over: what rg_tls_run, rg_tls_seal and rg_tls_note_end are for it. */
enum rg_tls_event rg_tls_open_run(struct rg_tls *t, struct rg_input *in);
uint32_t rg_tls_open_seal(struct rg_tls *t, const struct rg_output *out); /* bytes in one record; 0: no room */
bool rg_tls_open_note_end(struct rg_tls *t);

/* A listener's certificates, parsed. */
struct rg_tls_pair {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

/* What the authority says of a certificate, as it is sent. */
struct rg_tls_staple {
    unsigned char *der;
    int len; /* 0: nothing */
};

/* Contexts of one listener: names lead to one, the first is the default. */
struct rg_tls_site {
    unsigned refs;             /* stores that have it; the control thread's */
    int64_t expiry_s;          /* of the Unix clock: of its first certificate to expire */
    struct rg_tls_names names; /* to the index of a context */
    uint16_t n_contexts;
    uint32_t certificates[RG_TLS_CONTEXTS_MAX]; /* a bit for each that the context has */
    int kinds[RG_TLS_CERTIFICATES_MAX];         /* of their keys */
    struct rg_tls_staple staples[RG_TLS_CERTIFICATES_MAX];
    unsigned char alpn[64]; /* in our order, as on the wire */
    uint8_t alpn_len;
    SSL_CTX **contexts; /* n_contexts for each worker */
};

/* store.c. NULL: this listener has none. */
const struct rg_tls_site *rg_tls_site_of(const struct rg_tls_store *store, unsigned listener);
const struct rg_tls_keys *rg_tls_keys_of(const struct rg_tls_store *store);

static inline SSL_CTX *rg_tls_context_at(const struct rg_tls_site *site, unsigned worker, unsigned context)
{
    return site->contexts[worker * site->n_contexts + context];
}

/* store.c. The next certificate of a text in PEM; read: PEM_read_bio_X509 or its like. NULL: there is none. */
X509 *rg_tls_read_certificate(OSSL_LIB_CTX *library, BIO *bio,
                              X509 *(*read)(BIO *bio, X509 **x, pem_password_cb *cb, void *arg));

/* context.c. Certificates are the caller's to add. The library is that of the worker (library.h). */
SSL_CTX *rg_tls_context_create(OSSL_LIB_CTX *library, const struct rg_tls_source *source, unsigned listener,
                               uint32_t lifetime_s, struct rg_tls_fault *fault);
/* Of the context in use when the handshake begins; later callbacks find theirs by the session. */
SSL_CTX *rg_tls_first_context(const struct rg_tls_env *env, unsigned listener);

#endif
