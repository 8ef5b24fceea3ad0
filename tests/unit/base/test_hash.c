/* Keyed hashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "datapath/base/hash.h"

static const struct rg_hash_secret secret = {{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};

/* The vectors of the paper "SipHash: a fast short-input PRF": input 00 01 02 ... */
static void vectors(void **state)
{
    (void)state;
    static const uint64_t wanted[] = {UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd),
                                      UINT64_C(0x0d6c8009d9a94f5a)};
    char in[15];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)i;
    for (size_t n = 0; n < 3; n++)
        assert_int_equal(rg_hash(&secret, 0, (struct rg_str){in, n}), wanted[n]);
    assert_int_equal(rg_hash(&secret, 0, (struct rg_str){in, 15}), UINT64_C(0xa129ca6149be45e5));
    assert_int_not_equal(rg_hash(&secret, 1, RG_STR("a")), rg_hash(&secret, 2, RG_STR("a")));
}

static void secrets_differ(void **state)
{
    (void)state;
    struct rg_hash_secret a = {{0, 0}}, b = {{0, 0}};
    assert_true(rg_hash_secret_make(&a) && rg_hash_secret_make(&b));
    assert_int_not_equal(rg_hash(&a, 0, RG_STR("192.0.2.1")), rg_hash(&b, 0, RG_STR("192.0.2.1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(secrets_differ)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
