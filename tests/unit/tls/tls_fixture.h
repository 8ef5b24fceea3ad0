/*
 * Certificates made for the test, a store of them, and the two ends of a connection in memory: our session, and
 * OpenSSL's own client, whose records go through the test's hands.
 */
#ifndef RG_TEST_TLS_FIXTURE_H
#define RG_TEST_TLS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "datapath/tls/store.h"
#include "datapath/tls/tls.h"

struct pem {
    char *cert, *key;
};

enum key_kind { KEY_EC, KEY_RSA, KEY_RSA_SMALL };

/* names: "DNS:a.example,DNS:*.b.example"; NULL: none but the common name. Valid from -1 day to `days` from now. */
struct pem make_pem(enum key_kind kind, const char *common, const char *names, int days);
void free_pem(struct pem *p);
char *encrypt_key(enum key_kind kind); /* a key with a passphrase, as PEM */

struct site { /* one listener */
    struct rg_tls_settings settings;
    struct rg_tls_source source;
    struct rg_tls_keys keys;
    struct rg_tls_store *store;
    struct rg_tls_fault fault; /* the last one */
    unsigned faults, notices;
    struct rg_tls_notice notice;
};

void add_pair(struct site *s, const struct pem *p);
int build(struct site *s, uint16_t workers);
void drop_site(struct site *s);

struct pair {
    struct rg_tls *server;
    struct rg_input in; /* plaintext that the server got */
    SSL_CTX *context;
    SSL *client;
    BIO *to_client, *from_client;
};

extern struct rg_bufs bufs;
extern struct rg_tls_env env;
int make_env(void **state);
int drop_env(void **state);

/* version: of the client, 0: any. name: NULL: none. session: to be resumed, or NULL. */
void connect_pair(struct pair *p, int version, const char *name);
void drop_pair(struct pair *p);
void feed(struct pair *p, const char *data, size_t n); /* to the server, as received; does not run it */
size_t take_from_client(struct pair *p, char *to, size_t cap);
void give_to_client(struct pair *p); /* what the server wants to send */
/* Both ends until neither has anything to say; true: both are done. Pieces of at most `step` bytes reach the server. */
bool shake_hands(struct pair *p, size_t step);
/* As many bytes of plaintext as the server has got, which are dropped then. */
size_t take_plaintext(struct pair *p, char *to, size_t cap);

#endif
