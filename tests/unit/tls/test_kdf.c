/* kdf.h and library.h: the key schedule says what OpenSSL's own says, and is the one that handshakes use. */
#include "tls_fixture.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>

#include "datapath/tls/kdf.h"
#include "datapath/tls/library.h"

static unsigned char secret[48], bytes[256];
static EVP_KDF *ours, *theirs;

static int fetch_both(void **state)
{
    (void)state;
    OSSL_LIB_CTX *library = rg_tls_library_of(0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 11 + 3);
    memcpy(secret, bytes + 7, sizeof(secret));
    ours = EVP_KDF_fetch(library, "TLS13-KDF", RG_TLS_KDF_PREFERRED);
    theirs = EVP_KDF_fetch(library, "TLS13-KDF", "provider=default");
    return ours && theirs ? 0 : -1;
}

static int drop_both(void **state)
{
    (void)state;
    EVP_KDF_free(ours);
    EVP_KDF_free(theirs);
    return 0;
}

struct question {
    char *digest;
    int mode;
    size_t key, salt; /* their bytes; 0: none */
    char *label;
    size_t context, wanted;
};

/* 1: answered, in `to`. */
static int ask(EVP_KDF *kdf, const struct question *q, unsigned char *to)
{
    static char prefix[] = "tls13 ";
    OSSL_PARAM params[8], *p = params;
    int mode = q->mode;
    *p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    if (q->digest)
        *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, q->digest, 0);
    if (q->key)
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, q->key);
    if (q->salt)
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, bytes, q->salt);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, 6);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, q->label, strlen(q->label));
    if (q->context)
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, bytes, q->context);
    *p = OSSL_PARAM_construct_end();
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    assert_non_null(ctx);
    memset(to, 0xee, 64);
    int r = EVP_KDF_derive(ctx, to, q->wanted, params);
    EVP_KDF_CTX_free(ctx);
    return r;
}

static void test_is_preferred(void **state)
{
    (void)state;
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(ours)), "ringgate");
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(theirs)), "default");
}

static void test_same_answers(void **state)
{
    (void)state;
    static const struct question rows[] = {
        {"SHA256", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, 0, "key", 0, 16},
        {"SHA256", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, 0, "iv", 0, 12},
        {"SHA2-256", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, 0, "c ap traffic", 32, 32},
        {"SHA2-384", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 48, 0, "s hs traffic", 48, 48},
        {"SHA384", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 48, 0, "resumption", 8, 48},
        {"SHA256", EVP_KDF_HKDF_MODE_EXTRACT_ONLY, 0, 0, "derived", 0, 32},
        {"SHA256", EVP_KDF_HKDF_MODE_EXTRACT_ONLY, 32, 0, "derived", 0, 32},
        {"SHA256", EVP_KDF_HKDF_MODE_EXTRACT_ONLY, 0, 32, "derived", 0, 32},
        {"SHA256", EVP_KDF_HKDF_MODE_EXTRACT_ONLY, 48, 32, "derived", 0, 32},
        {"SHA384", EVP_KDF_HKDF_MODE_EXTRACT_ONLY, 0, 0, "derived", 0, 48},
        {"SHA384", EVP_KDF_HKDF_MODE_EXTRACT_ONLY, 32, 48, "derived", 0, 48},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned char a[64], b[64];
        assert_int_equal(ask(ours, &rows[i], a), 1);
        assert_int_equal(ask(theirs, &rows[i], b), 1);
        assert_memory_equal(a, b, 64);
    }
}

static void test_what_it_refuses(void **state)
{
    (void)state;
    static const struct question rows[] = {
        {NULL, EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, 0, "key", 0, 16},          /* by which hash? */
        {"SHA1", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 20, 0, "key", 0, 16},        /* not of TLS 1.3 */
        {"SHA256", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, 0, "key", 0, 33},      /* more than a block */
        {"SHA256", EVP_KDF_HKDF_MODE_EXTRACT_ONLY, 32, 0, "derived", 0, 16}, /* less than a secret */
        {"SHA256", EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND, 32, 0, "key", 0, 16},
        {"SHA256", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, 0, "key", 256, 16}, /* a context that has no length */
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned char out[64];
        assert_int_equal(ask(ours, &rows[i], out), 0);
    }
}

/* The secret of the question before is nobody's. */
static void test_nothing_to_expand(void **state)
{
    (void)state;
    static const struct question with = {"SHA256", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, 0, "key", 0, 16},
                                 without = {"SHA256", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 0, 0, "key", 0, 16};
    unsigned char out[64];
    assert_int_equal(ask(ours, &with, out), 1);
    assert_int_equal(ask(theirs, &without, out), 0);
    assert_int_equal(ask(ours, &without, out), 0);
}

/* RFC 8448 3: from nothing, by way of the secret that both sides have computed, to the master secret. */
static void test_known_answers(void **state)
{
    (void)state;
    static char digest[] = "SHA256", prefix[] = "tls13 ", label[] = "derived";
    static unsigned char common[32] = {0x8b, 0xd4, 0x05, 0x4f, 0xb5, 0x5b, 0x9d, 0x63, 0xfd, 0xfb, 0xac,
                                       0xf9, 0xf0, 0x4b, 0x9f, 0x0d, 0x35, 0xe6, 0xd6, 0x3f, 0x53, 0x75,
                                       0x63, 0xef, 0xd4, 0x62, 0x72, 0x90, 0x0f, 0x89, 0x49, 0x2d};
    static const unsigned char secrets[3][32] = {
        {0x33, 0xad, 0x0a, 0x1c, 0x60, 0x7e, 0xc0, 0x3b, 0x09, 0xe6, 0xcd, 0x98, 0x93, 0x68, 0x0c, 0xe2,
         0x10, 0xad, 0xf3, 0x00, 0xaa, 0x1f, 0x26, 0x60, 0xe1, 0xb2, 0x2e, 0x10, 0xf1, 0x70, 0xf9, 0x2a},
        {0x1d, 0xc8, 0x26, 0xe9, 0x36, 0x06, 0xaa, 0x6f, 0xdc, 0x0a, 0xad, 0xc1, 0x2f, 0x74, 0x1b, 0x01,
         0x04, 0x6a, 0xa6, 0xb9, 0x9f, 0x69, 0x1e, 0xd2, 0x21, 0xa9, 0xf0, 0xca, 0x04, 0x3f, 0xbe, 0xac},
        {0x18, 0xdf, 0x06, 0x84, 0x3d, 0x13, 0xa0, 0x8b, 0xf2, 0xa4, 0x49, 0x84, 0x4c, 0x5f, 0x8a, 0x47,
         0x80, 0x01, 0xbc, 0x4d, 0x4c, 0x62, 0x79, 0x84, 0xd5, 0xa4, 0x1d, 0xa8, 0xd0, 0x40, 0x29, 0x19}};
    unsigned char before[32], now[32];
    for (unsigned i = 0; i < 3; i++) {
        int mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
        OSSL_PARAM params[7], *p = params;
        *p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
        *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
        if (i == 1)
            *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, common, sizeof(common));
        if (i > 0)
            *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, before, sizeof(before));
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, 6);
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, label, 7);
        *p = OSSL_PARAM_construct_end();
        EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(ours);
        assert_int_equal(EVP_KDF_derive(ctx, now, sizeof(now), params), 1);
        EVP_KDF_CTX_free(ctx);
        assert_memory_equal(now, secrets[i], 32);
        memcpy(before, now, sizeof(before));
    }
}

/* ---- where the administrator wants another provider's ---- */

static void *no_context(void *provider)
{
    return provider;
}

static void no_end(void *context)
{
    (void)context;
}

static int no_answer(void *context, unsigned char *key, size_t key_len, const OSSL_PARAM params[])
{
    (void)context;
    (void)key;
    (void)key_len;
    (void)params;
    return 0;
}

static const OSSL_ALGORITHM *other_query(void *provider, int operation, int *no_cache)
{
    static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_KDF_NEWCTX, (void (*)(void))no_context},
                                              {OSSL_FUNC_KDF_FREECTX, (void (*)(void))no_end},
                                              {OSSL_FUNC_KDF_DERIVE, (void (*)(void))no_answer},
                                              {0, NULL}};
    static const OSSL_ALGORITHM kdfs[] = {{OSSL_KDF_NAME_TLS1_3_KDF, "provider=other", functions, ""},
                                          {NULL, NULL, NULL, NULL}};
    (void)provider;
    *no_cache = 0;
    return operation == OSSL_OP_KDF ? kdfs : NULL;
}

static int other_begins(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                        void **provider)
{
    static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))other_query},
                                              {0, NULL}};
    (void)in;
    *out = functions;
    *provider = (void *)(uintptr_t)handle; /* anything that is there */
    return 1;
}

static void expect_provider(const char *wanted, const char *properties)
{
    OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
    assert_int_equal(OSSL_PROVIDER_add_builtin(library, "other", other_begins), 1);
    OSSL_PROVIDER *standard = OSSL_PROVIDER_load(library, "default"), *other = OSSL_PROVIDER_load(library, "other");
    assert_true(standard && other);
    assert_int_equal(EVP_set_default_properties(library, properties), 1);
    struct rg_tls_kdf kdf;
    bool is_ours = strcmp(wanted, "ringgate") == 0;
    assert_int_equal(rg_tls_kdf_init(&kdf, library), is_ours ? 0 : -EEXIST);
    EVP_KDF *found = EVP_KDF_fetch(library, "TLS13-KDF", RG_TLS_KDF_PREFERRED);
    assert_non_null(found);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(found)), wanted);
    EVP_KDF_free(found);
    rg_tls_kdf_fini(&kdf);
    OSSL_PROVIDER_unload(other);
    OSSL_PROVIDER_unload(standard);
    OSSL_LIB_CTX_free(library);
}

static void test_the_administrator_chooses(void **state)
{
    (void)state;
    expect_provider("ringgate", "");
    expect_provider("default", "provider=default");
    expect_provider("other", "?provider=other");
}

static void test_workers_share_no_library(void **state)
{
    (void)state;
    assert_non_null(rg_tls_library_of(0));
    assert_ptr_equal(rg_tls_library_of(0), rg_tls_library_of(0));
    assert_ptr_not_equal(rg_tls_library_of(0), rg_tls_library_of(1));
    assert_non_null(rg_tls_library_of(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_preferred),
        cmocka_unit_test(test_same_answers),
        cmocka_unit_test(test_what_it_refuses),
        cmocka_unit_test(test_nothing_to_expand),
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_the_administrator_chooses),
        cmocka_unit_test(test_workers_share_no_library),
    };
    return cmocka_run_group_tests(tests, fetch_both, drop_both);
}
