/* See tls.h. In the order of a session's life: first bytes, handshake, records in, records out, the end. */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "datapath/tls/client.h"
#include "datapath/tls/keys.h"
#include "datapath/tls/library.h"
#include "datapath/tls/tls_parts.h"
#include "datapath/tls/records.h"

#define POOL_CHUNK    (256u * 1024)
#define SESSIONS_MAX  (1ull << 32)        /* as many as there are connections */
#define WIRE_HIGH     (3 * RG_TLS_RECORD) /* three full records and their framing lie in one block */
#define HANDSHAKE     0x16                /* type of the record that a client begins with */
#define SHAKING_BYTES (96u * 1024)        /* more than any handshake of a client, its certificates included */

void rg_tls_env_init(struct rg_tls_env *env, struct rg_bufs *bufs, struct rg_metrics *metrics, uint16_t worker)
{
    env->bufs = bufs;
    env->metrics = metrics;
    env->store = NULL;
    env->worker = worker;
    env->budget = 0;
    rg_list_init(&env->waiting);
    rg_pool_init(&env->sessions, sizeof(struct rg_tls), POOL_CHUNK, SESSIONS_MAX);
    rg_pool_init(&env->records, sizeof(struct rg_tls_records), POOL_CHUNK, SESSIONS_MAX);
    env->kdf = NULL;
    env->tools = NULL;
}

void rg_tls_env_equip(struct rg_tls_env *env)
{
    if (env->tools)
        return;
    env->kdf = rg_tls_kdf_of(env->worker);
    env->tools = rg_tls_tools_create(rg_tls_library_of(env->worker));
    ERR_clear_error(); /* of ciphers that this OpenSSL does not have */
}

void rg_tls_env_use(struct rg_tls_env *env, const struct rg_tls_store *store)
{
    env->store = store;
    if (store)
        rg_tls_env_equip(env);
}

void rg_tls_env_fini(struct rg_tls_env *env)
{
    rg_pool_fini(&env->sessions);
    rg_pool_fini(&env->records);
    rg_tls_tools_destroy(env->tools);
}

struct rg_tls *rg_tls_accept(struct rg_tls_env *env, uint8_t listener, void *owner)
{
    struct rg_tls *t = rg_pool_get(&env->sessions);
    if (!t)
        return NULL;
    *t = (struct rg_tls){.env = env, .owner = owner, .listener = listener, .is_server = true};
    rg_list_init(&t->waiting);
    return t;
}

void rg_tls_destroy(struct rg_tls *t)
{
    if (!t)
        return;
    rg_list_remove(&t->waiting);
    /* Else OpenSSL would hold that a session whose connection just ended must not be resumed. */
    if (t->memory && t->state != RG_TLS_BROKEN)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    rg_tls_records_destroy(t->env, t->records);
    OPENSSL_free(t->subject);
    OPENSSL_free(t->name);
    rg_input_clear(&t->net);
    rg_output_clear(&t->wire);
    rg_pool_put(&t->env->sessions, t);
}

void rg_tls_later(struct rg_tls *t)
{
    if (rg_list_empty(&t->waiting))
        rg_list_append(&t->env->waiting, &t->waiting);
}

/* ---- failures ---- */

static enum rg_tls_failure meaning_of(unsigned long error)
{
    int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    if (reason > SSL_AD_REASON_OFFSET)
        return RG_TLS_FAIL_ALERT;
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_INAPPROPRIATE_FALLBACK:
        return RG_TLS_FAIL_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_CIPHERS_SPECIFIED:
        return RG_TLS_FAIL_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return RG_TLS_FAIL_ALPN;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return RG_TLS_FAIL_CERTIFICATE;
    default:
        return RG_TLS_FAIL_MALFORMED;
    }
}

/* The queue of errors is the thread's: it must be empty when the next call asks what went wrong. */
static void forget_errors(void)
{
    if (RG_UNLIKELY(ERR_peek_error() != 0))
        ERR_clear_error();
}

/* Of a server: what the operator reads. Whatever was agreed on with it before is not asked for again. */
static RG_COLD void note_cause(struct rg_tls *t)
{
    unsigned long error = ERR_peek_error();
    long verdict = SSL_get_verify_result(t->ssl);
    if (t->failure == RG_TLS_FAIL_CERTIFICATE && verdict != X509_V_OK)
        t->cause = X509_verify_cert_error_string(verdict);
    else if (t->failure == RG_TLS_FAIL_CLOSED)
        t->cause = "closed in the middle of the handshake";
    else if (error != 0)
        t->cause = ERR_reason_error_string(error);
    rg_tls_memory_forget(t->memory);
}

enum rg_tls_event rg_tls_fail(struct rg_tls *t, enum rg_tls_failure failure)
{
    t->state = RG_TLS_BROKEN;
    if (t->failure == RG_TLS_FAIL_NONE)
        t->failure = (uint8_t)failure;
    if (t->memory)
        note_cause(t);
    forget_errors();
    rg_input_clear(&t->net);
    return RG_TLS_FAILED;
}

static enum rg_tls_event fail_by_error(struct rg_tls *t)
{
    unsigned long error = ERR_peek_error();
    return rg_tls_fail(t, error ? meaning_of(error) : RG_TLS_FAIL_MALFORMED);
}

/* ---- the first bytes ---- */

static bool begin(struct rg_tls *t)
{
    SSL_CTX *context = rg_tls_first_context(t->env, t->listener);
    BIO *bio = NULL;
    if (!context)
        return false;
    t->ssl = SSL_new(context);
    if (!t->ssl || !(bio = rg_tls_bio(t)))
        return false;
    SSL_set_bio(t->ssl, bio, bio); /* takes it over */
    SSL_set_app_data(t->ssl, t);
    SSL_set_accept_state(t->ssl);
    t->state = RG_TLS_SHAKING;
    return true;
}

/* A client that speaks HTTP in the clear gets an answer that it understands; anything else that is no TLS gets none. */
static enum rg_tls_event look_at_first(struct rg_tls *t)
{
    struct rg_str front = rg_input_front(&t->net);
    if (front.len == 0)
        return RG_TLS_NOTHING;
    unsigned char first = (unsigned char)front.ptr[0];
    if (first >= 'A' && first <= 'Z')
        return RG_TLS_PLAINTEXT;
    if (first != HANDSHAKE)
        return rg_tls_fail(t, RG_TLS_FAIL_NOT_TLS);
    if (!begin(t))
        return rg_tls_fail(t, RG_TLS_FAIL_MEMORY);
    return RG_TLS_SECURE; /* it may go on */
}

/* ---- the handshake ---- */

#define SUBJECT_MAX 1024

/* Escaped, so that it is visible ASCII whatever stands in the certificate. false: too long, or no memory. */
static bool note_subject(struct rg_tls *t)
{
    X509 *peer = SSL_get0_peer_certificate(t->ssl);
    if (!peer)
        return true;
    if (SSL_get_verify_result(t->ssl) != X509_V_OK)
        return false;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long n = -1;
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(peer), 0, XN_FLAG_RFC2253) >= 0)
        n = BIO_get_mem_data(bio, &text);
    if (n >= 0 && n <= SUBJECT_MAX)
        t->subject = OPENSSL_strndup(text, (size_t)n);
    BIO_free(bio);
    return t->subject;
}

static enum rg_tls_protocol protocol_of(const SSL *ssl)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(ssl, &name, &len);
    if (len == 2 && memcmp(name, "h2", 2) == 0)
        return RG_TLS_H2;
    return len > 0 ? RG_TLS_HTTP11 : RG_TLS_NO_ALPN;
}

static enum rg_tls_event shake(struct rg_tls *t)
{
    if (t->is_server && t->env->budget == 0) {
        rg_tls_later(t);
        return RG_TLS_LATER;
    }
    if (t->is_server)
        t->env->budget--;
    int r = t->is_server ? rg_tls_takeover_watch(t) : SSL_do_handshake(t->ssl);
    if (r == 1) {
        if (t->is_server && !note_subject(t))
            return rg_tls_fail(t, RG_TLS_FAIL_CERTIFICATE);
        t->state = RG_TLS_OPEN;
        t->agreed = (uint8_t)protocol_of(t->ssl);
        t->resumed = SSL_session_reused(t->ssl);
        if (t->is_server)
            rg_tls_take_over(t);
        forget_errors();
        return RG_TLS_SECURE;
    }
    int error = SSL_get_error(t->ssl, r);
    if (error == SSL_ERROR_WANT_READ && t->net.bytes < SHAKING_BYTES) {
        forget_errors();
        return RG_TLS_NOTHING;
    }
    return error == SSL_ERROR_WANT_WRITE ? rg_tls_fail(t, RG_TLS_FAIL_MEMORY) : fail_by_error(t);
}

/* ---- records in ---- */

static bool more_is_there(const struct rg_tls *t)
{
    return t->net.bytes > 0 || SSL_pending(t->ssl) > 0;
}

/* Plaintext is shorter than the records it comes in. */
static struct rg_buf *block_for(struct rg_tls *t)
{
    struct rg_buf *b = t->net.bytes > RG_BUF_SMALL_CAP ? rg_buf_get_bulk(t->env->bufs) : NULL;
    return b ? b : rg_buf_get_small(t->env->bufs);
}

/* Without a block for the plaintext: reading a record frees those that it came in. false: not even then. */
static bool open_by_scratch(struct rg_tls *t, struct rg_input *in, int *r)
{
    *r = SSL_read(t->ssl, t->env->scratch, (int)RG_BUF_SMALL_CAP);
    if (*r <= 0)
        return true;
    struct rg_buf *b = block_for(t);
    if (!b)
        return false;
    memcpy(b->data, t->env->scratch, (size_t)*r);
    b->len = (uint32_t)*r;
    rg_input_push(in, b);
    return true;
}

/* Fills blocks until a read brings nothing; *r is what it returned, 1 when all there is has been read. false: no
 * memory.
 */
static bool open_records(struct rg_tls *t, struct rg_input *in, int *r)
{
    *r = 1;
    while (*r > 0 && more_is_there(t)) {
        struct rg_buf *b = block_for(t);
        if (RG_UNLIKELY(!b)) {
            if (!open_by_scratch(t, in, r))
                return false;
            continue;
        }
        while (b->len < b->cap && more_is_there(t)) {
            *r = SSL_read(t->ssl, b->data + b->len, (int)(b->cap - b->len));
            if (*r <= 0)
                break;
            b->len += (uint32_t)*r;
        }
        if (b->len > 0)
            rg_input_push(in, b);
        else
            rg_buf_unref(b);
    }
    return true;
}

static enum rg_tls_event after_read(struct rg_tls *t, int r)
{
    int error = r > 0 ? SSL_ERROR_WANT_READ : SSL_get_error(t->ssl, r);
    if (error == SSL_ERROR_WANT_READ) {
        forget_errors();
        return t->fin ? RG_TLS_CUT : RG_TLS_NOTHING;
    }
    if (error == SSL_ERROR_ZERO_RETURN) {
        t->state = RG_TLS_ENDED;
        rg_input_clear(&t->net);
        return RG_TLS_END;
    }
    return error == SSL_ERROR_WANT_WRITE ? rg_tls_fail(t, RG_TLS_FAIL_MEMORY) : fail_by_error(t);
}

static enum rg_tls_event open_by_library(struct rg_tls *t, struct rg_input *in)
{
    int r = 1;
    bool enough = open_records(t, in, &r);
    return enough ? after_read(t, r) : rg_tls_fail(t, RG_TLS_FAIL_MEMORY);
}

/* One event at a time: what follows the data is told at the end of the turn. */
static enum rg_tls_event open_all(struct rg_tls *t, struct rg_input *in)
{
    uint32_t before = in->bytes;
    enum rg_tls_event event = t->ssl ? open_by_library(t, in) : rg_tls_open_run(t, in);
    if (in->bytes == before)
        return event;
    if (event != RG_TLS_NOTHING)
        rg_tls_later(t);
    return RG_TLS_DATA;
}

enum rg_tls_event rg_tls_run(struct rg_tls *t, struct rg_input *in)
{
    bool secured = false;
    enum rg_tls_event event;
    rg_list_remove(&t->waiting);
    if (t->state == RG_TLS_START) {
        event = look_at_first(t);
        if (event != RG_TLS_SECURE)
            return event == RG_TLS_NOTHING && t->fin ? rg_tls_fail(t, RG_TLS_FAIL_CLOSED) : event;
    }
    if (t->state == RG_TLS_SHAKING) {
        event = shake(t);
        if (event != RG_TLS_SECURE)
            return event == RG_TLS_NOTHING && t->fin ? rg_tls_fail(t, RG_TLS_FAIL_CLOSED) : event;
        secured = true;
    }
    if (t->state == RG_TLS_BROKEN)
        return RG_TLS_FAILED;
    if (t->state == RG_TLS_ENDED)
        return RG_TLS_END;
    event = open_all(t, in);
    if (!secured)
        return event;
    if (event != RG_TLS_NOTHING && event != RG_TLS_DATA)
        rg_tls_later(t);
    return RG_TLS_SECURE;
}

/* ---- records out ---- */

/* What lies together and is large goes as it lies; small pieces share a record. */
static struct rg_str next_record(struct rg_tls *t, const struct rg_output *out)
{
    struct iovec iov[RG_OUT_SEGMENTS];
    unsigned n = rg_output_iov(out, iov);
    if (n == 1 || iov[0].iov_len >= RG_TLS_RECORD)
        return (struct rg_str){iov[0].iov_base, iov[0].iov_len < RG_TLS_RECORD ? iov[0].iov_len : RG_TLS_RECORD};
    size_t len = 0;
    for (unsigned i = 0; i < n && len < RG_TLS_RECORD; i++) {
        size_t piece = iov[i].iov_len < RG_TLS_RECORD - len ? iov[i].iov_len : RG_TLS_RECORD - len;
        memcpy(t->env->scratch + len, iov[i].iov_base, piece);
        len += piece;
    }
    return (struct rg_str){t->env->scratch, len};
}

/* 0: no memory; what OpenSSL holds of the record follows the next time. Any other failure breaks the session. */
static uint32_t seal_by_library(struct rg_tls *t, const struct rg_output *out)
{
    struct rg_str record = next_record(t, out);
    int n = SSL_write(t->ssl, record.ptr, (int)record.len);
    if (n <= 0 && SSL_get_error(t->ssl, n) != SSL_ERROR_WANT_WRITE)
        t->state = RG_TLS_BROKEN;
    return n > 0 ? (uint32_t)n : 0;
}

static bool has_room(const struct rg_tls *t)
{
    return t->wire.bytes < WIRE_HIGH && t->wire.count < RG_OUT_SEGMENTS - 2;
}

bool rg_tls_seal(struct rg_tls *t, struct rg_output *out)
{
    if (t->state != RG_TLS_OPEN && t->state != RG_TLS_ENDED)
        return t->state != RG_TLS_BROKEN;
    while (out->bytes > 0 && has_room(t)) {
        uint32_t n = t->ssl ? seal_by_library(t, out) : rg_tls_open_seal(t, out);
        if (n > 0) {
            rg_output_sent(out, n);
            continue;
        }
        /* No memory: it goes on when what is there has been sent. */
        if (t->state != RG_TLS_BROKEN && t->wire.bytes > 0)
            return true;
        rg_tls_fail(t, RG_TLS_FAIL_MEMORY);
        return false;
    }
    return true;
}

/* In TLS 1.3 the client's Finished is the last word of the handshake. */
bool rg_tls_has_only_tickets(const struct rg_tls *t)
{
    return !t->ssl && t->records && t->records->is_13;
}

bool rg_tls_is_between(const struct rg_tls *t)
{
    RG_ASSERT(!t->is_server);
    return t->state == RG_TLS_OPEN && rg_list_empty(&t->waiting) && !more_is_there(t);
}

bool rg_tls_note_end(struct rg_tls *t)
{
    if (t->noted || (t->state != RG_TLS_OPEN && t->state != RG_TLS_ENDED))
        return t->noted;
    t->noted = t->ssl ? SSL_shutdown(t->ssl) >= 0 : rg_tls_open_note_end(t);
    forget_errors();
    return t->noted;
}

/* ---- what was agreed on ---- */

enum rg_tls_protocol rg_tls_agreed(const struct rg_tls *t)
{
    return (enum rg_tls_protocol)t->agreed;
}

bool rg_tls_resumed(const struct rg_tls *t)
{
    return t->resumed;
}

static struct rg_str text_of(const char *text)
{
    return text ? rg_str_of(text) : RG_STR_NONE;
}

struct rg_str rg_tls_client_subject(const struct rg_tls *t)
{
    return text_of(t->subject);
}

struct rg_str rg_tls_version_name(const struct rg_tls *t)
{
    return text_of(t->ssl ? SSL_get_version(t->ssl) : t->version);
}

struct rg_str rg_tls_cipher_name(const struct rg_tls *t)
{
    const SSL_CIPHER *cipher = t->ssl ? SSL_get_current_cipher(t->ssl) : NULL;
    return text_of(cipher ? SSL_CIPHER_standard_name(cipher) : t->cipher);
}

struct rg_str rg_tls_server_name(const struct rg_tls *t)
{
    return text_of(t->ssl ? SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name) : t->name);
}
