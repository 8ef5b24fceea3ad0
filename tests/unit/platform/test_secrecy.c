/* Identities that nobody guesses, hashes, and what is sealed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "control/common/ids.h"
#include "control/platform/seal.h"

static void test_uuids(void **state)
{
    char a[RG_UUID_LEN + 1], b[RG_UUID_LEN + 1];
    (void)state;
    rg_uuid_make(a, 0x0123456789ab);
    rg_uuid_make(b, 0x0123456789ab);
    assert_memory_equal(a, "01234567-89ab-7", 15); /* the time, and the version */
    assert_non_null(strchr("89ab", a[19]));
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), RG_UUID_LEN);
    for (size_t i = 0; i < RG_UUID_LEN; i++)
        assert_true(i == 8 || i == 13 || i == 18 || i == 23 ? a[i] == '-' : strchr("0123456789abcdef", a[i]) != NULL);
    rg_uuid_make(b, 0x0123456789ac);
    assert_true(strcmp(a, b) < 0); /* in the order of time */
    rg_uuid_derive(a, 5, RG_STR("name"));
    rg_uuid_derive(b, 5, RG_STR("name"));
    assert_string_equal(a, b);
    rg_uuid_derive(b, 5, RG_STR("other"));
    assert_string_not_equal(a, b);
}

static void test_tokens(void **state)
{
    char a[RG_TOKEN_LEN + 1], b[RG_TOKEN_LEN + 1], hash[RG_SHA256_LEN + 1];
    unsigned seen[128] = {0}, kinds = 0;
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        rg_token_make(a);
        rg_token_make(b);
        assert_string_not_equal(a, b);
        assert_true(rg_token_is_valid(rg_str_of(a)));
        for (size_t c = 0; c < RG_TOKEN_LEN; c++)
            seen[(unsigned char)a[c]]++;
    }
    for (unsigned c = 0; c < 128; c++)
        kinds += seen[c] > 0;
    assert_int_equal(kinds, 64); /* the whole alphabet is used */
    a[5] = '+';
    assert_false(rg_token_is_valid(rg_str_of(a)));
    assert_false(rg_token_is_valid((struct rg_str){b, RG_TOKEN_LEN - 1}));
    rg_sha256_hex(hash, RG_STR("abc"));
    assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* What was changed, was sealed for another place or with another key, does not open. */
static void test_seal(void **state)
{
    struct rg_seal seal, other;
    struct rg_str plain = RG_STR("Bearer sk-123456"), place = RG_STR("row 1");
    char error[128];
    size_t sealed_len, again_len, len;
    (void)state;
    assert_int_equal(rg_seal_init(&seal, NULL, error, sizeof(error)), 0);
    assert_int_equal(rg_seal_init(&other, NULL, error, sizeof(error)), 0);
    char *sealed = rg_seal_close(&seal, place, plain, &sealed_len);
    char *again = rg_seal_close(&seal, place, plain, &again_len);
    assert_non_null(sealed);
    assert_non_null(again);
    assert_int_equal(sealed_len, plain.len + RG_SEAL_OVERHEAD);
    assert_memory_not_equal(sealed, again, sealed_len); /* another nonce each time */
    assert_null(memmem(sealed, sealed_len, "sk-123456", 9));
    struct rg_str box = {sealed, sealed_len};
    char *opened = rg_seal_open(&seal, place, box, &len);
    assert_non_null(opened);
    assert_int_equal(len, plain.len);
    assert_string_equal(opened, plain.ptr);
    free(opened);
    assert_null(rg_seal_open(&seal, RG_STR("row 2"), box, &len));
    assert_null(rg_seal_open(&other, place, box, &len));
    for (size_t i = 0; i < sealed_len; i++) {
        sealed[i] ^= 1;
        assert_null(rg_seal_open(&seal, place, box, &len));
        sealed[i] ^= 1;
    }
    for (size_t n = 0; n < sealed_len; n++)
        assert_null(rg_seal_open(&seal, place, (struct rg_str){sealed, n}, &len));
    free(sealed);
    free(again);
    sealed = rg_seal_close(&seal, place, RG_STR(""), &sealed_len);
    opened = rg_seal_open(&seal, place, (struct rg_str){sealed, sealed_len}, &len);
    assert_non_null(opened);
    assert_int_equal(len, 0);
    free(opened);
    free(sealed);
    rg_seal_fini(&seal);
    rg_seal_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_uuids), cmocka_unit_test(test_tokens),
                                       cmocka_unit_test(test_seal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
