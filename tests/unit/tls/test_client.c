/* tls/client.h: our session talks to OpenSSL's server, whose certificate is good, or not. */
#include <errno.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "datapath/tls/client.h"
#include "tls_fixture.h"

static struct pem good, wrong_name, expired, other, for_address, own;
static char ca[] = "/tmp/rg-client-ca-XXXXXX", cert[] = "/tmp/rg-client-cert-XXXXXX",
            key[] = "/tmp/rg-client-key-XXXXXX";

static void write_temporary(char *path, const char *a, const char *b)
{
    int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    assert_non_null(f);
    fputs(a, f);
    fputs(b, f);
    fclose(f);
}

static int make_all(void **state)
{
    make_env(state);
    good = make_pem(KEY_EC, "o.example", "DNS:o.example,DNS:*.w.example", 1);
    wrong_name = make_pem(KEY_EC, "x.example", "DNS:x.example", 1);
    expired = make_pem(KEY_EC, "o.example", "DNS:o.example", -1);
    for_address = make_pem(KEY_EC, "o.example", "IP:192.0.2.7", 1);
    other = make_pem(KEY_EC, "o.example", "DNS:o.example", 1);
    own = make_pem(KEY_EC, "gateway", NULL, 1);
    char all[65536];
    snprintf(all, sizeof all, "%s%s%s", wrong_name.cert, expired.cert, for_address.cert);
    write_temporary(ca, good.cert, all); /* each is its own authority */
    write_temporary(cert, own.cert, "");
    write_temporary(key, own.key, "");
    return 0;
}

static int drop_all(void **state)
{
    struct pem *all[] = {&good, &wrong_name, &expired, &other, &for_address, &own};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free_pem(all[i]);
    unlink(ca);
    unlink(cert);
    unlink(key);
    return drop_env(state);
}

/* ---- the two ends ---- */

struct ends {
    struct rg_tls *client;
    struct rg_input in;
    SSL_CTX *context;
    SSL *server;
    BIO *to_server, *from_server;
};

static SSL_CTX *server_context(const struct pem *p, int version, bool asks)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    BIO *c = BIO_new_mem_buf(p->cert, -1), *k = BIO_new_mem_buf(p->key, -1);
    X509 *x = PEM_read_bio_X509(c, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
    assert_int_equal(SSL_CTX_use_certificate(context, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, pkey), 1);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"t", 1);
    if (asks) {
        assert_int_equal(SSL_CTX_load_verify_file(context, cert), 1);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    X509_free(x);
    EVP_PKEY_free(pkey);
    BIO_free(c);
    BIO_free(k);
    return context;
}

/* context: taken over; kept by the caller where sessions are to be resumed. */
static void connect_ends(struct ends *e, const struct rg_tls_client *c, struct rg_tls_memory *memory, SSL_CTX *context)
{
    *e = (struct ends){.context = context};
    SSL_CTX_up_ref(context);
    e->client = rg_tls_connect(&env, c, memory, NULL);
    assert_non_null(e->client);
    e->server = SSL_new(context);
    e->to_server = BIO_new(BIO_s_mem());
    e->from_server = BIO_new(BIO_s_mem());
    SSL_set_bio(e->server, e->to_server, e->from_server);
    SSL_set_accept_state(e->server);
}

static void drop_ends(struct ends *e)
{
    SSL_set_shutdown(e->server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(e->server);
    SSL_CTX_free(e->context);
    rg_tls_destroy(e->client);
    rg_input_clear(&e->in);
}

static void give(struct ends *e)
{
    struct iovec iov[RG_OUT_SEGMENTS];
    unsigned n = rg_output_iov(&e->client->wire, iov);
    for (unsigned i = 0; i < n; i++)
        BIO_write(e->to_server, iov[i].iov_base, (int)iov[i].iov_len);
    rg_output_sent(&e->client->wire, e->client->wire.bytes);
}

static size_t take(struct ends *e)
{
    struct rg_buf *b = rg_buf_get_bulk(&bufs);
    assert_non_null(b);
    int n = BIO_read(e->from_server, b->data, (int)b->cap);
    if (n <= 0) {
        rg_buf_unref(b);
        return 0;
    }
    b->len = (uint32_t)n;
    rg_input_push(&e->client->net, b);
    return (size_t)n;
}

/* Until nothing moves. Returns what our end came to: SECURE, FAILED, or NOTHING. */
static enum rg_tls_event shake(struct ends *e)
{
    enum rg_tls_event result = RG_TLS_NOTHING;
    for (unsigned i = 0; i < 20; i++) {
        enum rg_tls_event event = rg_tls_run(e->client, &e->in);
        if (event == RG_TLS_SECURE && result == RG_TLS_NOTHING)
            result = event;
        if (event == RG_TLS_FAILED)
            return event;
        give(e);
        SSL_do_handshake(e->server);
        char byte;
        SSL_read(e->server, &byte, 1);
        ERR_clear_error(); /* the queue is the thread's: those of the server are not ours */
        if (take(e) == 0 && i > 2)
            break;
    }
    return result;
}

static struct rg_tls_client *make(struct rg_tls_client_source source)
{
    struct rg_tls_client *c = NULL;
    struct rg_fault fault = {0};
    if (rg_tls_client_create(&c, &source, &fault) < 0)
        fail_msg("%s: %s", fault.field, fault.text);
    return c;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* ---- certificates ---- */

static void what_is_verified(void **state)
{
    (void)state;
    const struct {
        const struct pem *shows;
        const char *name, *cause; /* NULL: it is good */
        bool verify;
    } cases[] = {
        {&good, "o.example", NULL, true},
        {&good, "a.w.example", NULL, true},
        {&good, "w.example", "ostname mismatch", true},
        {&good, "a.b.w.example", "ostname mismatch", true},
        {&wrong_name, "o.example", "ostname mismatch", true},
        {&wrong_name, "o.example", NULL, false},
        {&expired, "o.example", "expired", true},
        {&expired, "o.example", NULL, false},
        {&other, "o.example", "self-signed", true},
        {&for_address, "192.0.2.7", NULL, true},
        {&for_address, "192.0.2.8", "IP address mismatch", true},
        {&good, "192.0.2.7", "IP address mismatch", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t v = 0; v < 2; v++) {
            struct rg_tls_memory memory = {0};
            struct ends e;
            struct rg_tls_client *c = make((struct rg_tls_client_source){
                .server_name = rg_str_of(cases[i].name), .verify = cases[i].verify, .ca_file = rg_str_of(ca)});
            SSL_CTX *context = server_context(cases[i].shows, versions[v], false);
            connect_ends(&e, c, &memory, context);
            enum rg_tls_event event = shake(&e);
            if (event != (cases[i].cause ? RG_TLS_FAILED : RG_TLS_SECURE))
                fail_msg("case %zu: event %d, cause %s", i, event, e.client->cause ? e.client->cause : "none");
            if (cases[i].cause) {
                assert_int_equal(e.client->failure, RG_TLS_FAIL_CERTIFICATE);
                if (!e.client->cause || !strstr(e.client->cause, cases[i].cause))
                    fail_msg("case %zu: %s", i, e.client->cause);
                assert_true(e.client->wire.bytes > 0); /* the server is told */
            }
            drop_ends(&e);
            SSL_CTX_free(context);
            rg_tls_memory_forget(&memory);
            rg_tls_client_destroy(c);
        }
    }
}

static void names_are_sent_and_addresses_are_not(void **state)
{
    (void)state;
    const char *names[] = {"o.example", "192.0.2.7"};
    for (size_t i = 0; i < 2; i++) {
        struct rg_tls_memory memory = {0};
        struct ends e;
        struct rg_tls_client *c = make((struct rg_tls_client_source){.server_name = rg_str_of(names[i])});
        SSL_CTX *context = server_context(&good, TLS1_3_VERSION, false);
        connect_ends(&e, c, &memory, context);
        assert_int_equal(shake(&e), RG_TLS_SECURE);
        const char *asked = SSL_get_servername(e.server, TLSEXT_NAMETYPE_host_name);
        if (i == 0)
            assert_string_equal(asked, names[0]);
        else
            assert_null(asked);
        drop_ends(&e);
        SSL_CTX_free(context);
        rg_tls_memory_forget(&memory);
        rg_tls_client_destroy(c);
    }
}

/* With TLS 1.3 the handshake is done for us before the server has looked at what we show. */
static void a_client_certificate_is_shown(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        for (unsigned shown = 0; shown < 2; shown++) {
            struct rg_tls_memory memory = {0};
            struct ends e;
            struct rg_tls_client_source source = {
                .server_name = RG_STR("o.example"), .verify = true, .ca_file = rg_str_of(ca)};
            if (shown) {
                source.cert_file = rg_str_of(cert);
                source.key_file = rg_str_of(key);
            }
            struct rg_tls_client *c = make(source);
            SSL_CTX *context = server_context(&good, versions[v], true);
            connect_ends(&e, c, &memory, context);
            enum rg_tls_event event = shake(&e);
            assert_int_equal(event, shown ? RG_TLS_SECURE : RG_TLS_FAILED);
            assert_int_equal(e.client->failure, shown ? RG_TLS_FAIL_NONE : RG_TLS_FAIL_ALERT);
            assert_true(shown || e.client->cause);
            drop_ends(&e);
            SSL_CTX_free(context);
            rg_tls_memory_forget(&memory);
            rg_tls_client_destroy(c);
        }
    }
}

/* ---- sessions ---- */

static void sessions_are_resumed_until_one_fails(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct rg_tls_memory memory = {0};
        struct rg_tls_client *c = make((struct rg_tls_client_source){
            .server_name = RG_STR("o.example"), .verify = true, .ca_file = rg_str_of(ca)});
        SSL_CTX *context = server_context(&good, versions[v], false);
        for (unsigned i = 0; i < 3; i++) {
            struct ends e;
            connect_ends(&e, c, &memory, context);
            assert_int_equal(shake(&e), RG_TLS_SECURE);
            assert_int_equal(rg_tls_resumed(e.client), i > 0);
            assert_non_null(memory.session);
            assert_true(rg_tls_is_between(e.client)); /* tickets are not taken for what somebody said */
            assert_int_equal(e.in.bytes, 0);
            drop_ends(&e);
        }
        SSL_CTX_free(context);
        context = server_context(&wrong_name, versions[v], false); /* another server there: it is looked at again */
        struct ends e;
        connect_ends(&e, c, &memory, context);
        assert_int_equal(shake(&e), RG_TLS_FAILED);
        assert_null(memory.session);
        drop_ends(&e);
        SSL_CTX_free(context);
        rg_tls_client_destroy(c);
    }
}

/* ---- broken servers ---- */

static void push(struct ends *e, const char *data, size_t n)
{
    struct rg_buf *b = rg_buf_get_small(&bufs);
    memcpy(b->data, data, n);
    b->len = (uint32_t)n;
    rg_input_push(&e->client->net, b);
}

static void what_is_no_tls_fails(void **state)
{
    (void)state;
    static const char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    struct rg_tls_memory memory = {0};
    struct ends e;
    struct rg_tls_client *c = make((struct rg_tls_client_source){.server_name = RG_STR("o.example")});
    SSL_CTX *context = server_context(&good, TLS1_3_VERSION, false);
    connect_ends(&e, c, &memory, context);
    assert_int_equal(rg_tls_run(e.client, &e.in), RG_TLS_NOTHING);
    assert_true(e.client->wire.bytes > 0); /* it speaks first */
    push(&e, http, sizeof http - 1);
    assert_int_equal(rg_tls_run(e.client, &e.in), RG_TLS_FAILED);
    assert_int_equal(e.in.bytes, 0); /* nothing of it is an answer */
    assert_non_null(e.client->cause);
    drop_ends(&e);
    connect_ends(&e, c, &memory, context);
    rg_tls_run(e.client, &e.in);
    e.client->fin = true;
    assert_int_equal(rg_tls_run(e.client, &e.in), RG_TLS_FAILED);
    assert_int_equal(e.client->failure, RG_TLS_FAIL_CLOSED);
    assert_string_equal(e.client->cause, "closed in the middle of the handshake");
    drop_ends(&e);
    SSL_CTX_free(context);
    rg_tls_client_destroy(c);
}

static void an_end_that_was_not_told_is_a_cut(void **state)
{
    (void)state;
    for (unsigned told = 0; told < 2; told++) {
        struct rg_tls_memory memory = {0};
        struct ends e;
        struct rg_tls_client *c = make((struct rg_tls_client_source){.server_name = RG_STR("o.example")});
        SSL_CTX *context = server_context(&good, TLS1_3_VERSION, false);
        connect_ends(&e, c, &memory, context);
        assert_int_equal(shake(&e), RG_TLS_SECURE);
        assert_int_equal(SSL_write(e.server, "half", 4), 4);
        if (told)
            SSL_shutdown(e.server);
        take(&e);
        e.client->fin = true;
        assert_int_equal(rg_tls_run(e.client, &e.in), RG_TLS_DATA);
        assert_int_equal(e.in.bytes, 4);
        assert_false(rg_tls_is_between(e.client));
        assert_int_equal(rg_tls_run(e.client, &e.in), told ? RG_TLS_END : RG_TLS_CUT);
        drop_ends(&e);
        SSL_CTX_free(context);
        rg_tls_memory_forget(&memory);
        rg_tls_client_destroy(c);
    }
}

static void files_that_can_not_be_used_are_named(void **state)
{
    (void)state;
    const struct {
        struct rg_tls_client_source source;
        const char *field;
    } cases[] = {
        {{.verify = true, .ca_file = rg_str_of(key)}, "ca_file"},
        {{.cert_file = rg_str_of(key), .key_file = rg_str_of(key)}, "cert_file"},
        {{.cert_file = rg_str_of(cert), .key_file = rg_str_of(cert)}, "key_file"},
        {{.cert_file = rg_str_of(ca), .key_file = rg_str_of(key)}, "key_file"}, /* of another certificate */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rg_tls_client *c = NULL;
        struct rg_fault fault = {0};
        struct rg_tls_client_source source = cases[i].source;
        source.server_name = RG_STR("o.example");
        assert_int_equal(rg_tls_client_create(&c, &source, &fault), -EINVAL);
        assert_string_equal(fault.field, cases[i].field);
        assert_null(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_verified),
        cmocka_unit_test(names_are_sent_and_addresses_are_not),
        cmocka_unit_test(a_client_certificate_is_shown),
        cmocka_unit_test(sessions_are_resumed_until_one_fails),
        cmocka_unit_test(what_is_no_tls_fails),
        cmocka_unit_test(an_end_that_was_not_told_is_a_cut),
        cmocka_unit_test(files_that_can_not_be_used_are_named),
    };
    return cmocka_run_group_tests(tests, make_all, drop_all);
}
