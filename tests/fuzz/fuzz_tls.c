/*
 * Any bytes to a listener that speaks TLS, in pieces of any size: nothing is read beyond its end, no plaintext comes
 * out of a handshake that was never finished, and what is held of it stays bounded. The first byte says how the rest is
 * cut; with its highest bit set, a finished handshake comes before them.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "datapath/tls/store.h"
#include "datapath/tls/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HELD_MAX (256u * 1024)

static struct rg_bufs bufs;
static struct rg_metrics metrics;
static struct rg_tls_env env;

static char *text_of(BIO *bio, size_t *ret_len)
{
    char *at = NULL;
    long n = BIO_get_mem_data(bio, &at);
    char *ret = OPENSSL_memdup(at, (size_t)n);
    *ret_len = (size_t)n;
    BIO_free(bio);
    return ret;
}

static void no_fault(const struct rg_tls_fault *fault, void *arg)
{
    (void)fault;
    (void)arg;
    RG_ASSERT(false);
}

static void make_store(void)
{
    static struct rg_tls_settings settings = {.n_certificates = 1};
    struct rg_tls_source source = {.settings = &settings, .http2 = true};
    struct rg_tls_keys keys = {.n = 1, .lifetime_s = 60};
    const struct rg_tls_reports reports = {.fault = no_fault};
    struct rg_tls_store *store = NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    RG_ASSERT(key && cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"fuzz", -1, -1,
                               0);
    X509_set_pubkey(cert, key);
    RG_ASSERT(X509_sign(cert, key, EVP_sha256()) > 0);
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(c, cert);
    PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
    source.cert[0].ptr = text_of(c, &source.cert[0].len);
    source.key[0].ptr = text_of(k, &source.key[0].len);
    RG_ASSERT(rg_tls_key_make(&keys.list[0]) == 0);
    RG_ASSERT(rg_tls_store_create(&store, &source, 1, 1, &keys, &reports) == 0);
    rg_tls_env_use(&env, store);
    OPENSSL_free((void *)(uintptr_t)source.cert[0].ptr);
    OPENSSL_free((void *)(uintptr_t)source.key[0].ptr);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void set_up(void)
{
    rg_bufs_init(&bufs, 4u << 20);
    rg_tls_env_init(&env, &bufs, &metrics, 0);
    make_store();
}

static void push(struct rg_tls *t, const void *data, size_t n)
{
    while (n > 0) {
        struct rg_buf *b = rg_buf_get_small(&bufs);
        RG_ASSERT(b);
        b->len = n < b->cap ? (uint32_t)n : b->cap;
        memcpy(b->data, data, b->len);
        data = (const char *)data + b->len;
        n -= b->len;
        rg_input_push(&t->net, b);
    }
}

/* A client of OpenSSL's goes before the noise. */
static void shake_hands(struct rg_tls *t, struct rg_input *in)
{
    static SSL_CTX *context;
    char bytes[8192];
    if (!context)
        context = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(context);
    BIO *to = BIO_new(BIO_s_mem()), *from = BIO_new(BIO_s_mem());
    SSL_set_bio(client, to, from);
    for (unsigned i = 0; i < 4 && t->state != RG_TLS_OPEN; i++) {
        SSL_connect(client);
        int n = BIO_read(from, bytes, sizeof(bytes));
        if (n > 0)
            push(t, bytes, (size_t)n);
        rg_tls_run(t, in);
        struct iovec iov[RG_OUT_SEGMENTS];
        unsigned pieces = rg_output_iov(&t->wire, iov);
        for (unsigned j = 0; j < pieces; j++)
            BIO_write(to, iov[j].iov_base, (int)iov[j].iov_len);
        rg_output_clear(&t->wire);
    }
    RG_ASSERT(t->state == RG_TLS_OPEN);
    SSL_free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct rg_input in = {0};
    if (!ready)
        set_up();
    ready = true;
    if (size < 2)
        return 0;
    size_t step = (data[0] & 0x7f) + 1u;
    env.budget = UINT16_MAX;
    struct rg_tls *t = rg_tls_accept(&env, 0, NULL);
    RG_ASSERT(t);
    if (data[0] & 0x80)
        shake_hands(t, &in);
    bool over = false;
    for (size_t at = 1; at < size && !over; at += step) {
        push(t, data + at, size - at < step ? size - at : step);
        enum rg_tls_event event = rg_tls_run(t, &in);
        over = event == RG_TLS_FAILED || event == RG_TLS_END || event == RG_TLS_PLAINTEXT;
        RG_ASSERT(t->wire.bytes < HELD_MAX && t->net.bytes < HELD_MAX);
        rg_output_clear(&t->wire);
    }
    t->fin = true;
    if (!over)
        RG_ASSERT(rg_tls_run(t, &in) != RG_TLS_NOTHING);
    RG_ASSERT(in.bytes == 0); /* nobody has the keys */
    rg_tls_destroy(t);
    rg_input_clear(&in);
    RG_ASSERT(bufs.small.used == 0 && bufs.bulk.used == 0);
    return 0;
}
