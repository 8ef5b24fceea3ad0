/* kdf.h: where OpenSSL's state could not be made whole, that is found out before it is used. */
#include "tls_fixture.h"

#include <errno.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "datapath/tls/kdf.h"

static long left = -1, taken; /* allocations before the one that fails (< 0: none does), and how many there were */

static bool has_memory(void)
{
    taken++;
    return left < 0 || left-- != 0;
}

static void *allocate(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return has_memory() ? malloc(n) : NULL;
}

static void *reallocate(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return has_memory() ? realloc(p, n) : NULL;
}

static void release(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* What each handshake of TLS 1.3 looks up. */
static void expect_whole(OSSL_LIB_CTX *library)
{
    EVP_MD *sha256 = EVP_MD_fetch(library, "SHA2-256", NULL), *sha384 = EVP_MD_fetch(library, "SHA2-384", NULL);
    EVP_MAC *hmac = EVP_MAC_fetch(library, "HMAC", NULL);
    EVP_KDF *kdf = EVP_KDF_fetch(library, "TLS13-KDF", RG_TLS_KDF_PREFERRED);
    assert_non_null(sha256);
    assert_non_null(sha384);
    assert_non_null(hmac);
    assert_non_null(kdf);
    EVP_KDF_free(kdf);
    EVP_MAC_free(hmac);
    EVP_MD_free(sha384);
    EVP_MD_free(sha256);
}

/* false: it is not to be used. */
static bool make_one(long fails)
{
    struct rg_tls_kdf kdf;
    OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
    assert_non_null(library);
    taken = 0;
    left = fails;
    bool ok = rg_tls_kdf_init(&kdf, library) != -ENOMEM;
    left = -1;
    long n = taken;
    if (ok)
        expect_whole(library);
    rg_tls_kdf_fini(&kdf);
    OSSL_LIB_CTX_free(library);
    taken = n;
    return ok;
}

/* OpenSSL goes on without what it had no memory for, and does not look for it again: one allocation that fails is
 * enough for a library that can make no handshake any more. */
static void test_one_allocation_fails(void **state)
{
    (void)state;
    unsigned refused = 0;
    assert_true(make_one(-1)); /* makes what all of them share, too */
    assert_true(make_one(-1));
    long all = taken;
    for (long i = 0; i < all; i += 11)
        refused += !make_one(i);
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_allocation_fails),
    };
    if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
