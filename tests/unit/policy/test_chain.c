/* Policies of a route together: their order, who still has a word when one answers, conditions, limits of a chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "datapath/policy/digest.h"
#include "policy_fixture.h"

#define GET     "GET /a HTTP/1.1\nHost: h\n"
#define OK_HEAD "HTTP/1.1 200 OK\n"

#define BOTH(value)                                                                                                    \
    "{'request':{'headers':[{'name':'x-q','value':'" value "'}]},'response':{'headers':[{'name':'x-r','value':'" value \
    "'}]}}"

/* Requests meet the last one last, responses the first one last: what it sets is what stays. */
static void order(void **state)
{
    (void)state;
    struct play p;
    play_init(&p);
    play_with(&p, "set-headers", BOTH("first"), "");
    play_with(&p, "set-headers", BOTH("last"), "");
    assert_string_equal(play_request(&p, GET), "GET /a\nHost: h\nx-q: last\n");
    assert_string_equal(play_response(&p, OK_HEAD), "200\nx-r: first\n");
    play_fini(&p);
}

/* A 401 has the CORS fields and headers of those before it, not of those behind it. */
static void answer_in_the_middle(void **state)
{
    (void)state;
    struct play p;
    play_init(&p);
    play_with(&p, "cors", "{}", "");
    play_with(&p, "set-headers", BOTH("before"), "");
    play_with(&p, "api-key-auth", "{'key':'x-key','in':'header'}", "");
    play_with(&p, "set-headers", "{'response':{'headers':[{'name':'x-behind','value':'1'}]}}", "");
    const char *got = play_request(&p, GET "Origin: https://a\n");
    assert_non_null(strstr(got, "401 application/json\n"));
    assert_non_null(strstr(got, "x-r: before\n"));
    assert_non_null(strstr(got, "Access-Control-Allow-Origin: *\n"));
    assert_null(strstr(got, "x-behind"));
    assert_string_equal(rg_policy_run_answered(&p.run), "api-key-auth");
    play_fini(&p);
}

static void conditions(void **state)
{
    (void)state;
    struct play p;
    play_init(&p);
    play_with(&p, "set-headers", BOTH("posted"), "request.Method == 'POST'");
    play_with(&p, "set-headers", "{'response':{'headers':[{'name':'x-bad','value':'1'}]}}",
              "response.ResponseStatus >= 500 && request.Method != 'HEAD'");
    play_with(&p, "set-headers",
              "{'request':{'headers':[{'name':'x-p','value':'1'}]},'response':{'headers':[{'name':"
              "'x-p','value':'1'}]}}",
              "processing.phase == 'request_headers'");
    assert_string_equal(play_request(&p, GET), "GET /a\nHost: h\nx-p: 1\n");
    assert_string_equal(play_response(&p, OK_HEAD), "200\n");
    assert_string_equal(play_request(&p, "POST /a HTTP/1.1\nHost: h\n"), "POST /a\nHost: h\nx-q: posted\nx-p: 1\n");
    assert_string_equal(play_response(&p, "HTTP/1.1 503 no\n"), "503\nx-bad: 1\nx-r: posted\n");
    play_request(&p, "HEAD /a HTTP/1.1\nHost: h\n");
    assert_string_equal(play_response(&p, "HTTP/1.1 503 no\n"), "503\n");
    play_fini(&p);
}

/* Leaving out the header that a condition asks for must not get anybody past a policy that guards. */
static void condition_that_cannot_be_told(void **state)
{
    static const char *const internal = "request.Headers[\"x-inside\"][0] != \"1\"";
    struct play p;
    (void)state;
    play_init(&p);
    play_with(&p, "set-headers", "{'request': {'headers': [{'name': 'x-set', 'value': '1'}]}}", internal);
    play_with(&p, "basic-auth", "{'username': 'u', 'password': 'p'}", internal);
    play_request(&p, "GET / HTTP/1.1\nHost: a\n\n");
    assert_int_equal(p.verdict, RG_POLICY_ANSWER);
    assert_non_null(strstr(p.out, "401"));
    play_request(&p, "GET / HTTP/1.1\nHost: a\nx-inside: 1\n\n");
    assert_int_equal(p.verdict, RG_POLICY_NEXT);
    assert_null(strstr(p.out, "x-set"));
    play_fini(&p);
}

/* A condition sees what the policies before it have made of the request. */
static void condition_after_edit(void **state)
{
    (void)state;
    struct play p;
    play_init(&p);
    play_with(&p, "set-headers", BOTH("yes"), "");
    play_with(&p, "remove-headers", "{'request':{'headers':[{'name':'x-q'}]}}", "request.Headers['x-q'][0] == 'yes'");
    assert_string_equal(play_request(&p, GET "x-q: no\n"), "GET /a\nHost: h\n");
    play_fini(&p);
}

static void tightest_limit_is_told(void **state)
{
    (void)state;
    struct play p;
    play_init(&p);
    play_with(&p, "basic-ratelimit", "{'limits':[{'requests':5,'duration':'1m'}]}", "");
    play_with(&p, "basic-ratelimit", "{'limits':[{'requests':3,'duration':'1m'},{'requests':9,'duration':'1h'}]}", "");
    play_with(&p, "basic-ratelimit", "{'limits':[{'requests':7,'duration':'1m'}]}", "");
    play_request(&p, GET);
    assert_string_equal(play_response(&p, OK_HEAD "RateLimit-Remaining: 1\n"),
                        "200\nRateLimit-Limit: 3\nRateLimit-Remaining: 2\nRateLimit-Reset: 20\n");
    play_fini(&p);
}

/* One policy in two chains counts for both. */
static void shared(void **state)
{
    (void)state;
    struct play p, q;
    play_init(&p);
    play_init(&q);
    play_with(&p, "basic-ratelimit", "{'limits':[{'requests':1,'duration':'1m'}]}", "");
    assert_int_equal(rg_policy_chain_add(q.chain, rg_policy_chain_at(p.chain, 0), &q.problem), 0);
    play_request(&p, GET);
    assert_int_equal(p.verdict, RG_POLICY_NEXT);
    play_fini(&p);
    play_request(&q, GET);
    assert_int_equal(q.verdict, RG_POLICY_ANSWER);
    play_fini(&q);
}

static void too_many(void **state)
{
    (void)state;
    struct play p;
    play_init(&p);
    for (int i = 0; i < RG_POLICY_CHAIN_MAX; i++)
        play_with(&p, "remove-headers", "{'request':{'headers':[{'name':'x'}]}}", "");
    assert_false(play_add(&p, "remove-headers", "{'request':{'headers':[{'name':'x'}]}}", ""));
    assert_non_null(strstr(p.problem.text, "64 of them at most"));
    assert_int_equal(rg_policy_chain_length(p.chain), RG_POLICY_CHAIN_MAX);
    play_fini(&p);

    play_init(&p);
    for (int i = 0; i < RG_POLICY_STATES_MAX; i++)
        play_with(&p, "basic-ratelimit", "{'limits':[{'requests':1,'duration':'1m'}]}", "");
    assert_false(play_add(&p, "basic-ratelimit", "{'limits':[{'requests':1,'duration':'1m'}]}", ""));
    assert_non_null(strstr(p.problem.text, "16 that keep something"));
    play_fini(&p);

    play_init(&p);
    for (int i = 0; i < RG_POLICY_FIELDS_MAX / 2; i++)
        play_with(&p, "set-headers", "{'request':{'headers':[{'name':'x','value':'1'},{'name':'x','value':'1'}]}}", "");
    assert_false(play_add(&p, "set-headers", "{'request':{'headers':[{'name':'x','value':'1'}]}}", ""));
    assert_non_null(strstr(p.problem.text, "64 fields"));
    assert_string_equal(play_request(&p, GET), "GET /a\nHost: h\nx: 1\n");
    play_fini(&p);
}

/* It stands behind those that were received, and goes like one of them. */
static void key_that_a_policy_has_set(void **state)
{
    (void)state;
    struct rg_key key = {.name = RG_STR("k")};
    struct play p;
    play_init(&p);
    assert_true(rg_digest(RG_STR("k-set"), key.hash));
    assert_int_equal(rg_key_set_replace(p.keys, &key, 1), 0);
    play_with(&p, "set-headers",
              "{'request':{'headers':[{'name':'x-a','value':'1'},{'name':'x-key','value':'k-set'},{'name':'x-b','value'"
              ":'2'}]}}",
              "");
    play_with(&p, "api-key-auth", "{'key':'x-key','in':'header'}", "");
    assert_string_equal(play_request(&p, GET "x-c: 3\n"), "GET /a\nHost: h\nx-c: 3\nx-a: 1\nx-b: 2\n");
    play_fini(&p);
}

/* Names that are constants are found like those that are looked up; and a name in whatever case. */
static void names(void **state)
{
    (void)state;
    static const struct rg_policy_name constants[] = {
        RG_POLICY_NAME("Retry-After", RG_FIELD_RETRY_AFTER), RG_POLICY_NAME("RateLimit-Limit", RG_FIELD_OTHER),
        RG_POLICY_NAME("origin", RG_FIELD_ORIGIN), RG_POLICY_NAME("Access-Control-Allow-Origin", RG_FIELD_OTHER)};
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
        struct rg_policy_name known = rg_policy_name_of(constants[i].text);
        assert_int_equal(known.bit, constants[i].bit);
        assert_int_equal(known.id, constants[i].id);
    }
    assert_int_equal(rg_policy_name_of(RG_STR("X-Debug")).bit, rg_policy_name_of(RG_STR("x-DEBUG")).bit);
    assert_int_equal(rg_policy_name_of(RG_STR("")).bit, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),
        cmocka_unit_test(answer_in_the_middle),
        cmocka_unit_test(conditions),
        cmocka_unit_test(condition_that_cannot_be_told),
        cmocka_unit_test(condition_after_edit),
        cmocka_unit_test(tightest_limit_is_told),
        cmocka_unit_test(shared),
        cmocka_unit_test(too_many),
        cmocka_unit_test(key_that_a_policy_has_set),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
