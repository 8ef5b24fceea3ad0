/* Conditions: what holds for a request, what is an error as in CEL, and what is refused, with its column. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "datapath/policy/condition.h"
#include "policy_fixture.h"

#define REQUEST "POST /items/7?q HTTP/1.1\nHost: h\nX-Tier: gold\nX-Tier: blue\nx-debug: 1\nX-Empty:\n"

struct row {
    const char *condition;
    bool holds;
};

static bool holds(const char *condition)
{
    struct play p;
    play_init(&p);
    play_with(&p, "respond", "{'statusCode':204}", condition);
    play_request(&p, REQUEST);
    bool answered = p.verdict == RG_POLICY_ANSWER;
    play_fini(&p);
    return answered;
}

static const struct row rows[] = {
    {"true", true},
    {"!true", false},
    {"!!true", true},
    {"request.Method == \"POST\"", true},
    {"request.Method != 'POST'", false},
    {"request.Method in ['GET', 'POST']", true},
    {"request.Method in []", false},
    {"request.Path == '/items/7'", true},
    {"request.Path.startsWith('/items/') && request.Path.endsWith('7')", true},
    {"request.Path.contains('tems')", true},
    {"request.Path.contains('')", true},
    {"request.Path.startsWith('/items/7/8')", false},
    {"request.Path.size() == 8", true},
    {"request.Path < '/j' && request.Path >= '/items'", true},
    {"'x-debug' in request.Headers && request.Headers['x-debug'][0] == '1'", true},
    {"\"X-DEBUG\" in request.Headers", true},
    {"'x-none' in request.Headers", false},
    {"!('x-none' in request.Headers)", true},
    {"request.Headers['x-tier'][1] == 'blue'", true},
    {"request.Headers['x-tier'][2] == 'blue'", false},
    {"request.Headers['x-tier'].size() == 2", true},
    {"'blue' in request.Headers['x-tier']", true},
    {"'red' in request.Headers['x-tier']", false},
    {"request.Headers['x-empty'][0] == ''", true},
    {"request.Headers['x-empty'][0].size() == 0", true},
    {"request.RequestID == '0198c'", true},
    {"response.RequestMethod == 'POST'", true},
    {"3 in [1, 2, 3] && -1 < 0 && 2 >= 2", true},
    {"(1 == 1) == (2 == 2)", true},
    {"true == false || 'a' == 'a'", true},
    {"'\\'' == \"'\" && '\\\\' != '\\\"'", true},
    /* errors: absent things */
    {"request.Headers['x-none'][0] == '1'", false},
    {"request.Headers['x-none'][0] != '1'", false},
    {"!(request.Headers['x-none'][0] == '1')", false},
    {"request.Headers['x-none'][0] == '1' || true", true},
    {"true || request.Headers['x-none'][0] == '1'", true},
    {"!(false && request.Headers['x-none'][0] == '1')", true},
    {"!(request.Headers['x-none'][0] == '1' && false)", true},
    {"!('a' in request.Headers['x-none'])", false},
    {"response.ResponseStatus == 200", false},
    {"response.ResponseStatus != 200", false},
    {"processing.phase == 'request_headers'", true},
    /* && before || */
    {"true || false && false", true},
    {"(true || false) && false", false},
    {"false && false || true", true},
};

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (holds(rows[i].condition) != rows[i].holds)
            fail_msg("%s: wanted %s", rows[i].condition, rows[i].holds ? "true" : "false");
}

/* On the response: what is said of the request was worked out before. */
static void on_the_response(void **state)
{
    (void)state;
    static const struct row response_rows[] = {
        {"response.ResponseStatus == 404", true},
        {"response.ResponseStatus in [404, 410] && request.Method == 'POST'", true},
        {"response.ResponseStatus == 404 && request.Method == 'GET'", false},
        {"response.ResponseStatus == 404 && request.Headers['x-none'][0] == 'a'", false},
        {"response.ResponseStatus == 404 || request.Headers['x-none'][0] == 'a'", true},
        {"request.Method == 'GET' || 'server' in response.ResponseHeaders", true},
        {"response.ResponseHeaders['server'][0].startsWith('s') && !('x-a' in response.ResponseHeaders)", true},
        {"processing.phase == 'response_headers' && request.Path.startsWith('/items')", true},
        {"processing.phase == 'request_headers'", false},
        {"(request.Method == 'POST') == (response.ResponseStatus == 404)", true},
    };
    for (size_t i = 0; i < sizeof response_rows / sizeof response_rows[0]; i++) {
        struct play p;
        play_init(&p);
        play_with(&p, "set-headers", "{'response':{'headers':[{'name':'x-held','value':'1'}]}}",
                  response_rows[i].condition);
        play_request(&p, REQUEST);
        const char *got = play_response(&p, "HTTP/1.1 404 no\nServer: s\n");
        if ((strstr(got, "x-held") != NULL) != response_rows[i].holds)
            fail_msg("%s: got %s", response_rows[i].condition, got);
        play_fini(&p);
    }
}

static const struct {
    const char *condition, *why;
} refused[] = {
    {" ", "column 2: the condition ends where a value was wanted"},
    {"request.Body == 'x'", "column 1: request.Body is not supported: bodies can't be asked"},
    {"true && request.Metadata == 'x'", "column 9: request.Metadata is not supported"},
    {"request.Foo == 'x'", "column 9: request has no 'Foo': wanted one of Headers, Method, Path, RequestID"},
    {"request.method == 'x'", "column 9: request has no 'method'"},
    {"api.Name == 'x'", "column 1: 'api' is not known"},
    {"request.Method", "column 1: this is text, wanted true or false"},
    {"request.Headers", "column 1: this is headers, wanted true or false"},
    {"request.Method == 1", "column 19: this is a number, wanted text"},
    {"request.Headers['a'] == 'b'", "column 1: the values of a header can't be compared"},
    {"true < false", "column 1: true or false can't be compared"},
    {"request.Path.matches('^/a')", "column 14: function 'matches' is not supported: wanted startsWith"},
    {"request.Headers[0] == 'a'", "column 17: wanted the name of a header in quotes"},
    {"request.Headers['a']['b'] == 'a'", "column 22: wanted the number of a value"},
    {"request.Path[0] == 'a'", "column 14: text has nothing to choose by []"},
    {"request.Method in ['GET', 1]", "column 27: a list holds texts only"},
    {"request.Method in 'GET'", "column 16: wanted headers, the values of one, or a list"},
    {"request.Method = 'GET'", "column 16: wanted an operator"},
    {"request.Method == 'GET", "column 19: the text that begins here does not end"},
    {"'\\n' == 'a'", "column 2: only"},
    {"1.5 == 2", "column 1: only whole decimal numbers"},
    {"99999999999999999999 == 1", "column 1: this number is too large"},
    {"(true", "column 6: the condition ends where ')' was wanted"},
    {"true)", "column 5: wanted an operator"},
    {"[1] == [1]", "column 1: a list of numbers can't be compared"},
    {"'a' in request.Headers == true", "column 24: wanted an operator, or the end"},
    {"request.Method == 'a' ? true : false", "column 23: wanted an operator"},
    {"request.Path == response.ResponseHeaders['location'][0]",
     "column 1: what the request has can't be compared with what the response has"},
    {"!1", "column 2: this is a number, wanted true or false"},
    {"true && 'a'", "column 9: this is text"},
    {"((((((((((((((((((((((((((((((true))))))))))))))))))))))))))))))",
     "column 25: the condition is nested too deeply"},
    {"!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!true", "nested too deeply"},
};

static void refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct play p;
        play_init(&p);
        bool made = play_add(&p, "respond", "{}", refused[i].condition);
        if (made || strcmp(p.problem.path, "executionCondition") != 0 || !strstr(p.problem.text, refused[i].why))
            fail_msg("%s: wanted %s, got %s: %s", refused[i].condition, refused[i].why,
                     made ? "(a policy)" : p.problem.path, p.problem.text);
        play_fini(&p);
    }
}

/* Long ones: up to the limits, and beyond them. */
static void limits(void **state)
{
    (void)state;
    static char text[RG_CONDITION_BYTES_MAX + 64];
    struct rg_condition *c;
    struct rg_arena arena;
    char why[256];
    for (unsigned n = 1; n < 400; n += 7) {
        size_t at = 0;
        rg_arena_init(&arena);
        for (unsigned i = 0; i < n; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%strue", i > 0 ? "&&" : "");
        int rc = rg_condition_compile(&c, (struct rg_str){text, at}, &arena, why, sizeof why);
        assert_int_equal(rc, n <= 128 ? 0 : -EINVAL);
        if (rc < 0)
            assert_non_null(strstr(why, "more than 256 parts"));
        rg_arena_fini(&arena);
    }
    rg_arena_init(&arena);
    memset(text, ' ', sizeof text);
    assert_int_equal(rg_condition_compile(&c, (struct rg_str){text, sizeof text}, &arena, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "longer than 4096 bytes"));
    rg_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(on_the_response),
        cmocka_unit_test(refusals),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
