/* tls.h: what our session and OpenSSL's client agree on: version, cipher, protocol, certificate, an earlier session. */
#include "tls_fixture.h"

static struct pem ec, rsa;
static struct site site;

static int make_all(void **state)
{
    make_env(state);
    ec = make_pem(KEY_EC, "a.example", "DNS:a.example,DNS:*.w.example", 1);
    rsa = make_pem(KEY_RSA, "a.example", "DNS:a.example", 1);
    site = (struct site){.keys = {.n = 1, .lifetime_s = 3600}};
    rg_tls_key_make(&site.keys.list[0]);
    add_pair(&site, &ec);
    add_pair(&site, &rsa);
    return build(&site, 2);
}

static int drop_all(void **state)
{
    drop_site(&site);
    free_pem(&ec);
    free_pem(&rsa);
    return drop_env(state);
}

static void test_versions(void **state)
{
    (void)state;
    static const int old[] = {TLS1_VERSION, TLS1_1_VERSION};
    struct pair p;
    for (unsigned i = 0; i < 2; i++) {
        connect_pair(&p, old[i], NULL);
        SSL_CTX_set_cipher_list(p.context, "ALL:@SECLEVEL=0");
        assert_false(shake_hands(&p, 1u << 20));
        assert_int_equal(p.server->failure, RG_TLS_FAIL_VERSION);
        drop_pair(&p);
    }
    site.settings.min_version = RG_TLS_1_3;
    drop_site(&site);
    assert_int_equal(build(&site, 2), 0);
    connect_pair(&p, TLS1_2_VERSION, NULL);
    assert_false(shake_hands(&p, 1u << 20));
    assert_int_equal(p.server->failure, RG_TLS_FAIL_VERSION);
    drop_pair(&p);
    connect_pair(&p, TLS1_3_VERSION, NULL);
    assert_true(shake_hands(&p, 1u << 20));
    assert_true(rg_str_eq(rg_tls_version_name(p.server), RG_STR("TLSv1.3")));
    drop_pair(&p);
    site.settings.min_version = RG_TLS_1_2;
    drop_site(&site);
    assert_int_equal(build(&site, 2), 0);
}

static void test_weak_ciphers(void **state)
{
    (void)state;
    static const char *const weak[] = {
        "NULL", "aNULL", "AES128-SHA", "ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"};
    for (unsigned i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
        struct pair p;
        connect_pair(&p, TLS1_2_VERSION, NULL);
        assert_int_equal(SSL_set_cipher_list(p.client, weak[i]), 1);
        assert_false(shake_hands(&p, 1u << 20));
        assert_int_equal(p.server->failure, RG_TLS_FAIL_CIPHER);
        drop_pair(&p);
    }
}

static void test_renegotiation(void **state)
{
    (void)state;
    struct pair p;
    char raw[4096];
    connect_pair(&p, TLS1_2_VERSION, NULL);
    assert_true(shake_hands(&p, 1u << 20));
    assert_int_equal(SSL_renegotiate(p.client), 1);
    SSL_do_handshake(p.client);
    size_t n = take_from_client(&p, raw, sizeof(raw));
    feed(&p, raw, n);
    rg_tls_run(p.server, &p.in);
    give_to_client(&p);
    assert_true(SSL_do_handshake(p.client) <= 0); /* refused by an alert; nothing was negotiated anew */
    assert_int_equal(p.in.bytes, 0);
    drop_pair(&p);
}

static void test_alpn(void **state)
{
    (void)state;
    struct pair p;
    connect_pair(&p, 0, NULL);
    assert_true(shake_hands(&p, 1u << 20));
    assert_int_equal(rg_tls_agreed(p.server), RG_TLS_NO_ALPN);
    drop_pair(&p);
    connect_pair(&p, 0, NULL);
    SSL_set_alpn_protos(p.client, (const unsigned char *)"\x03xyz\x08http/1.1", 13);
    assert_true(shake_hands(&p, 1u << 20));
    assert_int_equal(rg_tls_agreed(p.server), RG_TLS_HTTP11);
    drop_pair(&p);
    connect_pair(&p, 0, NULL);
    SSL_set_alpn_protos(p.client, (const unsigned char *)"\x03xyz", 4);
    assert_false(shake_hands(&p, 1u << 20));
    assert_int_equal(p.server->failure, RG_TLS_FAIL_ALPN);
    drop_pair(&p);
}

static int kind_for(const char *name, const char *sigalgs)
{
    struct pair p;
    connect_pair(&p, TLS1_2_VERSION, name);
    if (sigalgs)
        SSL_set1_sigalgs_list(p.client, sigalgs);
    assert_true(shake_hands(&p, 1u << 20));
    X509 *cert = SSL_get1_peer_certificate(p.client);
    int kind = EVP_PKEY_get_base_id(X509_get0_pubkey(cert));
    X509_free(cert);
    drop_pair(&p);
    return kind;
}

static void test_both_kinds_of_key(void **state)
{
    (void)state;
    assert_int_equal(kind_for("a.example", NULL), EVP_PKEY_EC);
    assert_int_equal(kind_for("a.example", "rsa_pss_rsae_sha256:RSA+SHA256"), EVP_PKEY_RSA);
    assert_int_equal(kind_for("A.EXAMPLE", "rsa_pss_rsae_sha256:RSA+SHA256"), EVP_PKEY_RSA);
    assert_int_equal(kind_for(NULL, "rsa_pss_rsae_sha256:RSA+SHA256"), EVP_PKEY_RSA);
    assert_int_equal(kind_for("x.w.example", NULL), EVP_PKEY_EC);
}

/* ---- sessions that are resumed ---- */

static bool resume(SSL_SESSION *session, int version, uint16_t worker)
{
    struct pair p;
    env.worker = worker;
    connect_pair(&p, version, "a.example");
    SSL_set_session(p.client, session);
    assert_true(shake_hands(&p, 1u << 20));
    bool resumed = rg_tls_resumed(p.server);
    assert_int_equal(resumed, SSL_session_reused(p.client));
    drop_pair(&p);
    env.worker = 0;
    return resumed;
}

static SSL_SESSION *session_of(int version)
{
    struct pair p;
    char byte;
    connect_pair(&p, version, "a.example");
    assert_true(shake_hands(&p, 1u << 20));
    assert_true(SSL_read(p.client, &byte, 1) <= 0); /* nothing, but the client takes its tickets */
    SSL_SESSION *ret = SSL_get1_session(p.client);
    assert_true(SSL_SESSION_has_ticket(ret));
    assert_int_equal(SSL_SESSION_get_max_early_data(ret), 0);
    drop_pair(&p);
    return ret;
}

static void renew(unsigned keys)
{
    drop_site(&site);
    for (unsigned i = RG_TLS_KEYS_MAX - 1; i > 0; i--)
        site.keys.list[i] = site.keys.list[i - 1];
    rg_tls_key_make(&site.keys.list[0]);
    site.keys.n = keys;
    assert_int_equal(build(&site, 2), 0);
}

static void test_resumption(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (unsigned v = 0; v < 2; v++) {
        SSL_SESSION *s = session_of(versions[v]);
        assert_true(resume(s, versions[v], 0));
        assert_true(resume(s, versions[v], 1)); /* another worker */
        renew(2);                               /* a new key, and the old one still opens */
        assert_true(resume(s, versions[v], 0));
        renew(1); /* nobody knows the key any more */
        assert_false(resume(s, versions[v], 0));
        SSL_SESSION_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions), cmocka_unit_test(test_weak_ciphers),      cmocka_unit_test(test_renegotiation),
        cmocka_unit_test(test_alpn),     cmocka_unit_test(test_both_kinds_of_key), cmocka_unit_test(test_resumption),
    };
    return cmocka_run_group_tests(tests, make_all, drop_all);
}
