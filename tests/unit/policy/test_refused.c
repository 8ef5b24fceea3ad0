/* What is refused when a policy is made: the path of what is wrong, and words that say what to do instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy_fixture.h"

struct row {
    const char *policy, *params, *path, *says;
};

#define SET(name, value)    "{'request':{'headers':[{'name':'" name "','value':'" value "'}]}}"
#define ANSWER(name, value) "{'response':{'headers':[{'name':'" name "','value':'" value "'}]}}"
#define HEADER              "params.request.headers[0].name"
#define RULE(rule)          "{'queryRewrite':{'rules':[" rule "]}}"
#define QUOTA(more)         "{'quotas':[{'limits':[{'limit':1,'duration':'1s'}]," more "}]}"

/* By the policy itself. */
static const struct row rows[] = {
    {"set-headers", "{}", "params", "names no field"},
    {"set-headers", SET("Content-Length", "3"), HEADER, "where the message ends"},
    {"set-headers", SET("content_length", "3"), HEADER, "where the message ends"},
    {"set-headers", SET("Transfer-Encoding", "x"), HEADER, "where the message ends"},
    {"set-headers", SET("Connection", "close"), HEADER, "concerns the connection only"},
    {"set-headers", SET("Upgrade", "h2c"), HEADER, "concerns the connection only"},
    {"set-headers", SET("TE", "trailers"), HEADER, "concerns the connection only"},
    {"set-headers", SET("Host", "h"), HEADER, "host-rewrite"},
    {"set-headers", SET("X-Forwarded-For", "1.1.1.1"), HEADER, "written by the gateway"},
    {"set-headers", SET("Sec-WebSocket-Key", "x"), HEADER, "WebSocket"},
    {"set-headers", SET("X-WSO2-Internal-Loopback", "1"), HEADER, "another name"},
    {"set-headers", SET("x.ringgate.a", "1"), HEADER, "another name"},
    {"set-headers", SET("a b", "1"), HEADER, "is no field name"},
    {"set-headers", SET("x-a", "1\\r\\nX-B: 2"), "params.request.headers[0].value", "control byte"},
    {"set-headers", SET("x-a", "\\u0001"), "params.request.headers[0].value", "control byte"},
    {"set-headers", ANSWER("Date", "now"), "params.response.headers[0].name", "own"},
    {"set-headers", ANSWER("content-length", "1"), "params.response.headers[0].name", "where the message ends"},
    {"remove-headers", "{'request':{'headers':[{'name':'x-a'},{'name':'host'}]}}", "params.request.headers[1].name",
     "host-rewrite"},
    {"remove-headers", "{'response':{}}", "params", "names no field"},
    {"respond", "{'statusCode':204,'body':'x'}", "params.body", "has no body"},
    {"respond", "{'headers':[{'name':'Trailer','value':'x'}]}", "params.headers[0].name", "where the message ends"},
    {"respond", "{'body':'x','headers':[{'name':'content-type','value':' '}]}", "params.headers[0]", "Content-Type"},
    {"redirect", "{}", "params", "back to where the client is"},
    {"redirect", "{'statusCode':304,'scheme':'https'}", "params.statusCode", "wanted 301, 302, 303, 307 or 308"},
    {"redirect", "{'hostname':'a:80'}", "params.hostname", "without a port"},
    {"redirect", "{'path':{'mode':'full','value':'x'}}", "params.path.value", "begins with '/'"},
    {"request-rewrite", "{}", "params", "rewrites nothing"},
    {"request-rewrite", "{'pathRewrite':{'type':'ReplaceFullPath'}}", "params.pathRewrite.replaceFullPath",
     "begins with '/'"},
    {"request-rewrite", "{'pathRewrite':{'type':'ReplaceFullPath','replaceFullPath':'/a?b'}}",
     "params.pathRewrite.replaceFullPath", "without query"},
    {"request-rewrite", "{'pathRewrite':{'type':'ReplacePrefixMatch','replacePrefixMatch':'/%4'}}",
     "params.pathRewrite.replacePrefixMatch", "percent escape"},
    {"request-rewrite", "{'pathRewrite':{'type':'ReplacePrefixMatch','replacePrefixMatch':'/ HTTP/1.1'}}",
     "params.pathRewrite.replacePrefixMatch", "is no path"},
    {"request-rewrite", RULE("{'action':'Append','name':'x'}"), "params.queryRewrite.rules[0].value", "appended"},
    {"request-rewrite", "{'methodRewrite':'PUT','match':{'headers':[{'name':'x','type':'Exact'}]}}",
     "params.match.headers[0].value", "the value to match"},
    {"request-rewrite", "{'methodRewrite':'PUT','match':{'headers':[{'name':'x','type':'Regex','value':'^a|b$'}]}}",
     "params.match.headers[0].value", "alternatives in parentheses"},
    {"request-rewrite", "{'methodRewrite':'PUT','match':{'queryParams':[{'name':'x','type':'Regex','value':'a)'}]}}",
     "params.match.queryParams[0].value", "no regular expression"},
    {"host-rewrite", "{'host':'a/b'}", "params.host", "is no host"},
    {"host-rewrite", "{'host':'user@a'}", "params.host", "is no host"},
    {"host-rewrite", "{'host':'a\\r\\nb'}", "params.host", "is no host"},
    {"cors", "{'allowedOrigins':[]}", "params.allowedOrigins", "at least one origin"},
    {"cors", "{'allowedOrigins':['https://a','^https://(a$']}", "params.allowedOrigins[1]", "no regular expression"},
    {"cors", "{'allowedOrigins':['https://a*.b']}", "params.allowedOrigins[0]", "is no origin"},
    {"cors", "{'allowedOrigins':['https://*']}", "params.allowedOrigins[0]", "is no origin"},
    {"cors", "{'allowedOrigins':['https://a/']}", "params.allowedOrigins[0]", "is no origin"},
    {"cors", "{'allowCredentials':true}", "params.allowCredentials", "can't be true while allowedOrigins has *"},
    {"cors", "{'allowedMethods':['GET PUT']}", "params.allowedMethods[0]", "is no name"},
    {"cors", "{'allowedHeaders':['a\\r\\nb']}", "params.allowedHeaders[0]", "is no name"},
    {"cors", "{'exposedHeaders':['a,b']}", "params.exposedHeaders[0]", "is no name"},
    {"api-key-auth", "{'key':'Host','in':'header'}", "params.key", "host-rewrite"},
    {"basic-auth", "{'username':'a:b','password':'c'}", "params.username", "no colon"},
    {"basic-auth", "{'username':'a','password':'c','realm':'a\\\"b'}", "params.realm", "without quotes"},
    {"basic-ratelimit", "{'algorithm':'fixed-window','limits':[{'requests':1,'duration':'10ms'}]}", "params.limits[0]",
     "1s at least"},
    {"advanced-ratelimit", QUOTA("'keyExtraction':[{'type':'ip'},{'type':'header'}]"),
     "params.quotas[0].keyExtraction[1].key", "name of the field"},
    {"advanced-ratelimit", QUOTA("'costExtraction':{'enabled':true}"), "params.quotas[0].costExtraction.enabled",
     "not supported"},
    {"advanced-ratelimit", "{'quotas':[{'limits':[{'limit':1,'duration':'8760h','burst':1000000000}]}]}",
     "params.quotas[0].limits[0]", "burst is too large"},
};

static void by_the_policy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct play p;
        play_init(&p);
        bool made = play_add(&p, rows[i].policy, rows[i].params, "");
        if (made || strcmp(p.problem.path, rows[i].path) != 0 || !strstr(p.problem.text, rows[i].says))
            fail_msg("%s %s: wanted %s: ...%s..., got %s: %s %s", rows[i].policy, rows[i].params, rows[i].path,
                     rows[i].says, made ? "(a policy)" : p.problem.path, p.problem.text, p.decoded);
        play_fini(&p);
    }
}

/* By the table: types, ranges, words, what is missing, what is not known. */
static const struct row decoded[] = {
    {"set-headers", "{'requests':{}}", "params.requests", "request"},
    {"set-headers", "{'request':{'headers':[{'name':'x'}]}}", "params.request.headers[0].value", ""},
    {"respond", "{'statusCode':101}", "params.statusCode", ""},
    {"redirect", "{'scheme':'ftp'}", "params.scheme", "https"},
    {"request-rewrite", "{'methodRewrite':'HEAD'}", "params.methodRewrite", "GET"},
    {"request-rewrite", "{'pathRewrite':{'type':'ReplaceRegexMatch'}}", "params.pathRewrite.type", "ReplaceFullPath"},
    {"request-rewrite", "{'match':{'headers':[{'name':'a','type':'Like','value':'b'}]}}",
     "params.match.headers[0].type", "Exact"},
    {"request-rewrite", RULE("{'action':'ReplaceRegexMatch','name':'x'}"), "params.queryRewrite.rules[0].action",
     "Replace"},
    {"api-key-auth", "{'in':'header'}", "params.key", ""},
    {"api-key-auth", "{'key':'k','in':'cookie'}", "params.in", "header"},
    {"basic-auth", "{'username':'a'}", "params.password", ""},
    {"basic-ratelimit", "{'limits':[]}", "params.limits", ""},
    {"basic-ratelimit", "{'limits':[{'requests':0,'duration':'1s'}]}", "params.limits[0].requests", ""},
    {"basic-ratelimit", "{'limits':[{'requests':1,'duration':'soon'}]}", "params.limits[0].duration", ""},
    {"advanced-ratelimit", QUOTA("'keyExtraction':[{'type':'cel'}]"), "params.quotas[0].keyExtraction[0].type",
     "routename"},
    {"advanced-ratelimit", "{'quotas':[{'limits':[{'limit':1,'duration':'1s'}]}],'backend':'redis'}", "params.backend",
     "memory"},
};

static void by_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decoded / sizeof decoded[0]; i++) {
        struct play p;
        play_init(&p);
        bool made = play_add(&p, decoded[i].policy, decoded[i].params, "");
        if (made || strncmp(p.decoded, decoded[i].path, strlen(decoded[i].path)) != 0 ||
            !strstr(p.decoded, decoded[i].says))
            fail_msg("%s %s: wanted %s: ...%s..., got %s", decoded[i].policy, decoded[i].params, decoded[i].path,
                     decoded[i].says, p.decoded);
        play_fini(&p);
    }
}

static void by_name_and_version(void **state)
{
    (void)state;
    struct rg_policy_problem why;
    assert_null(rg_policy_find(RG_STR("jwt-auth"), RG_STR("v1"), &why));
    assert_string_equal(why.path, "name");
    assert_non_null(strstr(why.text, "'jwt-auth' is not supported here"));
    assert_non_null(strstr(why.text, "set-headers"));
    assert_null(rg_policy_find(RG_STR("cors"), RG_STR("v2"), &why));
    assert_string_equal(why.path, "version");
    assert_non_null(strstr(why.text, "no version v2 here: use v1"));
    assert_null(rg_policy_find(RG_STR("cors"), RG_STR("v1.0.2"), &why));
    assert_non_null(strstr(why.text, "the major version alone: v1"));
    assert_null(rg_policy_find(RG_STR("cors"), RG_STR("v0"), &why));
    assert_non_null(rg_policy_find(RG_STR("cors"), RG_STR(""), &why));
    assert_non_null(rg_policy_find(RG_STR("cors"), RG_STR("v1"), &why));
    assert_non_null(rg_policy_find(RG_STR("redirect"), RG_STR("v0"), &why));
    assert_non_null(rg_policy_find(RG_STR("redirect"), RG_STR("v1"), &why));
}

/* The table is in order, and each kind can be found by what it says of itself. */
static void kinds(void **state)
{
    (void)state;
    struct rg_policy_problem why;
    const struct rg_policy_kind *kind, *before = NULL;
    for (unsigned i = 0; (kind = rg_policy_kind_at(i)) != NULL; i++) {
        assert_ptr_equal(rg_policy_find(rg_str_of(kind->name), RG_STR(""), &why), kind);
        assert_true(!before || strcmp(before->name, kind->name) < 0);
        assert_true(kind->help && kind->params && kind->prepare && (kind->request || kind->response));
        before = kind;
    }
    assert_non_null(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_the_policy),
        cmocka_unit_test(by_the_table),
        cmocka_unit_test(by_name_and_version),
        cmocka_unit_test(kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
