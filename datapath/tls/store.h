/*
 * What the listeners that speak TLS have in common for one generation of settings: contexts with certificates, by name,
 * and the keys of session tickets. Each worker has contexts of its own, so that none writes what another reads.
 *
 * Lifetime: made by the control thread, immutable, published with the settings (rg_settings.tls) and destroyed with
 * them, when no worker reads them any more. A session in the middle of its handshake keeps the context it began with
 * alive.
 */
#ifndef RG_TLS_STORE_H
#define RG_TLS_STORE_H

#include "datapath/settings.h"

#define RG_TLS_KEYS_MAX       8
#define RG_TLS_KEY_NAME_BYTES 16
#define RG_TLS_KEY_BYTES      80 /* of one key, in a file: name, key of the MAC, key of the cipher */

struct rg_tls_key {
    unsigned char name[RG_TLS_KEY_NAME_BYTES];
    unsigned char mac[32];
    unsigned char cipher[32];
};

/* Of session tickets. The first one seals new tickets, the others still open older ones. */
struct rg_tls_keys {
    unsigned n; /* 0: no tickets */
    uint32_t lifetime_s;
    struct rg_tls_key list[RG_TLS_KEYS_MAX];
};

/* The files of one listener, as they were read. */
struct rg_tls_source {
    const struct rg_tls_settings *settings; /* n_certificates 0: the listener speaks no TLS */
    bool http2;                             /* may be agreed on */
    struct rg_str cert[RG_TLS_CERTIFICATES_MAX], key[RG_TLS_CERTIFICATES_MAX], ocsp[RG_TLS_CERTIFICATES_MAX];
    struct rg_str client_ca;
};

enum rg_tls_place {
    RG_TLS_AT_LISTENER,
    RG_TLS_AT_CERT,
    RG_TLS_AT_KEY,
    RG_TLS_AT_OCSP,
    RG_TLS_AT_CLIENT_CA,
    RG_TLS_AT_CIPHERS,
    RG_TLS_AT_TICKET_KEYS
};

/* What is wrong with a source, in the words of a configuration error. */
struct rg_tls_fault {
    enum rg_tls_place place;
    unsigned listener, certificate;
    char got[320];
    const char *wanted, *remedy; /* remedy: NULL when there is none */
};

/* A certificate that can be used and should not be. */
struct rg_tls_notice {
    unsigned listener, certificate;
    const char *file;
    bool expired; /* else: not valid yet */
    char when[32];
};

struct rg_tls_reports {
    void (*fault)(const struct rg_tls_fault *fault, void *arg);
    void (*notice)(const struct rg_tls_notice *notice, void *arg); /* NULL: nobody wants to know */
    void *arg;
};

struct rg_tls_store;

/* Every fault is reported; -EINVAL then, *ret is untouched. -ENOMEM without a report. */
int rg_tls_store_create(struct rg_tls_store **ret, const struct rg_tls_source *sources, unsigned n, uint16_t workers,
                        const struct rg_tls_keys *keys, const struct rg_tls_reports *reports);
/* The same certificates with other keys; both stores may be used, by one thread. */
int rg_tls_store_rekey(struct rg_tls_store **ret, const struct rg_tls_store *store, const struct rg_tls_keys *keys);
/* When the first of its certificates expires, in seconds since 1970; 0: NULL. */
uint64_t rg_tls_store_expiry(const struct rg_tls_store *store);
void rg_tls_store_destroy(struct rg_tls_store *store); /* NULL is fine */

/* Keys as a file has them. false: not whole keys, none, or too many. */
bool rg_tls_keys_parse(struct rg_str bytes, struct rg_tls_keys *ret);
/* Random ones. Negative errno. */
int rg_tls_key_make(struct rg_tls_key *ret);
void rg_tls_keys_wipe(struct rg_tls_keys *keys);

#endif
