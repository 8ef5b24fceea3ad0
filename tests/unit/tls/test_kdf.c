/* kdf.h and library.h: the key schedule says what OpenSSL's own says, and is the one that handshakes use. */
#include "tls_fixture.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>

#include "datapath/tls/kdf.h"
#include "datapath/tls/library.h"

static unsigned char secret[48], context[64];
static EVP_KDF *ours, *theirs;

static int fetch_both(void **state)
{
    (void)state;
    OSSL_LIB_CTX *library = rg_tls_library_of(0);
    for (size_t i = 0; i < sizeof(context); i++)
        context[i] = (unsigned char)(i * 11 + 3);
    memcpy(secret, context + 7, sizeof(secret));
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
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, context, q->salt);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, 6);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, q->label, strlen(q->label));
    if (q->context)
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, context, q->context);
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
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned char out[64];
        assert_int_equal(ask(ours, &rows[i], out), 0);
    }
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
        cmocka_unit_test(test_workers_share_no_library),
    };
    return cmocka_run_group_tests(tests, fetch_both, drop_both);
}
