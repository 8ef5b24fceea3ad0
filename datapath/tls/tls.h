/*
 * The TLS session of one connection, to a client or a server, as bytes in and bytes out: what was received goes in,
 * plaintext comes out; plaintext that is to be sent goes in, records come out. It touches no socket (socket_tls.c does)
 * and knows no HTTP.
 *
 * Lifetime: made with the connection, before anything has come; OpenSSL's part only with the first byte, so that a
 * client that says nothing costs next to nothing, and only until the handshake with a client is done (takeover.c).
 * Freed by its owner, the socket. Thread: the worker's.
 */
#ifndef RG_TLS_H
#define RG_TLS_H

#include "datapath/base/buf.h"
#include "datapath/base/list.h"
#include "datapath/base/metric.h"
#include "datapath/base/pool.h"

#define RG_TLS_RECORD 16384u /* most plaintext of a record */

struct rg_tls_kdf;
struct rg_tls_records;
struct rg_tls_store;
struct rg_tls_tools;
struct ssl_st; /* OpenSSL's */
struct ssl_session_st;

/* Of a client: the session that the next handshake with the same server resumes. NULL: none. See client.h. */
struct rg_tls_memory {
    struct ssl_session_st *session;
};

/* What the sessions of a worker share. */
struct rg_tls_env {
    struct rg_bufs *bufs;
    struct rg_metrics *metrics;
    const struct rg_tls_store *store; /* of the settings in use; NULL: no listener speaks TLS */
    uint16_t worker;
    uint16_t budget;        /* handshake steps that may still be made in this turn */
    struct rg_list waiting; /* sessions that go on at the end of the turn, the longest waiting first */
    struct rg_pool sessions, records;
    struct rg_tls_kdf *kdf;            /* kdf.h; NULL: none, as for the next */
    struct rg_tls_tools *tools;        /* keys.h; NULL: none (yet), sessions stay OpenSSL's */
    char scratch[RG_TLS_RECORD + 256]; /* for pieces that lie apart, and plaintext without a block, padding included */
};

enum rg_tls_state {
    RG_TLS_START, /* nothing has been received */
    RG_TLS_SHAKING,
    RG_TLS_OPEN,
    RG_TLS_ENDED,  /* the peer has said that it sends no more */
    RG_TLS_BROKEN, /* an alert may be in `wire` */
};

/* Why a handshake failed; the labels are those of ringgate_tls_handshake_failures_total. */
enum rg_tls_failure {
    RG_TLS_FAIL_NONE,
    RG_TLS_FAIL_NOT_TLS,
    RG_TLS_FAIL_VERSION,
    RG_TLS_FAIL_CIPHER,
    RG_TLS_FAIL_ALPN,
    RG_TLS_FAIL_CERTIFICATE, /* the peer's */
    RG_TLS_FAIL_ALERT,       /* the peer gave up, and said so */
    RG_TLS_FAIL_MALFORMED,
    RG_TLS_FAIL_MEMORY,
    RG_TLS_FAIL_CLOSED, /* the peer left in the middle */
    RG_TLS_FAIL_TIMEOUT,
    RG_TLS_FAIL_COUNT
};

enum rg_tls_protocol { RG_TLS_NO_ALPN, RG_TLS_HTTP11, RG_TLS_H2 }; /* what ALPN has agreed on */

struct rg_tls {
    struct ssl_st *ssl; /* NULL in RG_TLS_START, and when `records` have taken its place */
    struct rg_tls_records *records;
    struct rg_tls_env *env;
    void *owner;                  /* the socket */
    struct rg_tls_memory *memory; /* of a client */
    const char *cause;            /* why it failed, in OpenSSL's words, a constant; NULL: it has none */
    char *subject;                /* of the client's certificate, RFC 2253; NULL: it has shown none */
    const char *version, *cipher; /* that were agreed on, constants; NULL: not yet, or it is OpenSSL's */
    char *name;                   /* that the client asked for; likewise */
    struct rg_list waiting;       /* env->waiting */
    struct rg_input net;          /* received, not yet decrypted */
    struct rg_output wire;        /* records to be sent */
    uint8_t listener;
    uint8_t state;   /* enum rg_tls_state */
    uint8_t failure; /* enum rg_tls_failure */
    bool fin;        /* nothing more will be received */
    bool noted;      /* the end of our side has been told */
    bool is_server;
    bool resumed;
    uint8_t agreed; /* enum rg_tls_protocol */
};

enum rg_tls_event {
    RG_TLS_NOTHING,  /* more must be received first */
    RG_TLS_LATER,    /* goes on at the end of the turn, through env->waiting */
    RG_TLS_DATA,     /* plaintext was added */
    RG_TLS_SECURE,   /* the handshake is done; plaintext may have been added */
    RG_TLS_END,      /* the peer sends no more, in order */
    RG_TLS_CUT,      /* likewise, without having said so: what it sent may not be whole */
    RG_TLS_FAILED,   /* `failure` says why */
    RG_TLS_PLAINTEXT /* the peer speaks HTTP in the clear: `net` is what it said */
};

void rg_tls_env_init(struct rg_tls_env *env, struct rg_bufs *bufs, struct rg_metrics *metrics, uint16_t worker);
void rg_tls_env_fini(struct rg_tls_env *env);
/* The contexts that clients are served with from now on; NULL: none. */
void rg_tls_env_use(struct rg_tls_env *env, const struct rg_tls_store *store);
/* What sessions with clients need of OpenSSL: made with the first store, for whom none is set pays nothing. */
void rg_tls_env_equip(struct rg_tls_env *env);

/* A session with a client of the listener. NULL: no memory. */
struct rg_tls *rg_tls_accept(struct rg_tls_env *env, uint8_t listener, void *owner);
void rg_tls_destroy(struct rg_tls *t); /* NULL is fine */

/* Goes on with what is in `net`; plaintext is added to `in`. */
enum rg_tls_event rg_tls_run(struct rg_tls *t, struct rg_input *in);
/* Moves plaintext from `out` into records, as many as one send should have. false: no memory, or broken. */
bool rg_tls_seal(struct rg_tls *t, struct rg_output *out);
/* Tells the peer that nothing more comes; after everything that was sealed. false: it can't be told. */
bool rg_tls_note_end(struct rg_tls *t);
/* It goes on at the end of the turn. */
void rg_tls_later(struct rg_tls *t);

/* Of a handshake with a client that was just done: what is to be sent are tickets, which it does not wait for. */
bool rg_tls_has_only_tickets(const struct rg_tls *t);
/* Of a server: nothing of a record is left that was not told: what comes next belongs to what is said next. */
bool rg_tls_is_between(const struct rg_tls *t);

enum rg_tls_protocol rg_tls_agreed(const struct rg_tls *t);
bool rg_tls_resumed(const struct rg_tls *t);
/* For logs: "TLSv1.3", "TLS_AES_128_GCM_SHA256", the name that the client asked for ("" when none). Valid with it. */
struct rg_str rg_tls_client_subject(const struct rg_tls *t);
struct rg_str rg_tls_version_name(const struct rg_tls *t);
struct rg_str rg_tls_cipher_name(const struct rg_tls *t);
struct rg_str rg_tls_server_name(const struct rg_tls *t);

#endif
