/* Sets of API keys: who is let in, and replacing a set while workers look into it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath/policy/digest.h"
#include "datapath/policy/keys.h"

#define KEYS 500

static struct rg_key *make_keys(unsigned n, unsigned from)
{
    struct rg_key *keys = calloc(n, sizeof *keys);
    for (unsigned i = 0; i < n; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "key-%u", from + i);
        rg_digest((struct rg_str){text, (size_t)len}, keys[i].hash);
        keys[i].name = RG_STR("name");
    }
    return keys;
}

static enum rg_key_verdict check(struct rg_key_set *set, unsigned number)
{
    char text[32];
    int len = snprintf(text, sizeof text, "key-%u", number);
    return rg_key_set_check(set, 0, (struct rg_str){text, (size_t)len}, 5000);
}

static void let_in(void **state)
{
    (void)state;
    struct rg_key_set *set = rg_key_set_create();
    struct rg_key *keys = make_keys(KEYS, 0);
    assert_int_equal(check(set, 1), RG_KEY_UNKNOWN);
    keys[1].expires_ms = 5000;
    keys[2].expires_ms = 5001;
    keys[3].name = RG_STR_NONE;
    assert_int_equal(rg_key_set_replace(set, keys, KEYS), 0);
    assert_int_equal(rg_key_set_size(set), KEYS);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(check(set, i), i == 1 ? RG_KEY_EXPIRED : RG_KEY_GOOD);
    assert_int_equal(check(set, KEYS), RG_KEY_UNKNOWN);
    assert_int_equal(rg_key_set_replace(set, keys + 5, 1), 0);
    assert_int_equal(check(set, 4), RG_KEY_UNKNOWN);
    assert_int_equal(check(set, 5), RG_KEY_GOOD);
    assert_int_equal(rg_key_set_replace(set, NULL, 0), 0);
    assert_int_equal(check(set, 5), RG_KEY_UNKNOWN);
    free(keys);
    rg_key_set_unref(rg_key_set_ref(set));
    rg_key_set_unref(set);
    rg_key_set_unref(NULL);
}

static void hashes(void **state)
{
    (void)state;
    uint8_t hash[RG_KEY_HASH_LEN], wanted[RG_KEY_HASH_LEN];
    rg_digest(RG_STR("abc"), wanted);
    assert_true(rg_key_hash_parse(RG_STR("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61F20015AD"), hash));
    assert_memory_equal(hash, wanted, sizeof hash);
    assert_false(rg_key_hash_parse(RG_STR("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a"), hash));
    assert_false(rg_key_hash_parse(RG_STR("xa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), hash));
}

static void digests_that_differ(void **state)
{
    (void)state;
    uint8_t a[RG_DIGEST_LEN], b[RG_DIGEST_LEN];
    assert_true(rg_digest(RG_STR("abc"), a));
    memcpy(b, a, sizeof b);
    assert_true(rg_digest_eq(a, b));
    for (unsigned bit = 0; bit < RG_DIGEST_LEN * 8; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(rg_digest_eq(a, b));
        b[bit / 8] = a[bit / 8];
    }
}

struct reader {
    struct rg_key_set *set;
    uint16_t worker;
    bool stop;
    unsigned long looked;
};

static void *read_on(void *p)
{
    struct reader *r = p;
    while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
        /* Key 7 is in every table. */
        if (rg_key_set_check(r->set, r->worker, RG_STR("key-7"), 1) != RG_KEY_GOOD)
            abort();
        r->looked++;
    }
    return NULL;
}

/* The sanitizers see a table that is freed too early. */
static void replaced_under_readers(void **state)
{
    (void)state;
    struct rg_key_set *set = rg_key_set_create();
    struct rg_key *keys = make_keys(8, 0);
    struct reader readers[3];
    pthread_t ids[3];
    assert_int_equal(rg_key_set_replace(set, keys, 8), 0);
    for (uint16_t i = 0; i < 3; i++) {
        readers[i] = (struct reader){.set = set, .worker = i};
        assert_int_equal(pthread_create(&ids[i], NULL, read_on, &readers[i]), 0);
    }
    for (int i = 0; i < 300; i++)
        assert_int_equal(rg_key_set_replace(set, keys, 8), 0);
    for (int i = 0; i < 3; i++) {
        __atomic_store_n(&readers[i].stop, true, __ATOMIC_RELEASE);
        pthread_join(ids[i], NULL);
    }
    rg_key_set_unref(set);
    free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(let_in),
        cmocka_unit_test(hashes),
        cmocka_unit_test(digests_that_differ),
        cmocka_unit_test(replaced_under_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
