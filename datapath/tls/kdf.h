/*
 * The key schedule of TLS 1.3 (RFC 8446 7.1) as an algorithm that OpenSSL's handshake calls. Its own looks up hash and
 * HMAC by name and allocates for each of some thirty keys and secrets of a handshake; here they are there.
 *
 * Lifetime: struct rg_tls_kdf belongs to a library of OpenSSL (library.h) and outlives all that is done in it. Thread:
 * one, the worker's.
 */
#ifndef RG_TLS_KDF_H
#define RG_TLS_KDF_H

#include "datapath/tls/keys.h"

/*
 * For those who look algorithms up: this one, where it is there. A property of its own: one called `provider` would
 * take the place of what the administrator's openssl.cnf says of providers.
 */
#define RG_TLS_KDF_PREFERRED "?ringgate.schedule=yes"

/* Of one hash. */
struct rg_tls_schedule {
    EVP_MAC_CTX *hmac;
    unsigned char of_nothing[EVP_MAX_MD_SIZE]; /* the hash of no bytes */
    size_t bytes;
    bool keyed; /* with a secret, which is to be forgotten */
};

struct rg_tls_kdf {
    OSSL_PROVIDER *provider;
    struct rg_tls_schedule sha256, sha384;
    /* Told the secrets that the records of data follow from, the server's and the client's. NULL: nobody. */
    void (*tell)(void *told, bool server, const unsigned char *secret, size_t n);
    void *told;
};

/*
 * Makes it known to that library, which must not be the default one. -EEXIST: another is used, OpenSSL's own or one
 * that the administrator has set up (FIPS): ours takes the place of OpenSSL's default provider alone. -ENOMEM: the
 * library has none, or lacks what it needs, and no handshake would succeed. Whatever it is, the caller ends it before
 * the library is freed. Not by two threads at a time.
 */
int rg_tls_kdf_init(struct rg_tls_kdf *kdf, OSSL_LIB_CTX *library);
void rg_tls_kdf_fini(struct rg_tls_kdf *kdf);
/* No secret that it was given stays in it. */
void rg_tls_kdf_forget(struct rg_tls_kdf *kdf);

#endif
