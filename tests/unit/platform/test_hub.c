/* The hub: who hears what, who is closed, and how many may come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/platform/hub.h"

struct member {
    struct rg_hub_member member;
    struct rg_hub *hub;
    unsigned sent, closed;
    char last[64];
    bool leaves; /* when it is spoken to, as one whose queue is full */
};

static void take(struct rg_hub_member *member, struct rg_str text)
{
    struct member *m = RG_CONTAINER(member, struct member, member);
    m->sent++;
    snprintf(m->last, sizeof(m->last), "%.*s", (int)text.len, text.ptr);
    if (m->leaves)
        rg_hub_remove(m->hub, member);
}

static void end(struct rg_hub_member *member, const char *reason)
{
    struct member *m = RG_CONTAINER(member, struct member, member);
    m->closed++;
    snprintf(m->last, sizeof(m->last), "%s", reason);
    rg_hub_remove(m->hub, member);
}

static bool add(struct rg_hub *hub, struct member *m, const char *key, const char *token)
{
    *m = (struct member){.hub = hub, .member = {.send = take, .close = end}};
    snprintf(m->member.key, sizeof(m->member.key), "%s", key);
    snprintf(m->member.token, sizeof(m->member.token), "%s", token);
    m->member.stream = strncmp(token, "user", 4) == 0; /* as operators' tokens are called here */
    return rg_hub_add(hub, &m->member) == RG_HUB_ADDED;
}

static void send_to(struct rg_hub *hub, enum rg_effect_kind kind, const char *target, const char *text)
{
    struct rg_effects effects;
    rg_effects_init(&effects);
    rg_effects_add(&effects, kind, target, text);
    assert_false(rg_hub_apply(hub, &effects));
    rg_effects_fini(&effects);
}

static void test_fan_out(void **state)
{
    (void)state;
    struct rg_hub *hub;
    struct member a, b, other, stream;
    assert_int_equal(rg_hub_create(&hub, NULL), 0);
    assert_true(add(hub, &a, "gateway-1", "token-1") && add(hub, &b, "gateway-1", "token-2") &&
                add(hub, &other, "gateway-2", "token-3") && add(hub, &stream, "organization", "user-1"));
    assert_int_equal(rg_hub_connections(hub), 3);
    assert_int_equal(rg_hub_streams(hub), 1);
    send_to(hub, RG_EFFECT_SEND, "gateway-1", "one");
    assert_int_equal(a.sent + b.sent, 2);
    assert_int_equal(other.sent + stream.sent, 0);
    send_to(hub, RG_EFFECT_SEND, "organization", "not for streams");
    assert_int_equal(stream.sent, 0);
    send_to(hub, RG_EFFECT_NOTICE, "organization", "for streams");
    assert_string_equal(stream.last, "for streams");

    a.leaves = true; /* the others still hear */
    send_to(hub, RG_EFFECT_SEND, "gateway-1", "two");
    assert_string_equal(b.last, "two");
    send_to(hub, RG_EFFECT_SEND, "gateway-1", "three");
    assert_int_equal(a.sent, 2);
    assert_int_equal(b.sent, 3);
    send_to(hub, RG_EFFECT_CLOSE_TOKEN, "token-2", NULL);
    assert_int_equal(b.closed, 1);
    assert_int_equal(other.closed, 0);
    send_to(hub, RG_EFFECT_CLOSE_GATEWAY, "gateway-2", "The gateway was deleted.");
    assert_string_equal(other.last, "The gateway was deleted.");
    assert_int_equal(rg_hub_connections(hub), 0);
    send_to(hub, RG_EFFECT_CLOSE_TOKEN, "user-2", "The token was revoked.");
    assert_int_equal(stream.closed, 0);
    send_to(hub, RG_EFFECT_CLOSE_TOKEN, "user-1", "The token was revoked.");
    assert_int_equal(stream.closed, 1);
    assert_int_equal(rg_hub_streams(hub), 0);
    rg_hub_remove(hub, &stream.member);
    rg_hub_remove(hub, &stream.member);
    rg_hub_destroy(hub);
}

static void test_wake(void **state)
{
    (void)state;
    struct rg_hub *hub;
    struct rg_effects effects, more;
    assert_int_equal(rg_hub_create(&hub, NULL), 0);
    rg_effects_init(&effects);
    rg_effects_init(&more);
    rg_effects_add(&more, RG_EFFECT_SEND, "nobody", "x");
    rg_effects_add(&more, RG_EFFECT_WAKE_SWEEPER, "", NULL);
    rg_effects_move(&effects, &more);
    rg_effects_move(&effects, &more); /* empty now */
    assert_int_equal(effects.count, 2);
    assert_true(rg_hub_apply(hub, &effects));
    rg_effects_fini(&effects);
    rg_effects_fini(&more);
    rg_hub_destroy(hub);
}

static void test_limits(void **state)
{
    (void)state;
    struct rg_hub *hub;
    struct rg_hub_limits limits = {.connections = 2, .streams = 1, .connects_per_minute = 60};
    struct member m[4];
    unsigned admitted = 0;
    assert_int_equal(rg_hub_create(&hub, &limits), 0);
    assert_true(add(hub, &m[0], "g", "t") && add(hub, &m[1], "g", "t"));
    assert_false(add(hub, &m[2], "g", "t"));
    assert_true(add(hub, &m[3], "o", "user-1"));
    rg_hub_remove(hub, &m[2].member); /* was not taken in */
    for (unsigned i = 0; i < 100; i++)
        admitted += rg_hub_admits(hub, RG_STR("192.0.2.1"), 5000);
    assert_int_equal(admitted, 60);
    assert_true(rg_hub_admits(hub, RG_STR("192.0.2.2"), 5000)); /* another client */
    assert_true(rg_hub_admits(hub, RG_STR("192.0.2.1"), 6000)); /* one a second */
    assert_false(rg_hub_admits(hub, RG_STR("192.0.2.1"), 6000));
    assert_true(rg_hub_admits(hub, RG_STR("192.0.2.1"), 90000000));
    rg_hub_remove(hub, &m[0].member);
    rg_hub_remove(hub, &m[1].member);
    rg_hub_remove(hub, &m[3].member);
    rg_hub_destroy(hub);
}

static void test_limit_of_a_gateway(void **state)
{
    (void)state;
    struct rg_hub *hub;
    struct rg_hub_limits limits = {.connections = 4, .of_gateway = 2, .streams = 9};
    struct member m[8];
    assert_int_equal(rg_hub_create(&hub, &limits), 0);
    assert_true(add(hub, &m[0], "g", "t") && add(hub, &m[1], "g", "other-token"));
    assert_false(add(hub, &m[2], "g", "t"));
    assert_int_equal(rg_hub_add(hub, &m[2].member), RG_HUB_GATEWAY_FULL);
    assert_true(add(hub, &m[3], "g", "user-1")); /* a stream is none of them */
    assert_true(add(hub, &m[4], "h", "t") && add(hub, &m[5], "i", "t"));
    assert_false(add(hub, &m[6], "i", "t"));
    assert_int_equal(rg_hub_add(hub, &m[6].member), RG_HUB_FULL);
    rg_hub_remove(hub, &m[2].member); /* was not taken in: nobody's room */
    assert_false(add(hub, &m[2], "g", "t"));
    rg_hub_remove(hub, &m[0].member);
    assert_true(add(hub, &m[2], "g", "t"));
    for (unsigned i = 1; i < 6; i++)
        rg_hub_remove(hub, &m[i].member);
    assert_int_equal(rg_hub_connections(hub) + rg_hub_streams(hub), 0);
    rg_hub_destroy(hub);
}

/* Whether the second shares what the first may: one connect a minute. */
static bool are_one(const char *first, const char *second)
{
    struct rg_hub *hub;
    struct rg_hub_limits limits = {.connects_per_minute = 1};
    assert_int_equal(rg_hub_create(&hub, &limits), 0);
    assert_true(rg_hub_admits(hub, rg_str_of(first), 60000));
    bool one = !rg_hub_admits(hub, rg_str_of(second), 60000);
    rg_hub_destroy(hub);
    return one;
}

/* By chance two of them may share a bucket, but not again and again. */
static bool are_always_one(const char *first, const char *second)
{
    for (unsigned i = 0; i < 4; i++)
        if (!are_one(first, second))
            return false;
    return true;
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        bool same;
    } rows[] = {{"192.0.2.1", "192.0.2.1", true},          {"::ffff:192.0.2.1", "192.0.2.1", true},
                {"2001:db8::1", "2001:db8::ffff:1", true}, {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
                {"2001:db8::1", "2001:db8:0:1::1", false}, {"192.0.2.1", "", false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (are_always_one(rows[i].first, rows[i].second) != rows[i].same)
            fail_msg("%s and %s", rows[i].first, rows[i].second);
}

static uint32_t public_hash(const char *text)
{
    uint32_t hash = 2166136261u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash ^ hash >> 16;
}

/* Who knows the program still can't choose an address that uses up what another one may. */
static void test_nobody_aims(void **state)
{
    (void)state;
    char aimed[32];
    unsigned found = 0;
    for (unsigned i = 0; found < 8; i++) {
        assert_true(i < 65536);
        snprintf(aimed, sizeof(aimed), "10.1.%u.%u", i >> 8, i & 255);
        if ((public_hash(aimed) & 1023) != (public_hash("192.0.2.1") & 1023))
            continue;
        found++;
        assert_false(are_always_one(aimed, "192.0.2.1"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fan_out),   cmocka_unit_test(test_wake),
                                       cmocka_unit_test(test_limits),    cmocka_unit_test(test_limit_of_a_gateway),
                                       cmocka_unit_test(test_addresses), cmocka_unit_test(test_nobody_aims)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
