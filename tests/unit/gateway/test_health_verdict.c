/* Which answers of a replica count as healthy: status ranges, CBOR, and what is hostile in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "control/gateway/health.h"

#define HEALTHY_MAP "\xa1\x75replica_health_status\x67healthy"
#define SICK_MAP    "\xa1\x75replica_health_status\x78\x1bwaiting_for_certified_state"
#define TAG         "\xd9\xd9\xf7"

static char why[RG_HEALTH_WHY_MAX];

static bool judge(enum rg_health_expect expect, uint16_t status, const char *type, struct rg_str body)
{
    struct rg_health_settings s = {.expect = (uint8_t)expect, .status_min = 200, .status_max = 399};
    struct rg_health_answer a = {status, rg_str_of(type), body};
    memset(why, 'x', sizeof(why));
    bool healthy = rg_health_judge(&s, &a, why, sizeof(why));
    assert_true(healthy == (why[0] == '\0')); /* a reason exactly when there is one */
    return healthy;
}

#define CBOR(literal) RG_STR(literal)

static void ranges_look_at_the_status_only(void **state)
{
    (void)state;
    assert_true(judge(RG_EXPECT_RANGE, 200, "", RG_STR_NONE));
    assert_true(judge(RG_EXPECT_RANGE, 399, "application/cbor", CBOR(SICK_MAP)));
    assert_false(judge(RG_EXPECT_RANGE, 199, "", RG_STR_NONE));
    assert_false(judge(RG_EXPECT_RANGE, 400, "", RG_STR_NONE));
    assert_string_equal(why, "status is 400, wanted 200 to 399");
}

static void ic_status_wants_the_word(void **state)
{
    (void)state;
    assert_true(judge(RG_EXPECT_IC_STATUS, 200, "application/cbor", CBOR(HEALTHY_MAP)));
    assert_true(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR(TAG HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_IC_STATUS, 500, "application/cbor", CBOR(HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "application/cbor", CBOR(SICK_MAP)));
    assert_string_equal(why, "replica_health_status is 'waiting_for_certified_state', wanted 'healthy'");
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "text/html", RG_STR("<h1>It works!</h1>")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "application/cbor", RG_STR_NONE));
}

static void auto_believes_cbor_and_takes_any_other_answer(void **state)
{
    (void)state;
    assert_true(judge(RG_EXPECT_AUTO, 200, "text/html", RG_STR("hello")));
    assert_true(judge(RG_EXPECT_AUTO, 404, "", RG_STR_NONE));
    assert_false(judge(RG_EXPECT_AUTO, 500, "", RG_STR_NONE));
    assert_false(judge(RG_EXPECT_AUTO, 503, "application/cbor", CBOR(HEALTHY_MAP)));
    assert_true(judge(RG_EXPECT_AUTO, 200, "application/cbor", CBOR(HEALTHY_MAP)));
    assert_true(judge(RG_EXPECT_AUTO, 200, "Application/CBOR; charset=x", CBOR(TAG HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_AUTO, 200, "application/cbor", CBOR(SICK_MAP)));
    assert_false(judge(RG_EXPECT_AUTO, 200, "", CBOR(TAG SICK_MAP)));             /* by its tag */
    assert_false(judge(RG_EXPECT_AUTO, 200, "application/cbor", RG_STR("<h1>"))); /* says CBOR and is not */
    assert_true(judge(RG_EXPECT_AUTO, 200, "application/cbor-seq", RG_STR("x"))); /* another type */
}

static void other_keys_and_kinds_do_not_matter(void **state)
{
    (void)state;
    /* {"ic_api_version": "0.18.0", "root_key": h'0102', _ "x": [1, -2, 1.5, true, null], status} */
    assert_true(judge(RG_EXPECT_IC_STATUS, 200, "",
                      CBOR(TAG "\xbf\x6eic_api_version\x66"
                               "0.18.0\x68root_key\x42\x01\x02\x61x\x85\x01\x21\xf9\x3e\x00\xf5\xf6"
                               "\x75replica_health_status\x67healthy\xff")));
    /* the key as bytes, not text; the value as a number; the key twice; inside another map; an array */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xa1\x55replica_health_status\x67healthy")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xa1\x75replica_health_status\x01")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "",
                       CBOR("\xa2\x75replica_health_status\x67healthy\x75replica_health_status\x67healthy")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xa1\x61x" HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\x81" HEALTHY_MAP)));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xd9\xd9\xf6" HEALTHY_MAP))); /* another tag */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xa1\x75replica_health_status\x67Healthy")));
}

static void hostile_cbor_is_refused_before_it_is_decoded(void **state)
{
    (void)state;
    static char deep[60000], wide[60000];
    memset(deep, '\x81', sizeof(deep)); /* arrays in arrays */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){deep, sizeof(deep)}));
    memset(deep, '\xd8', sizeof(deep)); /* tags on tags */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){deep, sizeof(deep)}));
    memset(wide, 0, sizeof(wide)); /* an array of very many */
    memcpy(wide, "\x9f", 1);
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){wide, sizeof(wide)}));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"))); /* 2^64-1 items */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"))); /* bytes */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xbb\x80\x00\x00\x00\x00\x00\x00\x01"))); /* map, doubled */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR(HEALTHY_MAP "\x00")));                     /* trailing */
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xff")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\x1f")));
    assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", CBOR("\xbf\x01\xff"))); /* a key without a value */
}

/* Every cut and every changed byte: no verdict of healthy but for the whole word, and nothing for the sanitizer. */
static void mutations_never_look_healthy_by_accident(void **state)
{
    (void)state;
    static const char good[] = TAG "\xa2\x61x\x82\x01\x62yz\x75replica_health_status\x67healthy";
    char *copy = malloc(sizeof(good) - 1);
    assert_non_null(copy);
    for (size_t len = 0; len < sizeof(good) - 1; len++) {
        char *cut = malloc(len + 1);
        assert_non_null(cut);
        memcpy(cut, good, len);
        assert_false(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){cut, len}));
        free(cut);
    }
    for (size_t i = sizeof(good) - 1 - 30; i < sizeof(good) - 1; i++) {
        for (unsigned c = 0; c < 256; c++) {
            memcpy(copy, good, sizeof(good) - 1);
            copy[i] = (char)c;
            bool same = copy[i] == good[i];
            assert_int_equal(judge(RG_EXPECT_IC_STATUS, 200, "", (struct rg_str){copy, sizeof(good) - 1}), same);
        }
    }
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_look_at_the_status_only),
        cmocka_unit_test(ic_status_wants_the_word),
        cmocka_unit_test(auto_believes_cbor_and_takes_any_other_answer),
        cmocka_unit_test(other_keys_and_kinds_do_not_matter),
        cmocka_unit_test(hostile_cbor_is_refused_before_it_is_decoded),
        cmocka_unit_test(mutations_never_look_healthy_by_accident),
    };
    return cmocka_run_group_tests_name("health_verdict", tests, NULL, NULL);
}
