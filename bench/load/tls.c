/*
 * OpenSSL between two pieces of memory: its BIO reads what was received from where it was received, and writes records
 * to where they are sent from. Thread: that of the worker.
 */
#include "bench/load/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "bench/load/tally.h"

enum {
    OVERHEAD = 512,         /* of a record, and of an alert or an update of keys beside it */
    MANY_CONNECTIONS = 1000 /* from so many on their memory is more worth than the time to get and return it */
};

/* ---- the BIO ---- */

static int bio_write(BIO *bio, const char *data, int n)
{
    struct rg_tls *t = BIO_get_data(bio);
    if (n < 0 || (size_t)n > RG_TLS_OUT - t->out_length)
        return -1; /* callers leave room: only a peer that never stops asking for new keys comes here */
    memcpy(t->out + t->out_length, data, (size_t)n);
    t->out_length += (size_t)n;
    return n;
}

static int bio_read(BIO *bio, char *to, int n)
{
    struct rg_tls *t = BIO_get_data(bio);
    size_t part = n > 0 && (size_t)n < t->in_left ? (size_t)n : t->in_left;
    BIO_clear_retry_flags(bio);
    if (part == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, t->in, part);
    t->in += part;
    t->in_left -= part;
    return (int)part;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory");
    if (!m)
        return NULL;
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
}

/* ---- the context ---- */

/* Called when a ticket or a session arrives: of TLS 1.3 that is after the handshake, and may be more than once. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct rg_tls *t = SSL_get_app_data(ssl);
    SSL_SESSION_free(t->session);
    t->session = session;
    return 1; /* the reference is ours */
}

/* Without it OpenSSL builds and checks the chain all the same, and then does not mind. */
static int accept_certificate(X509_STORE_CTX *chain, void *unused)
{
    (void)chain;
    (void)unused;
    return 1;
}

static bool set_cipher(SSL_CTX *ctx, const struct rg_load_options *o)
{
    if (!o->tls_cipher)
        return true;
    return o->tls_version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(ctx, o->tls_cipher) == 1
                                            : SSL_CTX_set_cipher_list(ctx, o->tls_cipher) == 1;
}

int rg_tls_context_init(struct rg_tls_context *x, const struct rg_load_options *o)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    *x = (struct rg_tls_context){.ctx = SSL_CTX_new(TLS_client_method()), .method = make_method(), .options = o};
    int rc = -ENOMEM;
    if (!x->ctx || !x->method)
        goto failed;
    rc = -EINVAL;
    if (!SSL_CTX_set_min_proto_version(x->ctx, o->tls_version) ||
        !SSL_CTX_set_max_proto_version(x->ctx, o->tls_version) || !set_cipher(x->ctx, o) ||
        SSL_CTX_set_alpn_protos(x->ctx, protocols, sizeof protocols - 1) != 0)
        goto failed;
    SSL_CTX_set_verify(x->ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(x->ctx, accept_certificate, NULL);
    SSL_CTX_set_options(x->ctx, SSL_OP_NO_RENEGOTIATION);
    if (o->connections >= MANY_CONNECTIONS)
        SSL_CTX_set_mode(x->ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(x->ctx, o->tls_resume ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                                         : SSL_SESS_CACHE_OFF);
    if (o->tls_resume)
        SSL_CTX_sess_set_new_cb(x->ctx, keep_session);
    return 0;
failed:
    rg_tls_context_fini(x);
    return rc;
}

void rg_tls_context_fini(struct rg_tls_context *x)
{
    SSL_CTX_free(x->ctx);
    BIO_meth_free(x->method);
    *x = (struct rg_tls_context){0};
}

/* ---- a connection ---- */

int rg_tls_begin(struct rg_tls *t, const struct rg_tls_context *x)
{
    BIO *bio = BIO_new(x->method);
    t->ssl = SSL_new(x->ctx);
    t->in_left = t->out_length = t->out_sent = 0;
    t->sending = t->closed = false;
    if (!bio || !t->ssl) {
        BIO_free(bio);
        rg_tls_end(t);
        return -ENOMEM;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    SSL_set_connect_state(t->ssl);
    if (x->options->sni)
        SSL_set_tlsext_host_name(t->ssl, x->options->sni);
    if (t->session)
        SSL_set_session(t->ssl, t->session);
    return 0;
}

void rg_tls_end(struct rg_tls *t)
{
    /* Without it OpenSSL takes the connection as broken off, and its session as one that must not be resumed. */
    if (t->ssl)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    t->ssl = NULL;
}

void rg_tls_fini(struct rg_tls *t)
{
    rg_tls_end(t);
    SSL_SESSION_free(t->session);
    t->session = NULL;
}

void rg_tls_give(struct rg_tls *t, const char *data, size_t n)
{
    t->in = data;
    t->in_left = n;
}

static enum rg_tls_step step_of(struct rg_tls *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return RG_TLS_WANTS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        t->closed = true;
        return RG_TLS_WANTS_MORE;
    default:
        return RG_TLS_FAILED;
    }
}

enum rg_tls_step rg_tls_handshake(struct rg_tls *t)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    return rc == 1 ? RG_TLS_DONE : step_of(t, rc);
}

enum rg_tls_step rg_tls_read(struct rg_tls *t, char *to, size_t size, size_t *ret_n)
{
    ERR_clear_error();
    int rc = SSL_read_ex(t->ssl, to, size, ret_n);
    return rc == 1 ? RG_TLS_DONE : step_of(t, rc);
}

size_t rg_tls_write(struct rg_tls *t, const char *data, size_t n)
{
    size_t room, written;
    if (!t->sending && t->out_sent == t->out_length)
        t->out_sent = t->out_length = 0;
    room = RG_TLS_OUT - t->out_length;
    room = room > OVERHEAD ? room - OVERHEAD : 0;
    n = n < room ? n : room;
    n = n < RG_TLS_RECORD ? n : RG_TLS_RECORD;
    ERR_clear_error();
    return n && SSL_write_ex(t->ssl, data, n, &written) == 1 ? written : 0;
}

const char *rg_tls_why(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "TLS failed";
}

/* ---- counting ---- */

static void name_group(SSL *ssl, char *to, size_t size)
{
    const char *name = SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));
    snprintf(to, size, "%s", name ? name : "");
}

void rg_tls_count(const struct rg_tls *t, struct rg_tally *tally, uint64_t now)
{
    bool resumed = SSL_session_reused(t->ssl) == 1;
    rg_histogram_add(resumed ? &tally->resumed : &tally->full, now > t->start ? now - t->start : 0);
    if (tally->tls.version)
        return;
    tally->tls.version = SSL_get_version(t->ssl);
    tally->tls.cipher = SSL_get_cipher_name(t->ssl);
    name_group(t->ssl, tally->tls.group, sizeof tally->tls.group);
}
