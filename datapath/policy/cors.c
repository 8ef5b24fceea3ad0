/*
 * cors: tells browsers which other origins may use the API (Fetch Standard, section 3.3). Preflights are answered here;
 * to other requests of an allowed origin the response says so, also when it is an error or another policy's answer.
 */
#include <errno.h>
#include <stdio.h>

#include "datapath/base/regex.h"
#include "datapath/http/h1_chars.h"
#include "datapath/policy/kinds.h"
#include "datapath/policy/view.h"

#define ORIGIN_MAX 512

struct params {
    struct rg_param_list origins, methods, headers, exposed;
    int64_t max_age;
    bool credentials, forward_preflight;
};

static const struct rg_param text_item = {.name = "", .type = RG_PARAM_STRING, .not_empty = true};

#define LIST(label, member, given, text)                                                                              \
    {                                                                                                                 \
        .name = label, .type = RG_PARAM_LIST, .offset = offsetof(struct params, member), .max = 64, .initial = given, \
        .item = &text_item, .size = sizeof(struct rg_str), .help = text                                               \
    }

static const struct rg_param params_table[] = {
    LIST(
        "allowedOrigins", origins, "[\"*\"]",
        "Origins: `*`, `https://app.example.com`, `https://*.example.com` for the names below, or a regular expression "
        "for the whole origin, in lower case, such as `^https://(a|b)\\.example$`."),
    LIST("allowedMethods", methods, "[\"GET\",\"POST\",\"PUT\",\"DELETE\",\"OPTIONS\"]", "Methods, or `*`."),
    LIST("allowedHeaders", headers, NULL, "Fields that requests may have, or `*`."),
    LIST("exposedHeaders", exposed, NULL, "Fields of the response that scripts may read."),
    {.name = "allowCredentials",
     .type = RG_PARAM_BOOL,
     .offset = offsetof(struct params, credentials),
     .help = "Requests may carry cookies and credentials; origins then have to be named."},
    {.name = "maxAge",
     .type = RG_PARAM_INT,
     .offset = offsetof(struct params, max_age),
     .initial = "3600",
     .max = 86400,
     .help = "Seconds for which a browser may remember the answer to a preflight."},
    {.name = "forwardPreflight",
     .type = RG_PARAM_BOOL,
     .offset = offsetof(struct params, forward_preflight),
     .help = "Preflights that this policy does not allow go to the upstream."},
    {0}};
#undef LIST

struct origin {
    struct rg_str text;      /* before the '*', where there is one */
    struct rg_str below;     /* behind it: ".example.com" */
    struct rg_field allowed; /* the whole line, where the origin is named */
    bool is_wildcard;
    const struct rg_regex *pattern; /* instead of all that; NULL: none */
};

struct self {
    bool any_origin, any_method, any_header, forward_preflight, credentials;
    struct origin *origins;
    unsigned n_origins;
    struct rg_str *methods, *headers;
    unsigned n_methods, n_headers;
    struct rg_field allow_any, allow_methods, allow_headers, expose, allow_credentials, max_age, vary, vary_preflight;
    struct rg_str body;
};

/* ---- made by the control thread ---- */

static int join(struct rg_arena *arena, const struct rg_param_list *list, struct rg_str *ret)
{
    const struct rg_str *items = list->items;
    size_t len = 0, n = 0;
    for (size_t i = 0; i < list->n; i++)
        len += items[i].len + 2;
    char *out = rg_arena_alloc(arena, len + 1);
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0) {
            memcpy(out + n, ", ", 2);
            n += 2;
        }
        memcpy(out + n, items[i].ptr, items[i].len);
        n += items[i].len;
    }
    *ret = (struct rg_str){out, n};
    return 0;
}

/* Tokens into the arena; "*" alone means any. */
static int take_tokens(struct rg_policy_making *m, const char *path, const struct rg_param_list *list,
                       struct rg_str **ret, unsigned *n, bool *any)
{
    const struct rg_str *items = list->items;
    *ret = rg_arena_array(m->arena, list->n, sizeof **ret);
    if (!*ret)
        return -ENOMEM;
    for (size_t i = 0; i < list->n; i++) {
        char at[64];
        snprintf(at, sizeof at, "%s[%zu]", path, i);
        if (items[i].len > 256 || !rg_str_is(items[i], RG_CHAR_TOKEN))
            return rg_policy_refuse(m, at, "'%.*s' is no name: wanted letters, digits and -_",
                                    (int)(items[i].len < 64 ? items[i].len : 64), items[i].ptr);
        if (rg_str_eq(items[i], RG_STR("*")))
            *any = true;
        else if (!rg_arena_copy(m->arena, items[i], &(*ret)[(*n)++]))
            return -ENOMEM;
    }
    return 0;
}

static bool is_origin_char(char c)
{
    return rg_char_is(c, RG_CHAR_UNRESERVED) || c == ':' || c == '/' || c == '[' || c == ']';
}

/* scheme://host or scheme://host:port, "null", or one '*' for what stands before a dot of the host. */
static bool is_origin(struct rg_str s, const char **star)
{
    unsigned stars = 0;
    *star = NULL;
    if (s.len > ORIGIN_MAX || rg_str_eq(s, RG_STR("null")))
        return s.len <= ORIGIN_MAX;
    const char *colon = memmem(s.ptr, s.len, "://", 3);
    if (!colon || colon == s.ptr || (size_t)(colon - s.ptr) + 3 == s.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '*') {
            *star = &s.ptr[i];
            stars++;
        } else if (!is_origin_char(s.ptr[i])) {
            return false;
        }
    }
    const char *end = s.ptr + s.len;
    if (memchr(colon + 3, '/', (size_t)(end - colon) - 3))
        return false;
    return stars == 0 || (stars == 1 && *star == colon + 3 && *star + 2 < end && (*star)[1] == '.');
}

/* Has what no origin has, but a regular expression may. */
static bool is_pattern(struct rg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (memchr("^$()\\+?|{", s.ptr[i], 9))
            return true;
    return s.len > 1 && memmem(s.ptr, s.len, ".*", 2);
}

static int take_pattern(struct self *s, struct rg_policy_making *m, const char *at, struct rg_str text)
{
    char why[128];
    int rc = rg_regex_compile(m->arena, text, &s->origins[s->n_origins].pattern, why, sizeof why);
    if (rc == -EINVAL)
        return rg_policy_refuse(m, at, "is no regular expression for an origin: %s", why);
    s->n_origins += rc == 0;
    return rc;
}

static int take_origin(struct self *s, struct rg_policy_making *m, size_t i, struct rg_str text)
{
    char at[64];
    const char *star;
    struct origin *o = &s->origins[s->n_origins];
    if (rg_str_eq(text, RG_STR("*"))) {
        s->any_origin = true;
        return 0;
    }
    snprintf(at, sizeof at, "allowedOrigins[%zu]", i);
    if (is_pattern(text))
        return take_pattern(s, m, at, text);
    if (!is_origin(text, &star))
        return rg_policy_refuse(m, at,
                                "'%.*s' is no origin: wanted *, https://host, https://host:port or https://*.host",
                                (int)(text.len < 64 ? text.len : 64), text.ptr);
    char *lower = rg_arena_alloc(m->arena, text.len);
    if (!lower)
        return -ENOMEM;
    for (size_t k = 0; k < text.len; k++)
        lower[k] = rg_lower(text.ptr[k]);
    struct rg_str copy = {lower, text.len};
    size_t front = star ? (size_t)(star - text.ptr) : text.len;
    o->text = (struct rg_str){copy.ptr, front};
    o->is_wildcard = star != NULL;
    if (star)
        o->below = (struct rg_str){copy.ptr + front + 1, copy.len - front - 1};
    s->n_origins++;
    return star ? 0 : rg_policy_line_copy(m->arena, RG_STR("Access-Control-Allow-Origin"), copy, &o->allowed);
}

static int take_origins(struct self *s, const struct params *p, struct rg_policy_making *m)
{
    const struct rg_str *items = p->origins.items;
    s->origins = rg_arena_array(m->arena, p->origins.n, sizeof *s->origins);
    if (!s->origins)
        return -ENOMEM;
    for (size_t i = 0; i < p->origins.n; i++) {
        int rc = take_origin(s, m, i, items[i]);
        if (rc < 0)
            return rc;
    }
    if (p->origins.n == 0)
        return rg_policy_refuse(m, "allowedOrigins", "is empty: wanted at least one origin, or *");
    if (s->any_origin && p->credentials)
        return rg_policy_refuse(m, "allowCredentials",
                                "can't be true while allowedOrigins has *: any site could act for the user");
    return 0;
}

static int make_line(struct rg_policy_making *m, struct rg_str name, struct rg_str value, struct rg_field *ret)
{
    return value.len > 0 ? rg_policy_line_copy(m->arena, name, value, ret) : 0;
}

static int make_lines(struct self *s, const struct params *p, struct rg_policy_making *m)
{
    char age[24];
    struct rg_str methods, headers, exposed;
    int n = snprintf(age, sizeof age, "%lld", (long long)p->max_age);
    if (join(m->arena, &p->methods, &methods) < 0 || join(m->arena, &p->headers, &headers) < 0 ||
        join(m->arena, &p->exposed, &exposed) < 0)
        return -ENOMEM;
    int rc = make_line(m, RG_STR("Access-Control-Allow-Methods"), methods, &s->allow_methods);
    rc = rc < 0 ? rc : make_line(m, RG_STR("Access-Control-Allow-Headers"), headers, &s->allow_headers);
    rc = rc < 0 ? rc : make_line(m, RG_STR("Access-Control-Expose-Headers"), exposed, &s->expose);
    rc = rc < 0 ? rc : make_line(m, RG_STR("Access-Control-Max-Age"), (struct rg_str){age, (size_t)n}, &s->max_age);
    rc = rc < 0 ? rc : make_line(m, RG_STR("Access-Control-Allow-Credentials"), RG_STR("true"), &s->allow_credentials);
    rc = rc < 0 ? rc : make_line(m, RG_STR("Access-Control-Allow-Origin"), RG_STR("*"), &s->allow_any);
    rc = rc < 0 ? rc : make_line(m, RG_STR("Vary"), RG_STR("Origin"), &s->vary);
    return rc < 0 ? rc
                  : make_line(m, RG_STR("Vary"),
                              RG_STR("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
                              &s->vary_preflight);
}

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    struct self *s = self;
    const struct params *p = params;
    unsigned n_exposed = 0;
    bool any = false;
    struct rg_str *exposed;
    s->forward_preflight = p->forward_preflight;
    s->credentials = p->credentials;
    m->keeps_head = m->needs_state = true;
    m->response_fields = 4;
    int rc = take_origins(s, p, m);
    if (rc == 0)
        rc = take_tokens(m, "allowedMethods", &p->methods, &s->methods, &s->n_methods, &s->any_method);
    if (rc == 0)
        rc = take_tokens(m, "allowedHeaders", &p->headers, &s->headers, &s->n_headers, &s->any_header);
    if (rc == 0)
        rc = take_tokens(m, "exposedHeaders", &p->exposed, &exposed, &n_exposed, &any);
    if (rc == 0)
        rc = rg_policy_body_make(m->arena, "Forbidden", "This origin, method or header is not allowed", &s->body);
    return rc == 0 ? make_lines(s, p, m) : rc;
}

/* ---- at work ---- */

static const struct rg_policy_name origin_name = RG_POLICY_NAME("origin", RG_FIELD_ORIGIN);
static const struct rg_policy_name request_method = RG_POLICY_NAME("access-control-request-method", RG_FIELD_OTHER);
static const struct rg_policy_name request_headers = RG_POLICY_NAME("access-control-request-headers", RG_FIELD_OTHER);
static const struct rg_policy_name allow_origin_name = RG_POLICY_NAME("Access-Control-Allow-Origin", RG_FIELD_OTHER);
static const struct rg_policy_name allow_methods_name = RG_POLICY_NAME("Access-Control-Allow-Methods", RG_FIELD_OTHER);
static const struct rg_policy_name allow_headers_name = RG_POLICY_NAME("Access-Control-Allow-Headers", RG_FIELD_OTHER);

/* Browsers write origins in lower case, and they are compared byte by byte. */
static bool matches(const struct origin *o, struct rg_str origin)
{
    size_t ends = o->text.len + o->below.len;
    if (o->pattern)
        return rg_regex_matches(o->pattern, origin);
    if (!o->is_wildcard)
        return rg_str_eq(o->text, origin);
    if (origin.len <= ends || !rg_str_eq(o->text, (struct rg_str){origin.ptr, o->text.len}))
        return false;
    struct rg_str label = {origin.ptr + o->text.len, origin.len - ends};
    for (size_t i = 0; i < label.len; i++)
        if (!rg_char_is(label.ptr[i], RG_CHAR_UNRESERVED))
            return false;
    return rg_str_eq(o->below, (struct rg_str){origin.ptr + origin.len - o->below.len, o->below.len});
}

static const struct origin *find_origin(const struct self *s, struct rg_str origin)
{
    for (unsigned i = 0; i < s->n_origins; i++)
        if (matches(&s->origins[i], origin))
            return &s->origins[i];
    return NULL;
}

static bool is_listed(const struct rg_str *names, unsigned n, struct rg_str name, bool nocase)
{
    for (unsigned i = 0; i < n; i++)
        if (nocase ? rg_str_eq_nocase(names[i], name) : rg_str_eq(names[i], name))
            return true;
    return false;
}

static bool are_headers_allowed(const struct self *s, struct rg_str list)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        struct rg_str name = {list.ptr, comma ? (size_t)(comma - list.ptr) : list.len};
        list = comma ? (struct rg_str){comma + 1, list.len - name.len - 1} : RG_STR_NONE;
        while (name.len > 0 && *name.ptr == ' ')
            name = (struct rg_str){name.ptr + 1, name.len - 1};
        while (name.len > 0 && name.ptr[name.len - 1] == ' ')
            name.len--;
        if (name.len > 0 && !s->any_header && !is_listed(s->headers, s->n_headers, name, true))
            return false;
    }
    return true;
}

static bool is_preflight_allowed(const struct self *s, const struct rg_policy_request *q, struct rg_str method)
{
    if (!s->any_method && !is_listed(s->methods, s->n_methods, method, false))
        return false;
    const struct rg_field *f = NULL;
    while ((f = rg_policy_find_field(&q->head, &request_headers, f)) != NULL)
        if (!are_headers_allowed(s, rg_field_value(f)))
            return false;
    return true;
}

/* Named back: with credentials `*` means no method and no header. */
static bool add_echo(struct rg_policy_request *q, const struct rg_policy_name *name, struct rg_str value)
{
    struct rg_field line;
    if (value.len == 0)
        return true;
    if (!rg_policy_line_write(&q->scratch, name, value, &line))
        return false;
    rg_policy_add_field(&q->answer.head, &line);
    return true;
}

static enum rg_policy_verdict answer_preflight(const struct self *s, struct rg_policy_request *q, struct rg_str method)
{
    const struct rg_field *asked = rg_policy_find_field(&q->head, &request_headers, NULL);
    q->answer.status = 204;
    rg_policy_add_field(&q->answer.head, &s->max_age);
    rg_policy_add_field(&q->answer.head, &s->vary_preflight);
    if (s->any_method ? !add_echo(q, &allow_methods_name, method) : false)
        return RG_POLICY_FULL;
    if (!s->any_method)
        rg_policy_add_field(&q->answer.head, &s->allow_methods);
    if (s->any_header && asked && !add_echo(q, &allow_headers_name, rg_field_value(asked)))
        return RG_POLICY_FULL;
    if (!s->any_header && s->n_headers > 0)
        rg_policy_add_field(&q->answer.head, &s->allow_headers);
    return RG_POLICY_ANSWER;
}

static enum rg_policy_verdict request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    const struct self *s = self;
    const struct rg_field *origin = rg_policy_find_field(&q->head, &origin_name, NULL);
    if (!origin || origin->value_len > ORIGIN_MAX)
        return RG_POLICY_NEXT;
    bool allowed = s->any_origin || find_origin(s, rg_field_value(origin));
    if (allowed)
        state->text = rg_field_value(origin);
    if (q->method_id != RG_METHOD_OPTIONS)
        return RG_POLICY_NEXT;
    const struct rg_field *asks = rg_policy_find_field(&q->head, &request_method, NULL);
    if (!asks)
        return RG_POLICY_NEXT;
    if (allowed && is_preflight_allowed(s, q, rg_field_value(asks)))
        return answer_preflight(s, q, rg_field_value(asks));
    state->text = RG_STR_NONE;
    if (s->forward_preflight)
        return RG_POLICY_NEXT;
    q->answer.status = 403;
    q->answer.type = RG_STR("application/json");
    q->answer.body = s->body;
    return RG_POLICY_ANSWER;
}

/* The upstream's own fields about this go: the policy is what counts. */
static void allow_origin(const struct self *s, struct rg_policy_response *r, struct rg_str origin)
{
    struct rg_field line;
    const struct origin *o = find_origin(s, origin);
    if (!o)
        rg_policy_set_field(&r->head, &s->allow_any);
    else if (o->allowed.name)
        rg_policy_set_field(&r->head, &o->allowed);
    else if (rg_policy_line_write(&r->scratch, &allow_origin_name, origin, &line))
        rg_policy_set_field(&r->head, &line);
}

static void response(void *self, struct rg_policy_response *r, const union rg_policy_state *state)
{
    const struct self *s = self;
    if (!s->any_origin || s->n_origins > 0) /* whether there is an origin or not: a cache has to know */
        rg_policy_add_field(&r->head, &s->vary);
    if (state->text.len == 0) {
        rg_policy_remove_field(&r->head, &allow_origin_name);
        return;
    }
    allow_origin(s, r, state->text);
    if (s->credentials)
        rg_policy_set_field(&r->head, &s->allow_credentials);
    if (s->expose.name)
        rg_policy_set_field(&r->head, &s->expose);
}

const struct rg_policy_kind rg_policy_cors = {
    .name = "cors",
    .version = "v1.0.2",
    .help = "Lets browsers use the API from pages of other origins, and answers their preflights.",
    .params = params_table,
    .params_size = sizeof(struct params),
    .size = sizeof(struct self),
    .prepare = prepare,
    .request = request,
    .response = response,
};
