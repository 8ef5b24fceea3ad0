/* takeover.c: sessions with keys of ours speak with OpenSSL's client, whatever was agreed on. */
#include "tls_fixture.h"

#include <openssl/evp.h>

#include "datapath/tls/kdf.h"
#include "datapath/tls/tls_parts.h"

static struct pem ec;
static struct site site;
static char text[65536], got[65536 + 16384], raw[2 * 65536];

static int make_all(void **state)
{
    make_env(state);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7 + i / 251);
    ec = make_pem(KEY_EC, "a.example", "DNS:a.example", 1);
    site = (struct site){.keys = {.n = 1, .lifetime_s = 3600}};
    rg_tls_key_make(&site.keys.list[0]);
    add_pair(&site, &ec);
    return build(&site, 1);
}

static int drop_all(void **state)
{
    drop_site(&site);
    free_pem(&ec);
    return drop_env(state);
}

static void speak(struct pair *p, size_t n)
{
    struct rg_output out = {0};
    size_t done = 0;
    int r;
    assert_int_equal(SSL_write(p->client, text, (int)n), n);
    feed(p, raw, take_from_client(p, raw, sizeof(raw)));
    assert_int_equal(rg_tls_run(p->server, &p->in), RG_TLS_DATA);
    assert_int_equal(take_plaintext(p, got, sizeof(got)), n);
    assert_memory_equal(got, text, n);
    assert_true(rg_output_copy(&out, &bufs, text, (uint32_t)n));
    assert_true(rg_tls_seal(p->server, &out));
    assert_int_equal(out.bytes, 0);
    give_to_client(p);
    while ((r = SSL_read(p->client, got + done, (int)(sizeof(got) - done))) > 0)
        done += (size_t)r;
    assert_int_equal(done, n);
    assert_memory_equal(got, text, n);
}

static void expect_taken_over(const struct pair *p, const char *cipher)
{
    assert_null(p->server->ssl);
    assert_non_null(p->server->records);
    assert_true(rg_str_eq(rg_tls_cipher_name(p->server), rg_str_of(cipher)));
    assert_true(rg_str_eq(rg_tls_server_name(p->server), RG_STR("a.example")));
}

static void test_all_ciphers(void **state)
{
    (void)state;
    static const struct {
        int version;
        const char *asked, *name;
    } rows[] = {
        {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
        {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
        {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    };
    static const size_t sizes[] = {1, 15, 16, 1000, 16384, 16385, 40000};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair p;
        connect_pair(&p, rows[i].version, "a.example");
        if (rows[i].version == TLS1_3_VERSION)
            assert_int_equal(SSL_set_ciphersuites(p.client, rows[i].asked), 1);
        else
            assert_int_equal(SSL_set_cipher_list(p.client, rows[i].asked), 1);
        assert_true(shake_hands(&p, 1u << 20));
        expect_taken_over(&p, rows[i].name);
        for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
            speak(&p, sizes[s]);
        assert_true(rg_tls_note_end(p.server));
        give_to_client(&p);
        assert_true(SSL_read(p.client, got, 1) <= 0);
        assert_true(SSL_get_shutdown(p.client) & SSL_RECEIVED_SHUTDOWN);
        drop_pair(&p);
    }
}

/* Full, and resumed: with two tickets, with one, with none. */
static void test_after_each_kind_of_handshake(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (unsigned i = 0; i < 8; i++) {
        struct pair p;
        SSL_SESSION *session = NULL;
        site.keys.n = i < 4;
        drop_site(&site);
        assert_int_equal(build(&site, 1), 0);
        for (unsigned again = 0; again < 2; again++) {
            connect_pair(&p, versions[i % 2], "a.example");
            SSL_set_session(p.client, session);
            assert_true(shake_hands(&p, i & 2 ? 1 : 1u << 20));
            assert_int_equal(rg_tls_resumed(p.server), again && i < 4);
            assert_null(p.server->ssl);
            speak(&p, 3000);
            SSL_SESSION_free(session);
            session = SSL_get1_session(p.client);
            drop_pair(&p);
        }
        SSL_SESSION_free(session);
    }
    site.keys.n = 1;
    drop_site(&site);
    assert_int_equal(build(&site, 1), 0);
}

static void test_the_client_updates_its_keys(void **state)
{
    (void)state;
    struct pair p;
    connect_pair(&p, TLS1_3_VERSION, "a.example");
    assert_true(shake_hands(&p, 1u << 20));
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(SSL_key_update(p.client, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        speak(&p, 2000);
        speak(&p, 20000);
    }
    drop_pair(&p);
}

/* What is not done here is done by OpenSSL as before. */
static void test_what_stays_with_openssl(void **state)
{
    (void)state;
    struct pair p;
    connect_pair(&p, TLS1_3_VERSION, "a.example");
    assert_int_equal(SSL_set_tlsext_max_fragment_length(p.client, TLSEXT_max_fragment_length_1024), 1);
    assert_true(shake_hands(&p, 1u << 20));
    assert_non_null(p.server->ssl);
    assert_null(p.server->records);
    speak(&p, 1000);
    speak(&p, 10000);
    drop_pair(&p);

    snprintf(site.settings.ciphers, sizeof(site.settings.ciphers), "ECDHE-ECDSA-AES128-SHA256");
    drop_site(&site);
    assert_int_equal(build(&site, 1), 0);
    connect_pair(&p, TLS1_2_VERSION, "a.example");
    assert_true(shake_hands(&p, 1u << 20));
    assert_non_null(p.server->ssl);
    assert_null(p.server->records);
    speak(&p, 10000);
    drop_pair(&p);
    site.settings.ciphers[0] = '\0';
    drop_site(&site);
    assert_int_equal(build(&site, 1), 0);
}

/* Nobody tells its secrets: OpenSSL goes on. */
static void test_without_a_key_schedule_of_ours(void **state)
{
    (void)state;
    struct rg_tls_kdf *kdf = env.kdf;
    struct pair p;
    assert_non_null(kdf);
    env.kdf = NULL;
    connect_pair(&p, TLS1_3_VERSION, "a.example");
    assert_true(shake_hands(&p, 1u << 20));
    env.kdf = kdf;
    assert_non_null(p.server->ssl);
    assert_null(p.server->records);
    speak(&p, 1000);
    drop_pair(&p);
}

/* A client that has guessed the wrong group begins again. */
static void test_after_a_second_hello(void **state)
{
    (void)state;
    struct pair p;
    SSL_CTX *context = rg_tls_first_context(&env, 0);
    assert_int_equal(SSL_CTX_set1_groups_list(context, "P-384"), 1);
    connect_pair(&p, TLS1_3_VERSION, "a.example");
    assert_int_equal(SSL_set1_groups_list(p.client, "P-256:P-384"), 1);
    assert_true(shake_hands(&p, 1));
    assert_int_equal(SSL_get_negotiated_group(p.client), NID_secp384r1);
    expect_taken_over(&p, "TLS_AES_128_GCM_SHA256");
    speak(&p, 20000);
    drop_pair(&p);
    drop_site(&site);
    assert_int_equal(build(&site, 1), 0);
}

/* What it says of a message is what one without a key would say. */
static void expect_no_key(EVP_MAC_CTX *hmac, const char *hash)
{
    unsigned char said[EVP_MAX_MD_SIZE], wanted[EVP_MAX_MD_SIZE];
    size_t n = 0, n_wanted = 0;
    assert_int_equal(EVP_MAC_init(hmac, NULL, 0, NULL), 1);
    assert_int_equal(EVP_MAC_update(hmac, (const unsigned char *)"x", 1), 1);
    assert_int_equal(EVP_MAC_final(hmac, said, &n, sizeof(said)), 1);
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, hash, NULL, "", 0, (const unsigned char *)"x", 1, wanted,
                              sizeof(wanted), &n_wanted));
    assert_int_equal(n, n_wanted);
    assert_memory_equal(said, wanted, n);
}

/* Of a session that has ended nothing is left by which its records could be read. */
static void test_no_secret_stays_behind(void **state)
{
    (void)state;
    static const char *const ciphers[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"};
    for (unsigned i = 0; i < 2; i++) {
        struct pair p;
        connect_pair(&p, TLS1_3_VERSION, "a.example");
        assert_int_equal(SSL_set_ciphersuites(p.client, ciphers[i]), 1);
        assert_true(shake_hands(&p, 1u << 20));
        if (i == 0)
            assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED), 1);
        speak(&p, 2000);
        drop_pair(&p);
        expect_no_key(i == 0 ? env.kdf->sha256.hmac : env.kdf->sha384.hmac, i == 0 ? "SHA256" : "SHA384");
        expect_no_key(i == 0 ? env.tools->hmac_sha256 : env.tools->hmac_sha384, i == 0 ? "SHA256" : "SHA384");
    }
}

/* Who serves no clients over TLS pays nothing for it. */
static void test_tools_come_with_the_first_store(void **state)
{
    (void)state;
    static struct rg_metrics metrics;
    struct rg_tls_env fresh;
    rg_tls_env_init(&fresh, &bufs, &metrics, 0);
    assert_null(fresh.tools);
    assert_null(fresh.kdf);
    rg_tls_env_use(&fresh, NULL);
    assert_null(fresh.tools);
    rg_tls_env_use(&fresh, site.store);
    assert_non_null(fresh.tools);
    assert_non_null(fresh.kdf);
    struct rg_tls_tools *tools = fresh.tools;
    rg_tls_env_use(&fresh, NULL); /* sessions that are open go on */
    rg_tls_env_use(&fresh, site.store);
    assert_ptr_equal(fresh.tools, tools);
    rg_tls_env_fini(&fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_ciphers),
        cmocka_unit_test(test_without_a_key_schedule_of_ours),
        cmocka_unit_test(test_after_each_kind_of_handshake),
        cmocka_unit_test(test_the_client_updates_its_keys),
        cmocka_unit_test(test_what_stays_with_openssl),
        cmocka_unit_test(test_after_a_second_hello),
        cmocka_unit_test(test_no_secret_stays_behind),
        cmocka_unit_test(test_tools_come_with_the_first_store),
    };
    return cmocka_run_group_tests(tests, make_all, drop_all);
}
