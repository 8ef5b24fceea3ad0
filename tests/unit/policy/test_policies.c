/* What each policy makes of requests and responses: a row is a policy, a head, and what comes out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "datapath/policy/digest.h"
#include "policy_fixture.h"

#define GET     "GET /a/b?x=1&y=2 HTTP/1.1\nHost: h\n"
#define OK_HEAD "HTTP/1.1 200 OK\nServer: s\n"

struct row {
    const char *policy, *params, *request, *wanted;
    const char *response, *wanted_back; /* NULL: not looked at */
};

static void check(const char *got, const char *wanted, const struct row *row)
{
    if (strcmp(got, wanted) != 0)
        fail_msg("%s %s\n--- request\n%s--- wanted\n%s--- got\n%s", row->policy, row->params, row->request, wanted,
                 got);
}

static void play_rows(const struct row *rows, size_t n, uint32_t context, uint32_t prefix)
{
    for (size_t i = 0; i < n; i++) {
        struct play p;
        play_init(&p);
        p.context_bytes = context;
        p.prefix_bytes = prefix;
        play_with(&p, rows[i].policy, rows[i].params, "");
        check(play_request(&p, rows[i].request), rows[i].wanted, &rows[i]);
        if (rows[i].response)
            check(play_response(&p, rows[i].response), rows[i].wanted_back, &rows[i]);
        play_fini(&p);
    }
}

#define PLAY(rows, context, prefix) play_rows(rows, sizeof rows / sizeof rows[0], context, prefix)

static void headers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"set-headers", "{'request':{'headers':[{'name':'X-A','value':'1'},{'name':'x-b','value':7}]}}",
         GET "x-a: old\nAccept: c\nX-A: older\n", "GET /a/b?x=1&y=2\nHost: h\nAccept: c\nX-A: 1\nx-b: 7\n", OK_HEAD,
         "200\nServer: s\n"},
        {"set-headers", "{'response':{'headers':[{'name':'server','value':' front '},{'name':'x-empty','value':''}]}}",
         GET, "GET /a/b?x=1&y=2\nHost: h\n", OK_HEAD "Set-Cookie: a\n",
         "200\nSet-Cookie: a\nserver: front\nx-empty: \n"},
        {"set-headers", "{'request':{'headers':[{'name':'x-a','value':'1'},{'name':'X-A','value':'2'}]},'response':{}}",
         GET, "GET /a/b?x=1&y=2\nHost: h\nX-A: 2\n", NULL, NULL},
        {"remove-headers",
         "{'request':{'headers':[{'name':'X-A'},{'name':'cookie'}]},'response':{'headers':[{'name':'Server'}]}}",
         GET "x-a: 1\nx-ab: 2\nCookie: c\nX-a: 3\n", "GET /a/b?x=1&y=2\nHost: h\nx-ab: 2\n",
         OK_HEAD "Server: again\nB: c\n", "200\nB: c\n"},
    };
    PLAY(rows, 0, 0);
}

static void answers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"respond", "{'statusCode':404,'body':'{\\\'message\\\':1}','headers':[{'name':'X-A','value':'b'}]}", GET,
         "404 application/json\nX-A: b\n{\"message\":1}", NULL, NULL},
        {"respond", "{'body':'hi','headers':[{'name':'Content-Type','value':'text/html'}]}", GET, "200 text/html\nhi",
         NULL, NULL},
        {"respond", "{'body':'hi'}", GET, "200 text/plain; charset=utf-8\nhi", NULL, NULL},
        {"respond", "{'statusCode':204}", GET, "204 \n", NULL, NULL},
        {"redirect", "{'scheme':'https'}", "GET /a?b=c HTTP/1.1\nHost: h:81\n", "302 \nLocation: https://h/a?b=c\n",
         NULL, NULL},
        {"redirect", "{'statusCode':308,'hostname':'new.example','port':444}", GET,
         "308 \nLocation: http://new.example:444/a/b?x=1&y=2\n", NULL, NULL},
        {"redirect", "{'path':{'mode':'full','value':'/z'}}", "GET /a HTTP/1.1\nHost: [::1]:81\n",
         "302 \nLocation: http://[::1]:81/z\n", NULL, NULL},
    };
    PLAY(rows, 0, 0);
}

static void rewrites(void **state)
{
    (void)state;
#define Q(rule) "{'queryRewrite':{'rules':[" rule "]}}"
    static const struct row rows[] = {
        {"request-rewrite", "{'methodRewrite':'POST'}", GET, "POST /a/b?x=1&y=2\nHost: h\n", NULL, NULL},
        {"request-rewrite", "{'methodRewrite':'POST'}", "HEAD /a HTTP/1.1\nHost: h\n", "HEAD /a\nHost: h\n", NULL,
         NULL},
        {"request-rewrite", Q("{'action':'Replace','name':'x','value':'a b&'}"), GET,
         "GET /a/b?x=a%20b%26&y=2\nHost: h\n", NULL, NULL},
        {"request-rewrite", Q("{'action':'Replace','name':'z','value':'3'}"), GET, "GET /a/b?x=1&y=2&z=3\nHost: h\n",
         NULL, NULL},
        {"request-rewrite", Q("{'action':'Replace','name':'x','value':'n'}"), "GET /?x=1&a&%78=2&x HTTP/1.1\nHost: h\n",
         "GET /?x=n&a\nHost: h\n", NULL, NULL},
        {"request-rewrite", Q("{'action':'Remove','name':'x'},{'action':'Remove','name':'y'}"), GET,
         "GET /a/b\nHost: h\n", NULL, NULL},
        {"request-rewrite", Q("{'action':'Add','name':'x','value':2}"), GET, "GET /a/b?x=1&y=2&x=2\nHost: h\n", NULL,
         NULL},
        {"request-rewrite", Q("{'action':'Append','name':'x','value':'2','separator':','}"),
         "GET /?x=1&x HTTP/1.1\nHost: h\n", "GET /?x=1%2C2&x=%2C2\nHost: h\n", NULL, NULL},
        {"request-rewrite", Q("{'action':'Append','name':'z','value':'2','separator':','}"),
         "GET / HTTP/1.1\nHost: h\n", "GET /?z=2\nHost: h\n", NULL, NULL},
        {"request-rewrite",
         "{'methodRewrite':'PUT','match':{'headers':[{'name':'X-K','type':'Exact','value':'2'}],"
         "'queryParams':[{'name':'y','type':'Present'}]}}",
         GET "x-k: 1\nx-k: 2\n", "PUT /a/b?x=1&y=2\nHost: h\nx-k: 1\nx-k: 2\n", NULL, NULL},
        {"request-rewrite", "{'methodRewrite':'PUT','match':{'headers':[{'name':'X-K','type':'Exact','value':'2'}]}}",
         GET "x-k: 3\n", "GET /a/b?x=1&y=2\nHost: h\nx-k: 3\n", NULL, NULL},
        {"request-rewrite", "{'methodRewrite':'PUT','match':{'queryParams':[{'name':'x','type':'Exact','value':'2'}]}}",
         GET, "GET /a/b?x=1&y=2\nHost: h\n", NULL, NULL},
        {"host-rewrite", "{'host':'inner.example:8080'}", GET, "GET /a/b?x=1&y=2\n(host) inner.example:8080\nHost: h\n",
         NULL, NULL},
    };
#undef Q
    PLAY(rows, 0, 0);
}

/* Whether a header or a parameter matches: expressions are searched for, unless they are anchored. */
static void expressions(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *value;
        bool matches;
    } table[] = {
        {"ol", "gold", true},         {"^ol", "gold", false},           {"ol$", "gold", false},
        {"^gold$", "gold", true},     {"gold|silver", "silvery", true}, {"^(gold|silver)$", "silvery", false},
        {"(?i)^GOLD$", "gold", true}, {"a[|]b", "xa|by", true},         {"5\\\\$", "5$!", true},
        {"^g$", "x", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int in_query = 0; in_query < 2; in_query++) {
            struct play p;
            char params[256], head[128];
            bool has_bar = strchr(table[i].value, '|') != NULL;
            play_init(&p);
            snprintf(params, sizeof params,
                     "{'methodRewrite':'PUT','match':{'%s':[{'name':'tier','type':'Regex','value':'%s'}]}}",
                     in_query ? "queryParams" : "headers", table[i].pattern);
            play_with(&p, "request-rewrite", params, "");
            snprintf(head, sizeof head, "GET /?tier=%s HTTP/1.1\nHost: h\nTier: %s\n",
                     !in_query ? ""
                     : has_bar ? "xa%7cby"
                               : table[i].value,
                     in_query ? "" : table[i].value);
            if ((strncmp(play_request(&p, head), "PUT ", 4) == 0) != table[i].matches)
                fail_msg("%s in %s: wanted %d", table[i].pattern, table[i].value, table[i].matches);
            play_fini(&p);
        }
    }
}

/* The API's context is /api, and the route matched as far as /api/v1. */
static void paths(void **state)
{
    (void)state;
#define PREFIX(to) "{'pathRewrite':{'type':'ReplacePrefixMatch','replacePrefixMatch':'" to "'}}"
    static const struct row rows[] = {
        {"request-rewrite", "{'pathRewrite':{'type':'ReplaceFullPath','replaceFullPath':'/%7eme/./x'}}",
         "GET /api/v1/items?q HTTP/1.1\nHost: h\n", "GET /api/~me/x?q\nHost: h\n", NULL, NULL},
        {"request-rewrite", PREFIX("/v2"), "GET /api/v1/items/3 HTTP/1.1\nHost: h\n", "GET /api/v2/items/3\nHost: h\n",
         NULL, NULL},
        {"request-rewrite", PREFIX("/"), "GET /api/v1/items HTTP/1.1\nHost: h\n", "GET /api/items\nHost: h\n", NULL,
         NULL},
        {"request-rewrite", PREFIX(""), "GET /api/v1 HTTP/1.1\nHost: h\n", "GET /api\nHost: h\n", NULL, NULL},
        {"redirect", "{'path':{'mode':'ReplacePrefixMatch','value':'/v3/'}}", "GET /api/v1/x?y HTTP/1.1\nHost: h\n",
         "302 \nLocation: http://h/api/v3/x?y\n", NULL, NULL},
    };
#undef PREFIX
    PLAY(rows, 4, 7);
}

static void cross_origin(void **state)
{
    (void)state;
#define SOME                                                                                      \
    "{'allowedOrigins':['https://a.example','https://*.b.example:8443'],'allowCredentials':true," \
    "'allowedMethods':['GET','PUT'],'allowedHeaders':['X-A','content-type'],'exposedHeaders':['X-Count'],'maxAge':60}"
#define PREFLIGHT(origin, method, more) \
    "OPTIONS / HTTP/1.1\nHost: h\nOrigin: " origin "\nAccess-Control-Request-Method: " method "\n" more
    static const struct row rows[] = {
        {"cors", "{}", GET, "GET /a/b?x=1&y=2\nHost: h\n", OK_HEAD, "200\nServer: s\n"},
        {"cors", "{}", GET "Origin: https://any\n", "GET /a/b?x=1&y=2\nHost: h\nOrigin: https://any\n", OK_HEAD,
         "200\nServer: s\nAccess-Control-Allow-Origin: *\n"},
        {"cors", SOME, GET "Origin: https://a.example\n", "GET /a/b?x=1&y=2\nHost: h\nOrigin: https://a.example\n",
         OK_HEAD "Access-Control-Allow-Origin: *\n",
         "200\nServer: s\nVary: Origin\nAccess-Control-Allow-Origin: https://a.example\n"
         "Access-Control-Allow-Credentials: true\nAccess-Control-Expose-Headers: X-Count\n"},
        {"cors", SOME, GET "Origin: https://x.b.example:8443\n",
         "GET /a/b?x=1&y=2\nHost: h\nOrigin: https://x.b.example:8443\n", OK_HEAD,
         "200\nServer: s\nVary: Origin\nAccess-Control-Allow-Origin: https://x.b.example:8443\n"
         "Access-Control-Allow-Credentials: true\nAccess-Control-Expose-Headers: X-Count\n"},
        {"cors", SOME, GET "Origin: https://a.example.evil\n",
         "GET /a/b?x=1&y=2\nHost: h\nOrigin: https://a.example.evil\n", OK_HEAD "Access-Control-Allow-Origin: *\n",
         "200\nServer: s\nVary: Origin\n"},
        {"cors", SOME, GET "Origin: https://evil/.b.example:8443\n",
         "GET /a/b?x=1&y=2\nHost: h\nOrigin: https://evil/.b.example:8443\n", OK_HEAD,
         "200\nServer: s\nVary: Origin\n"},
        {"cors", "{'allowedOrigins':['^https://(a|b)\\\\.example$']}", GET "Origin: https://b.example\n",
         "GET /a/b?x=1&y=2\nHost: h\nOrigin: https://b.example\n", OK_HEAD,
         "200\nServer: s\nVary: Origin\nAccess-Control-Allow-Origin: https://b.example\n"},
        {"cors", "{'allowedOrigins':['https://(a|b)\\\\.example']}", GET "Origin: https://b.example.evil\n",
         "GET /a/b?x=1&y=2\nHost: h\nOrigin: https://b.example.evil\n", OK_HEAD, "200\nServer: s\nVary: Origin\n"},
        {"cors", SOME, PREFLIGHT("https://a.example", "PUT", "Access-Control-Request-Headers: x-a, Content-Type\n"),
         "204 \nAccess-Control-Max-Age: 60\nVary: Origin, Access-Control-Request-Method, "
         "Access-Control-Request-Headers\n"
         "Access-Control-Allow-Methods: GET, PUT\nAccess-Control-Allow-Headers: X-A, content-type\nVary: Origin\n"
         "Access-Control-Allow-Origin: https://a.example\nAccess-Control-Allow-Credentials: true\n"
         "Access-Control-Expose-Headers: X-Count\n",
         NULL, NULL},
        {"cors", SOME, PREFLIGHT("https://a.example", "DELETE", ""),
         "403 application/json\nVary: Origin\n"
         "{\"error\":\"Forbidden\",\"message\":\"This origin, method or header is not allowed\"}\n",
         NULL, NULL},
        {"cors", SOME, PREFLIGHT("https://a.example", "GET", "Access-Control-Request-Headers: x-b\n"),
         "403 application/json\nVary: Origin\n"
         "{\"error\":\"Forbidden\",\"message\":\"This origin, method or header is not allowed\"}\n",
         NULL, NULL},
        {"cors", "{'allowedMethods':['*'],'allowedHeaders':['*']}",
         PREFLIGHT("null", "PURGE", "Access-Control-Request-Headers: x-b\n"),
         "204 \nAccess-Control-Max-Age: 3600\nVary: Origin, Access-Control-Request-Method, "
         "Access-Control-Request-Headers\n"
         "Access-Control-Allow-Methods: PURGE\nAccess-Control-Allow-Headers: x-b\nAccess-Control-Allow-Origin: *\n",
         NULL, NULL},
        {"cors", "{'allowedOrigins':['https://a.example'],'forwardPreflight':true}", PREFLIGHT("https://c", "GET", ""),
         "OPTIONS /\nHost: h\nOrigin: https://c\nAccess-Control-Request-Method: GET\n", OK_HEAD,
         "200\nServer: s\nVary: Origin\n"},
    };
    PLAY(rows, 0, 0);
}

#define NO_KEY                                                                                                 \
    "401 application/json\nWWW-Authenticate: ApiKey\n{\"error\":\"Unauthorized\",\"message\":\"Valid API key " \
    "required\"}\n"

static void api_keys(void **state)
{
    (void)state;
    struct rg_key keys[2] = {{.name = RG_STR("good")}, {.name = RG_STR("old"), .expires_ms = 1000}};
    rg_digest(RG_STR("k-good"), keys[0].hash);
    rg_digest(RG_STR("k-old"), keys[1].hash);
    static const struct row rows[] = {
        {"api-key-auth", "{'key':'X-API-Key','in':'header'}", GET "x-api-key: k-good\n", "GET /a/b?x=1&y=2\nHost: h\n",
         NULL, NULL},
        {"api-key-auth", "{'key':'X-API-Key','in':'header'}", GET "a: 1\nx-api-key: k-good\nb: 2\nc: 3\n",
         "GET /a/b?x=1&y=2\nHost: h\na: 1\nb: 2\nc: 3\n", NULL, NULL},
        {"api-key-auth", "{'key':'X-API-Key','in':'header'}", GET, NO_KEY, NULL, NULL},
        {"api-key-auth", "{'key':'X-API-Key','in':'header'}", GET "x-api-key: k-old\n", NO_KEY, NULL, NULL},
        {"api-key-auth", "{'key':'X-API-Key','in':'header'}", GET "x-api-key: k-goo\n", NO_KEY, NULL, NULL},
        {"api-key-auth", "{'key':'X-API-Key','in':'header'}", GET "x-api-key: k-good\nx-api-key: k-good\n", NO_KEY,
         NULL, NULL},
        {"api-key-auth", "{'key':'Authorization','in':'header','valuePrefix':'Bearer'}",
         GET "Authorization: bearer k-good\n", "GET /a/b?x=1&y=2\nHost: h\n", NULL, NULL},
        {"api-key-auth", "{'key':'Authorization','in':'header','valuePrefix':'Bearer'}", GET "Authorization: k-good\n",
         NO_KEY, NULL, NULL},
        {"api-key-auth", "{'key':'the key','in':'query'}", "GET /?a=b&the+key=k%2dgood&c HTTP/1.1\nHost: h\n",
         "GET /?a=b&c\nHost: h\n", NULL, NULL},
        {"api-key-auth", "{'key':'key','in':'query'}", "GET /?key=k-good HTTP/1.1\nHost: h\n", "GET /\nHost: h\n", NULL,
         NULL},
        {"api-key-auth", "{'key':'key','in':'query'}", "GET /?key=k-good&key=k-good HTTP/1.1\nHost: h\n", NO_KEY, NULL,
         NULL},
        {"api-key-auth", "{'key':'key','in':'query'}", "GET /?key=&a HTTP/1.1\nHost: h\n", NO_KEY, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct play p;
        play_init(&p);
        assert_int_equal(rg_key_set_replace(p.keys, keys, 2), 0);
        play_with(&p, rows[i].policy, rows[i].params, "");
        check(play_request(&p, rows[i].request), rows[i].wanted, &rows[i]);
        play_fini(&p);
    }
}

static void passwords(void **state)
{
    (void)state;
#define ALADDIN "{'username':'Aladdin','password':'open sesame','realm':'caves'}"
#define REFUSED                                                                          \
    "401 application/json\nWWW-Authenticate: Basic realm=\"caves\", charset=\"UTF-8\"\n" \
    "{\"error\":\"Unauthorized\",\"message\":\"Authentication required\"}\n"
    static const struct row rows[] = {
        {"basic-auth", ALADDIN, GET "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n",
         "GET /a/b?x=1&y=2\nHost: h\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n", NULL, NULL},
        {"basic-auth", ALADDIN, GET "authorization: bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n",
         "GET /a/b?x=1&y=2\nHost: h\nauthorization: bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n", NULL, NULL},
        {"basic-auth", ALADDIN, GET "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==\n", REFUSED, NULL, NULL},
        {"basic-auth", ALADDIN, GET "Authorization: Basic\n", REFUSED, NULL, NULL},
        {"basic-auth", ALADDIN, GET, REFUSED, NULL, NULL},
        {"basic-auth", "{'username':'a','password':'b','allowUnauthenticated':true}", GET,
         "GET /a/b?x=1&y=2\nHost: h\n", NULL, NULL},
    };
    PLAY(rows, 0, 0);
}

/* Ten in ten seconds: ten at once, then one each second; the clock is ours. */
static void rate_limit(void **state)
{
    (void)state;
    struct play p;
    play_init(&p);
    play_with(&p, "basic-ratelimit", "{'limits':[{'requests':10,'duration':'10s'}]}", "");
    for (int i = 0; i < 10; i++)
        assert_string_equal(play_request(&p, "GET / HTTP/1.1\nHost: h\n"), "GET /\nHost: h\n");
    assert_string_equal(play_response(&p, OK_HEAD),
                        "200\nServer: s\nRateLimit-Limit: 10\nRateLimit-Remaining: 0\nRateLimit-Reset: 10\n");
    assert_string_equal(play_request(&p, "GET / HTTP/1.1\nHost: h\n"),
                        "429 application/json\nRetry-After: 1\nRateLimit-Limit: 10\nRateLimit-Remaining: 0\n"
                        "RateLimit-Reset: 10\n{\"error\":\"Too Many Requests\",\"message\":\"Rate limit exceeded. "
                        "Please try again later.\"}\n");
    p.now_us += 999999;
    play_request(&p, "GET / HTTP/1.1\nHost: h\n");
    assert_int_equal(p.verdict, RG_POLICY_ANSWER);
    p.now_us += 1;
    play_request(&p, "GET / HTTP/1.1\nHost: h\n");
    assert_int_equal(p.verdict, RG_POLICY_NEXT);
    play_fini(&p);
}

static enum rg_policy_verdict ask(struct play *p, const char *client, const char *route, const char *head)
{
    p->client = client;
    p->route = route;
    play_request(p, head);
    return p->verdict;
}

/* Two quotas: one by client (two in a minute), one by the field x-org and the API (three); of IPv6 a /64 is a client.
 */
static void quotas(void **state)
{
    (void)state;
    struct play p;
    play_init(&p);
    play_with(&p, "advanced-ratelimit",
              "{'quotas':[{'limits':[{'limit':2,'duration':'1m'}]},"
              "{'name':'org','limits':[{'limit':3,'duration':'1m'},{'limit':100,'duration':'1h'}],"
              "'keyExtraction':[{'type':'header','key':'X-Org'},{'type':'apiname'}]}],"
              "'keyExtraction':[{'type':'ip'}],"
              "'onRateLimitExceeded':{'statusCode':503,'body':'slow down','bodyFormat':'plain'}}",
              "");
    static const char org_a[] = "GET / HTTP/1.1\nHost: h\nx-org: a\n", org_b[] = "GET / HTTP/1.1\nHost: h\nx-org: b\n";
    assert_int_equal(ask(&p, "2001:db8::1", "r", org_a), RG_POLICY_NEXT);
    assert_int_equal(ask(&p, "2001:db8::ffff:1:2", "r", org_a), RG_POLICY_NEXT);
    assert_int_equal(ask(&p, "2001:db8:0:0:1:2:3:4", "s", org_a), RG_POLICY_ANSWER);
    assert_string_equal(p.out, "503 text/plain; charset=utf-8\nRetry-After: 30\nRateLimit-Limit: 2\n"
                               "RateLimit-Remaining: 0\nRateLimit-Reset: 60\nslow down");
    /* What the first quota refused was not charged to the second. */
    assert_int_equal(ask(&p, "192.0.2.1", "r", org_a), RG_POLICY_NEXT);
    assert_int_equal(ask(&p, "192.0.2.2", "r", org_a), RG_POLICY_ANSWER);
    assert_int_equal(ask(&p, "192.0.2.2", "r", org_b), RG_POLICY_NEXT);
    play_fini(&p);
}

/* Ways in which a proxy may write one client, and which clients are others. */
static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        bool same;
    } rows[] = {{"192.0.2.1", "192.0.2.1", true},
                {"192.0.2.1:1024", "192.0.2.1:1025", true},
                {"192.0.2.1:1024", "192.0.2.1", true},
                {"::ffff:192.0.2.1", "192.0.2.1", true},
                {"::ffff:c000:201", "::FFFF:192.0.2.1", true},
                {"[2001:db8::1]:443", "2001:db8::1", true},
                {"[2001:db8::1]", "[2001:db8::2]:80", true},
                {"[::ffff:192.0.2.1]:443", "192.0.2.1:9", true},
                {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
                {"::ffff:192.0.2.1", "::1", false},
                {"192.0.2.1:1024", "192.0.2.2:1024", false},
                {"[2001:db8::1]:443", "[2001:db8:0:1::1]:443", false},
                {"unknown", "_hidden", false},
                {"fe80::1%eth0", "fe80::2%eth0", false},
                {"[", "[]", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct play p;
        play_init(&p);
        play_with(&p, "advanced-ratelimit",
                  "{'quotas':[{'limits':[{'limit':1,'duration':'1m'}]}],'keyExtraction':[{'type':'ip'}]}", "");
        assert_int_equal(ask(&p, rows[i].first, "r", GET), RG_POLICY_NEXT);
        if ((ask(&p, rows[i].second, "r", GET) == RG_POLICY_ANSWER) != rows[i].same)
            fail_msg("%s and %s", rows[i].first, rows[i].second);
        play_fini(&p);
    }
}

static void by_route_and_window(void **state)
{
    (void)state;
    struct play p;
    play_init(&p);
    p.now_us = 120000000;
    play_with(&p, "advanced-ratelimit",
              "{'quotas':[{'limits':[{'limit':1,'duration':'1m'}]}],'algorithm':'fixed-window'}", "");
    assert_int_equal(ask(&p, "", "a", GET), RG_POLICY_NEXT);
    assert_int_equal(ask(&p, "", "b", GET), RG_POLICY_NEXT);
    p.now_us = 179000000;
    assert_int_equal(ask(&p, "", "a", GET), RG_POLICY_ANSWER);
    assert_non_null(strstr(p.out, "Retry-After: 1\n"));
    p.now_us = 180000000;
    assert_int_equal(ask(&p, "", "a", GET), RG_POLICY_NEXT);
    play_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),      cmocka_unit_test(answers),
        cmocka_unit_test(rewrites),     cmocka_unit_test(paths),
        cmocka_unit_test(cross_origin), cmocka_unit_test(api_keys),
        cmocka_unit_test(passwords),    cmocka_unit_test(rate_limit),
        cmocka_unit_test(quotas),       cmocka_unit_test(by_route_and_window),
        cmocka_unit_test(addresses),    cmocka_unit_test(expressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
