#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "datapath/http/fields_table.h"
#include "tests/unit/http/h1_test.h"

static const struct {
    const char *id, *name;
} all[] = {
    {NULL, NULL},
#define RG_FIELD(id, name, flags) {#id, name},
#include "datapath/http/fields.def"
#undef RG_FIELD
};

static unsigned hash_of(const char *name, uint64_t factor)
{
    char padded[RG_FIELD_NAME_MAX] = {0};
    memcpy(padded, name, strlen(name));
    return rg_field_hash(rg_field_word(padded, 0), rg_field_word(padded, 1), rg_field_word(padded, 2), factor);
}

static bool is_perfect(uint64_t factor, unsigned slots[RG_FIELD_HASH_SLOTS])
{
    memset(slots, 0, sizeof(*slots) * RG_FIELD_HASH_SLOTS);
    for (unsigned id = 1; id < RG_FIELD_COUNT; id++) {
        unsigned *slot = &slots[hash_of(all[id].name, factor)];
        if (*slot)
            return false;
        *slot = id;
    }
    return true;
}

/* The tables of fields.c for the fields of today. */
static void print_tables(void)
{
    unsigned slots[RG_FIELD_HASH_SLOTS];
    uint64_t seed = 1, factor = 0;
    for (int i = 0; i < 10000000; i++) {
        factor = h1_random(&seed) | 1;
        if (!is_perfect(factor, slots))
            continue;
        printf("const uint64_t rg_field_hash_factor = 0x%016llx;\n", (unsigned long long)factor);
        printf("const uint8_t rg_field_slots[RG_FIELD_HASH_SLOTS] = {\n");
        for (unsigned s = 0; s < RG_FIELD_HASH_SLOTS; s++)
            if (slots[s])
                printf("    [%u] = RG_FIELD_%s,\n", s, all[slots[s]].id);
        printf("};\n");
        return;
    }
    printf("no factor found: raise RG_FIELD_HASH_BITS\n");
}

static void slots_fit_the_fields(void **state)
{
    (void)state;
    unsigned slots[RG_FIELD_HASH_SLOTS];
    bool good = is_perfect(rg_field_hash_factor, slots);
    for (unsigned s = 0; s < RG_FIELD_HASH_SLOTS && good; s++)
        good = slots[s] == rg_field_slots[s];
    if (!good) {
        printf("fields.def changed; put this into fields.c:\n");
        print_tables();
    }
    assert_true(good);
}

static void every_field_is_found_in_any_case(void **state)
{
    (void)state;
    for (unsigned id = 1; id < RG_FIELD_COUNT; id++) {
        char name[RG_FIELD_NAME_MAX] = {0};
        size_t len = strlen(all[id].name);
        memcpy(name, all[id].name, len);
        assert_int_equal(rg_field_lookup(name, len), id);
        for (size_t i = 0; i < len; i++)
            if (name[i] >= 'a' && name[i] <= 'z' && i % 2 == 0)
                name[i] = (char)(name[i] - 32);
        assert_int_equal(rg_field_lookup(name, len), id);
        assert_str(rg_field_id_name((enum rg_field_id)id), all[id].name);
    }
}

static void neighbours_are_not_found(void **state)
{
    (void)state;
    for (unsigned id = 1; id < RG_FIELD_COUNT; id++) {
        char name[RG_FIELD_NAME_MAX + 2] = {0};
        size_t len = strlen(all[id].name);
        memcpy(name, all[id].name, len);
        if (strcmp(name, "te") != 0) /* "t" is nothing, but "te" is a prefix of others */
            assert_int_not_equal(rg_field_lookup(name, len - 1), id);
        assert_int_equal(rg_field_lookup(name, len + 1), RG_FIELD_OTHER); /* with a NUL */
        name[len] = 's';
        assert_int_not_equal(rg_field_lookup(name, len + 1), id);
        name[len] = '\0';
        for (size_t i = 0; i < len; i++) {
            char c = name[i];
            name[i] = (char)(c ^ 0x20); /* another case of a letter; '-' becomes CR, a digit a control byte */
            bool is_letter = c >= 'a' && c <= 'z';
            assert_int_equal(rg_field_lookup(name, len), is_letter ? id : RG_FIELD_OTHER);
            name[i] = '_';
            assert_int_equal(rg_field_lookup(name, len), RG_FIELD_OTHER);
            name[i] = c;
        }
    }
}

static void odd_names_are_other(void **state)
{
    (void)state;
    assert_int_equal(rg_field_lookup("", 0), RG_FIELD_OTHER);
    assert_int_equal(rg_field_lookup("\0\0\0\0", 4), RG_FIELD_OTHER);
    assert_int_equal(rg_field_lookup("a-name-that-is-far-longer-than-all-others", 41), RG_FIELD_OTHER);
    assert_int_equal(rg_field_lookup("sec-websocket-version-23", 24), RG_FIELD_OTHER);
}

static void flags_are_those_of_the_table(void **state)
{
    (void)state;
    assert_int_equal(rg_field_flags(RG_FIELD_OTHER), 0);
    assert_int_equal(rg_field_flags(RG_FIELD_TRANSFER_ENCODING),
                     RG_FIELD_IS_HOP | RG_FIELD_IS_END | RG_FIELD_IS_NOTRAILER);
    assert_int_equal(rg_field_flags(RG_FIELD_X_REAL_IP), RG_FIELD_IS_FWD | RG_FIELD_IS_END | RG_FIELD_IS_NOTRAILER);
    assert_int_equal(rg_field_flags(RG_FIELD_USER_AGENT), 0);
    assert_int_equal(rg_field_id_name(RG_FIELD_OTHER).len, 0);
}

static void safe_methods(void **state)
{
    (void)state;
    assert_true(rg_method_is_safe(RG_METHOD_GET) && rg_method_is_safe(RG_METHOD_HEAD));
    assert_true(rg_method_is_safe(RG_METHOD_OPTIONS) && rg_method_is_safe(RG_METHOD_TRACE));
    assert_false(rg_method_is_safe(RG_METHOD_POST) || rg_method_is_safe(RG_METHOD_OTHER));
    assert_false(rg_method_is_safe(RG_METHOD_CONNECT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_fit_the_fields),         cmocka_unit_test(every_field_is_found_in_any_case),
        cmocka_unit_test(neighbours_are_not_found),     cmocka_unit_test(odd_names_are_other),
        cmocka_unit_test(flags_are_those_of_the_table), cmocka_unit_test(safe_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
