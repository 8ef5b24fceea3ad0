/* store.h and names.h: which certificate a name leads to, and what is said of files that can't be used. */
#include "tls_fixture.h"

#include "datapath/tls/names.h"

static struct pem a, b, wild, both;

static int make_all(void **state)
{
    make_env(state);
    a = make_pem(KEY_EC, "a.example", "DNS:a.example", 1);
    b = make_pem(KEY_EC, "b.example", NULL, 1);
    wild = make_pem(KEY_EC, "wild", "DNS:*.w.example,DNS:w.example", 1);
    both = make_pem(KEY_EC, "x.w.example", "DNS:x.w.example,DNS:a.example", 1);
    return 0;
}

static int drop_all(void **state)
{
    free_pem(&a);
    free_pem(&b);
    free_pem(&wild);
    free_pem(&both);
    return drop_env(state);
}

/* The common name of the certificate that a client gets. */
static void assert_leads(const char *asked, const char *common)
{
    struct pair p;
    char name[64] = "";
    connect_pair(&p, 0, asked);
    assert_true(shake_hands(&p, 1u << 20));
    X509 *cert = SSL_get1_peer_certificate(p.client);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name));
    assert_string_equal(name, common);
    X509_free(cert);
    drop_pair(&p);
}

static void test_names(void **state)
{
    (void)state;
    struct site s = {.keys = {0}};
    add_pair(&s, &b);
    add_pair(&s, &a);
    add_pair(&s, &wild);
    add_pair(&s, &both);
    assert_int_equal(build(&s, 1), 0);
    assert_leads(NULL, "b.example");
    assert_leads("unknown.example", "b.example");
    assert_leads("b.example", "b.example"); /* by its common name, having no other */
    assert_leads("a.example", "a.example"); /* the first that has the name */
    assert_leads("A.Example", "a.example");
    assert_leads("a.example.", "a.example");
    assert_leads("w.example", "wild");
    assert_leads("y.w.example", "wild");
    assert_leads("x.w.example", "x.w.example"); /* exact before wildcard */
    assert_leads("z.y.w.example", "b.example"); /* a wildcard stands for one label */
    assert_leads("wild", "b.example");          /* a common name beside others counts for nothing */
    drop_site(&s);
}

static void test_valid_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "a.b", "*.a", "a-b.c_d.example", "xn--nxasmq6b.example", "*.a.b"};
    static const char *const bad[] = {"",   ".",     "a..b", ".a",  "a.",  "*",
                                      "*.", "a.*.b", "a*.b", "a b", "a/b", "\xc3\xa4.de"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(rg_tls_name_is_valid(rg_str_of(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(rg_tls_name_is_valid(rg_str_of(bad[i])));
}

static void test_finds_names(void **state)
{
    (void)state;
    struct rg_tls_names n = {0};
    char text[32];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "h%u.Example", i);
        assert_int_equal(rg_tls_names_add(&n, rg_str_of(text), i % 8), 0);
    }
    assert_int_equal(rg_tls_names_add(&n, RG_STR("h5.example"), 7), 0);
    rg_tls_names_sort(&n);
    assert_int_equal(n.n, 100);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "H%u.example", i);
        const struct rg_tls_name *found = rg_tls_names_find(&n, rg_str_of(text));
        assert_non_null(found);
        assert_int_equal(found->certificates, i == 5 ? 1u << 5 | 1u << 7 : 1u << i % 8);
    }
    static const char *const none[] = {"", ".", "h", "h1", "h1.exampl", "*.example", "h100.example", ".example"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_null(rg_tls_names_find(&n, rg_str_of(none[i])));
    rg_tls_names_fini(&n);
}

/* ---- what can't be used ---- */

static void assert_refused(const struct pem *p, enum rg_tls_place place, const char *got)
{
    struct site s = {.keys = {0}};
    add_pair(&s, &a);
    add_pair(&s, p);
    assert_int_equal(build(&s, 1), -22);
    assert_int_equal(s.faults, 1);
    assert_int_equal(s.fault.place, place);
    assert_int_equal(s.fault.certificate, 1);
    assert_non_null(strstr(s.fault.got, got));
    assert_non_null(s.fault.wanted);
}

static void test_refusals(void **state)
{
    (void)state;
    static char empty[] = "", noise[] = "no PEM at all";
    static char cut[] = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    assert_refused(&(struct pem){empty, a.key}, RG_TLS_AT_CERT, "\"/c1\", which has no certificate");
    assert_refused(&(struct pem){noise, a.key}, RG_TLS_AT_CERT, "no certificate");
    assert_refused(&(struct pem){cut, a.key}, RG_TLS_AT_CERT, "no certificate");
    assert_refused(&(struct pem){a.cert, empty}, RG_TLS_AT_KEY, "\"/k1\", which has no private key");
    assert_refused(&(struct pem){a.cert, a.cert}, RG_TLS_AT_KEY, "no private key");
    assert_refused(&(struct pem){a.cert, b.key}, RG_TLS_AT_KEY, "not the key of the certificate");
    char *secret = encrypt_key(KEY_EC);
    assert_refused(&(struct pem){a.cert, secret}, RG_TLS_AT_KEY, "an encrypted key");
    free(secret);
    struct pem weak = make_pem(KEY_RSA_SMALL, "weak.example", NULL, 1);
    assert_refused(&weak, RG_TLS_AT_CERT, "too small");
    free_pem(&weak);
}

/* A chain that is damaged behind the first certificate must not pass for a shorter one. */
static void test_damaged_chain(void **state)
{
    (void)state;
    char *chain;
    assert_true(asprintf(&chain, "%s-----BEGIN CERTIFICATE-----\nMIIB!!\n-----END CERTIFICATE-----\n", a.cert) > 0);
    assert_refused(&(struct pem){chain, a.key}, RG_TLS_AT_CERT, "no certificate");
    free(chain);
}

static void test_ciphers(void **state)
{
    (void)state;
    struct site s = {.settings = {.ciphers = "NO-SUCH-CIPHER"}};
    add_pair(&s, &a);
    assert_int_equal(build(&s, 1), -22);
    assert_int_equal(s.fault.place, RG_TLS_AT_CIPHERS);
    assert_non_null(strstr(s.fault.got, "NO-SUCH-CIPHER"));
}

static void test_expired(void **state)
{
    (void)state;
    struct pem old = make_pem(KEY_EC, "old.example", NULL, 0);
    struct site s = {.keys = {0}};
    add_pair(&s, &old);
    assert_int_equal(build(&s, 1), 0);
    drop_site(&s);
    free_pem(&old);
    old = make_pem(KEY_EC, "old.example", NULL, -1);
    s = (struct site){.keys = {0}};
    add_pair(&s, &old);
    assert_int_equal(build(&s, 1), 0);
    assert_int_equal(s.notices, 1);
    assert_true(s.notice.expired);
    assert_string_equal(s.notice.file, "/c0");
    drop_site(&s);
    free_pem(&old);
}

/* The settings under which a handshake began are gone before it ends. */
static void test_store_changes_in_a_handshake(void **state)
{
    (void)state;
    struct site first = {.keys = {0}}, second = {.keys = {0}};
    struct pair p;
    char raw[4096];
    add_pair(&first, &b);
    add_pair(&second, &a);
    assert_int_equal(build(&first, 1), 0);
    connect_pair(&p, 0, "a.example");
    SSL_do_handshake(p.client);
    size_t n = take_from_client(&p, raw, sizeof(raw));
    feed(&p, raw, n / 2);
    assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_NOTHING);
    struct rg_tls_store *old = first.store;
    assert_int_equal(build(&second, 1), 0);
    rg_tls_store_destroy(old);
    feed(&p, raw + n / 2, n - n / 2);
    assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_NOTHING);
    give_to_client(&p);
    assert_true(shake_hands(&p, 1u << 20));
    drop_pair(&p);
    drop_site(&second);
}

static void test_keys_of_a_file(void **state)
{
    (void)state;
    static char bytes[RG_TLS_KEY_BYTES * (RG_TLS_KEYS_MAX + 1)];
    struct rg_tls_keys keys = {0};
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    assert_true(rg_tls_keys_parse((struct rg_str){bytes, 160}, &keys));
    assert_int_equal(keys.n, 2);
    assert_memory_equal(keys.list[1].name, bytes + 80, 16);
    assert_memory_equal(keys.list[1].cipher, bytes + 128, 32);
    static const size_t bad[] = {0, 1, 79, 81, 48, sizeof(bytes)};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(rg_tls_keys_parse((struct rg_str){bytes, bad[i]}, &keys));
}

/* Stores that share certificates: whichever goes first, the other works. */
static void test_rekeyed_stores(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        struct site s = {.keys = {0}};
        struct rg_tls_store *again = NULL;
        struct rg_tls_keys keys = {.n = 1};
        add_pair(&s, &a);
        assert_int_equal(build(&s, 1), 0);
        assert_int_equal(rg_tls_store_rekey(&again, s.store, &keys), 0);
        assert_true(rg_tls_store_expiry(again) > 0);
        assert_int_equal(rg_tls_store_expiry(again), rg_tls_store_expiry(s.store));
        rg_tls_store_destroy(first ? again : s.store);
        rg_tls_env_use(&env, first ? s.store : again);
        assert_leads("a.example", "a.example");
        rg_tls_env_use(&env, NULL);
        rg_tls_store_destroy(first ? s.store : again);
    }
    assert_int_equal(rg_tls_store_expiry(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),          cmocka_unit_test(test_valid_names),
        cmocka_unit_test(test_finds_names),    cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged_chain),  cmocka_unit_test(test_ciphers),
        cmocka_unit_test(test_expired),        cmocka_unit_test(test_keys_of_a_file),
        cmocka_unit_test(test_rekeyed_stores), cmocka_unit_test(test_store_changes_in_a_handshake),
    };
    return cmocka_run_group_tests(tests, make_all, drop_all);
}
