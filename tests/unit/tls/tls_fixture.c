/* See tls_fixture.h. */
#include "tls_fixture.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct rg_bufs bufs;
struct rg_tls_env env;
static struct rg_metrics metrics;

int make_env(void **state)
{
    (void)state;
    rg_bufs_init(&bufs, 32u << 20);
    rg_tls_env_init(&env, &bufs, &metrics, 0);
    env.budget = UINT16_MAX;
    return 0;
}

int drop_env(void **state)
{
    (void)state;
    rg_tls_env_fini(&env);
    assert_int_equal(bufs.small.used, 0);
    assert_int_equal(bufs.bulk.used, 0);
    rg_bufs_fini(&bufs);
    return 0;
}

/* ---- certificates ---- */

static EVP_PKEY *make_key(enum key_kind kind)
{
    if (kind == KEY_EC)
        return EVP_EC_gen("P-256");
    return EVP_RSA_gen(kind == KEY_RSA ? 2048u : 1024u);
}

static char *text_of(BIO *bio)
{
    char *data = NULL;
    long n = BIO_get_mem_data(bio, &data);
    char *ret = malloc((size_t)n + 1);
    assert_non_null(ret);
    memcpy(ret, data, (size_t)n); /* which has no NUL behind it */
    ret[n] = '\0';
    BIO_free(bio);
    return ret;
}

static void add_names(X509 *cert, const char *names)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, names);
    assert_non_null(e);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

struct pem make_pem(enum key_kind kind, const char *common, const char *names, int days)
{
    static long serial = 1;
    struct pem ret;
    EVP_PKEY *key = make_key(kind);
    X509 *cert = X509_new();
    assert_non_null(key);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * days);
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1, 0);
    X509_set_issuer_name(cert, subject);
    X509_set_pubkey(cert, key);
    if (names)
        add_names(cert, names);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(c, cert);
    PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
    ret = (struct pem){text_of(c), text_of(k)};
    X509_free(cert);
    EVP_PKEY_free(key);
    return ret;
}

void free_pem(struct pem *p)
{
    free(p->cert);
    free(p->key);
}

char *encrypt_key(enum key_kind kind)
{
    EVP_PKEY *key = make_key(kind);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
    EVP_PKEY_free(key);
    return text_of(bio);
}

/* ---- store ---- */

void add_pair(struct site *s, const struct pem *p)
{
    unsigned i = s->settings.n_certificates++;
    s->source.cert[i] = rg_str_of(p->cert);
    s->source.key[i] = rg_str_of(p->key);
    snprintf(s->settings.certificates[i].cert, sizeof(s->settings.certificates[i].cert), "/c%u", i);
    snprintf(s->settings.certificates[i].key, sizeof(s->settings.certificates[i].key), "/k%u", i);
}

static void note_fault(const struct rg_tls_fault *fault, void *arg)
{
    struct site *s = arg;
    s->fault = *fault;
    s->faults++;
}

static void note_notice(const struct rg_tls_notice *notice, void *arg)
{
    struct site *s = arg;
    s->notice = *notice;
    s->notices++;
}

int build(struct site *s, uint16_t workers)
{
    const struct rg_tls_reports reports = {note_fault, note_notice, s};
    s->source.settings = &s->settings;
    s->faults = s->notices = 0;
    int r = rg_tls_store_create(&s->store, &s->source, 1, workers, &s->keys, &reports);
    if (r == 0)
        rg_tls_env_use(&env, s->store);
    return r;
}

void drop_site(struct site *s)
{
    rg_tls_env_use(&env, NULL);
    rg_tls_store_destroy(s->store);
    s->store = NULL;
}

/* ---- a connection ---- */

void connect_pair(struct pair *p, int version, const char *name)
{
    *p = (struct pair){0};
    p->server = rg_tls_accept(&env, 0, NULL);
    assert_non_null(p->server);
    p->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(p->context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_security_level(p->context, 0);
    SSL_CTX_set_min_proto_version(p->context, version ? version : TLS1_VERSION);
    SSL_CTX_set_max_proto_version(p->context, version);
    p->client = SSL_new(p->context);
    p->to_client = BIO_new(BIO_s_mem());
    p->from_client = BIO_new(BIO_s_mem());
    SSL_set_bio(p->client, p->to_client, p->from_client);
    SSL_set_connect_state(p->client);
    if (name)
        SSL_set_tlsext_host_name(p->client, name);
}

void drop_pair(struct pair *p)
{
    /* A connection that ended in the middle makes its session one that can't be resumed. */
    SSL_set_shutdown(p->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(p->client);
    SSL_CTX_free(p->context);
    rg_tls_destroy(p->server);
    rg_input_clear(&p->in);
}

void feed(struct pair *p, const char *data, size_t n)
{
    while (n > 0) {
        struct rg_buf *b = rg_buf_get_small(&bufs);
        assert_non_null(b);
        b->len = n < b->cap ? (uint32_t)n : b->cap;
        memcpy(b->data, data, b->len);
        data += b->len;
        n -= b->len;
        rg_input_push(&p->server->net, b);
    }
}

size_t take_from_client(struct pair *p, char *to, size_t cap)
{
    int n = BIO_read(p->from_client, to, (int)cap);
    return n > 0 ? (size_t)n : 0;
}

void give_to_client(struct pair *p)
{
    struct iovec iov[RG_OUT_SEGMENTS];
    unsigned n = rg_output_iov(&p->server->wire, iov);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(BIO_write(p->to_client, iov[i].iov_base, (int)iov[i].iov_len), iov[i].iov_len);
    rg_output_clear(&p->server->wire);
}

bool shake_hands(struct pair *p, size_t step)
{
    char data[65536];
    for (;;) {
        int r = SSL_do_handshake(p->client);
        size_t n = take_from_client(p, data, sizeof(data));
        for (size_t at = 0; at < n; at += step) {
            feed(p, data + at, n - at < step ? n - at : step);
            rg_tls_run(p->server, &p->in);
        }
        bool quiet = n == 0 && p->server->wire.bytes == 0;
        give_to_client(p);
        if (r == 1 && p->server->state == RG_TLS_OPEN && quiet)
            return true;
        if (quiet || p->server->state == RG_TLS_BROKEN) {
            SSL_do_handshake(p->client);
            return false;
        }
    }
}

size_t take_plaintext(struct pair *p, char *to, size_t cap)
{
    size_t done = 0;
    while (p->in.bytes > 0) {
        struct rg_str front = rg_input_front(&p->in);
        assert_true(done + front.len <= cap);
        memcpy(to + done, front.ptr, front.len);
        done += front.len;
        rg_input_use(&p->in, (uint32_t)front.len);
    }
    return done;
}
