/*
 * request-rewrite: another path, query or method for the upstream, where the request matches. The path is what stands
 * behind the API's context; that gives way to the upstream's base path as ever.
 */
#include <errno.h>
#include <stdio.h>

#include "datapath/policy/kinds.h"
#include "datapath/policy/pattern.h"
#include "datapath/policy/path.h"
#include "datapath/policy/query.h"

#define MATCHES_MAX 16
#define RULES_MAX   32

enum { MATCH_EXACT, MATCH_PRESENT, MATCH_REGEX };
enum { RULE_REPLACE, RULE_REMOVE, RULE_ADD, RULE_APPEND };

struct match_param {
    struct rg_str name, value;
    int32_t type;
};
struct matches_param {
    struct rg_param_list headers, query;
};
struct path_param {
    int32_t type;
    struct rg_str full, prefix;
};
struct rule_param {
    int32_t action;
    struct rg_str name, value, separator;
};
struct query_param {
    struct rg_param_list rules;
};
struct params {
    struct matches_param match;
    struct path_param path;
    struct query_param query;
    int32_t method;
    bool has_path;
};

static const char *const match_types[] = {"Exact", "Present", "Regex", NULL};
static const char *const path_types[] = {"ReplaceFullPath", "ReplacePrefixMatch", NULL};
static const char *const actions[] = {"Replace", "Remove", "Add", "Append", NULL};
/* Not HEAD, OPTIONS and the like: they change what a response is. */
static const char *const methods[] = {"", "GET", "POST", "PUT", "DELETE", "PATCH", NULL};
static const uint8_t method_ids[] = {RG_METHOD_OTHER, RG_METHOD_GET,    RG_METHOD_POST,
                                     RG_METHOD_PUT,   RG_METHOD_DELETE, RG_METHOD_PATCH};

static const struct rg_param match_params[] = {{.name = "name",
                                                .type = RG_PARAM_STRING,
                                                .offset = offsetof(struct match_param, name),
                                                .required = true,
                                                .not_empty = true,
                                                .help = "Of the field (in any case) or the parameter."},
                                               {.name = "type",
                                                .type = RG_PARAM_ENUM,
                                                .offset = offsetof(struct match_param, type),
                                                .required = true,
                                                .words = match_types,
                                                .help = "`Exact`: one of its values is `value`. `Regex`: in one of "
                                                        "them the expression `value` is found. `Present`: it "
                                                        "is there."},
                                               {.name = "value",
                                                .type = RG_PARAM_STRING,
                                                .offset = offsetof(struct match_param, value),
                                                .scalar = true,
                                                .help = "The value of `Exact`, the expression of `Regex`."},
                                               {0}};

static const struct rg_param matches_params[] = {{.name = "headers",
                                                  .type = RG_PARAM_LIST,
                                                  .offset = offsetof(struct matches_param, headers),
                                                  .max = MATCHES_MAX,
                                                  .fields = match_params,
                                                  .size = sizeof(struct match_param),
                                                  .help = "Fields that have to match, all of them."},
                                                 {.name = "queryParams",
                                                  .type = RG_PARAM_LIST,
                                                  .offset = offsetof(struct matches_param, query),
                                                  .max = MATCHES_MAX,
                                                  .fields = match_params,
                                                  .size = sizeof(struct match_param),
                                                  .help = "Parameters of the query that have to match, all of them."},
                                                 {0}};

static const struct rg_param path_params[] = {
    {.name = "type",
     .type = RG_PARAM_ENUM,
     .offset = offsetof(struct path_param, type),
     .required = true,
     .words = path_types,
     .help = "All behind the API's context is replaced, or what the route's prefix matched."},
    {.name = "replaceFullPath",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct path_param, full),
     .help = "The new path, of `ReplaceFullPath`."},
    {.name = "replacePrefixMatch",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct path_param, prefix),
     .help = "What takes the place of the prefix, of `ReplacePrefixMatch`; `/` or nothing: it goes."},
    {0}};

static const struct rg_param rule_params[] = {
    {.name = "action",
     .type = RG_PARAM_ENUM,
     .offset = offsetof(struct rule_param, action),
     .required = true,
     .words = actions,
     .help = "`Replace` sets the parameter, `Remove` takes it out, `Add` adds one more, `Append` puts text behind its "
             "values, or adds it."},
    {.name = "name",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct rule_param, name),
     .required = true,
     .not_empty = true,
     .help = "The parameter, decoded."},
    {.name = "value",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct rule_param, value),
     .scalar = true,
     .help = "The value, decoded."},
    {.name = "separator",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct rule_param, separator),
     .help = "What stands before the text that `Append` adds."},
    {0}};

static const struct rg_param query_params[] = {{.name = "rules",
                                                .type = RG_PARAM_LIST,
                                                .offset = offsetof(struct query_param, rules),
                                                .required = true,
                                                .not_empty = true,
                                                .max = RULES_MAX,
                                                .fields = rule_params,
                                                .size = sizeof(struct rule_param),
                                                .help = "Rules, one after the other."},
                                               {0}};

static const struct rg_param params_table[] = {
    {.name = "match",
     .type = RG_PARAM_OBJECT,
     .offset = offsetof(struct params, match),
     .fields = matches_params,
     .size = sizeof(struct matches_param),
     .help = "Which requests are rewritten; left out: all."},
    {.name = "pathRewrite",
     .type = RG_PARAM_OBJECT,
     .offset = offsetof(struct params, path),
     .fields = path_params,
     .size = sizeof(struct path_param),
     .present = 1 + offsetof(struct params, has_path),
     .help = "Another path."},
    {.name = "queryRewrite",
     .type = RG_PARAM_OBJECT,
     .offset = offsetof(struct params, query),
     .fields = query_params,
     .size = sizeof(struct query_param),
     .help = "Another query."},
    {.name = "methodRewrite",
     .type = RG_PARAM_ENUM,
     .offset = offsetof(struct params, method),
     .initial = "\"\"",
     .words = methods,
     .help = "Another method; requests with HEAD, OPTIONS and the like keep theirs."},
    {0}};

struct match {
    struct rg_policy_name field;
    struct rg_str name, value;
    bool is_exact;
    const struct rg_regex *pattern; /* NULL: none */
};
struct rule {
    int32_t action;
    struct rg_str name;    /* decoded */
    struct rg_str encoded; /* name=value, or what is appended */
    struct rg_str added;   /* name=value, where there is nothing to append to */
};
struct self {
    struct match *headers, *parameters;
    unsigned n_headers, n_parameters, n_rules;
    struct rule *rules;
    enum rg_path_edit edit;
    struct rg_str path, method;
    uint8_t method_id;
};

/* ---- made by the control thread ---- */

static int take_matches(struct rg_policy_making *m, const char *label, const struct rg_param_list *list,
                        struct match **ret, unsigned *n)
{
    const struct match_param *items = list->items;
    *ret = rg_arena_array(m->arena, list->n, sizeof **ret);
    if (!*ret)
        return -ENOMEM;
    for (size_t i = 0; i < list->n; i++) {
        struct match *to = &(*ret)[(*n)++];
        char path[80];
        snprintf(path, sizeof path, "match.%s[%zu].value", label, i);
        to->is_exact = items[i].type == MATCH_EXACT;
        bool has_value = items[i].type != MATCH_PRESENT;
        if (has_value != (items[i].value.len > 0))
            return rg_policy_refuse(m, path,
                                    has_value ? "is missing: wanted the value to match"
                                              : "has no meaning with the type Present: leave it out");
        if (items[i].type == MATCH_REGEX) {
            int rc = rg_policy_pattern_make(m, path, items[i].value, &to->pattern);
            if (rc < 0)
                return rc;
        }
        if (!rg_arena_copy(m->arena, items[i].name, &to->name) || !rg_arena_copy(m->arena, items[i].value, &to->value))
            return -ENOMEM;
        to->field = rg_policy_name_of(to->name);
    }
    return 0;
}

static int join(struct rg_arena *arena, struct rg_str a, struct rg_str b, struct rg_str c, struct rg_str *ret)
{
    char *out = rg_arena_alloc(arena, a.len + b.len + c.len + 1);
    if (!out)
        return -ENOMEM;
    memcpy(out, a.ptr, a.len);
    memcpy(out + a.len, b.ptr, b.len);
    memcpy(out + a.len + b.len, c.ptr, c.len);
    *ret = (struct rg_str){out, a.len + b.len + c.len};
    return 0;
}

static int take_rule(struct rg_policy_making *m, const struct rule_param *from, struct rule *to)
{
    struct rg_str name, value, separator;
    to->action = from->action;
    if (!rg_arena_copy(m->arena, from->name, &to->name) || rg_query_encode(m->arena, from->name, &name) < 0 ||
        rg_query_encode(m->arena, from->value, &value) < 0 ||
        rg_query_encode(m->arena, from->separator, &separator) < 0 ||
        join(m->arena, name, RG_STR("="), value, &to->added) < 0)
        return -ENOMEM;
    to->encoded = to->added;
    return to->action == RULE_APPEND ? join(m->arena, separator, RG_STR(""), value, &to->encoded) : 0;
}

static int take_rules(struct self *s, const struct rg_param_list *list, struct rg_policy_making *m)
{
    const struct rule_param *items = list->items;
    s->rules = rg_arena_array(m->arena, list->n, sizeof *s->rules);
    if (!s->rules)
        return -ENOMEM;
    for (size_t i = 0; i < list->n; i++) {
        char path[80];
        snprintf(path, sizeof path, "queryRewrite.rules[%zu].value", i);
        if (items[i].action == RULE_APPEND && items[i].value.len == 0)
            return rg_policy_refuse(m, path, "is missing: wanted what is appended");
        int rc = take_rule(m, &items[i], &s->rules[s->n_rules++]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    struct self *s = self;
    const struct params *p = params;
    bool is_full = p->path.type == 0;
    if (!p->has_path && p->query.rules.n == 0 && p->method == 0)
        return rg_policy_refuse(m, "", "rewrites nothing: wanted pathRewrite, queryRewrite or methodRewrite");
    int rc = take_matches(m, "headers", &p->match.headers, &s->headers, &s->n_headers);
    if (rc == 0)
        rc = take_matches(m, "queryParams", &p->match.query, &s->parameters, &s->n_parameters);
    if (rc == 0)
        rc = take_rules(s, &p->query.rules, m);
    s->method = rg_str_of(methods[p->method]);
    s->method_id = method_ids[p->method];
    s->edit = !p->has_path ? RG_PATH_KEEP : is_full ? RG_PATH_FULL : RG_PATH_PREFIX;
    if (rc < 0 || !p->has_path)
        return rc;
    return rg_path_make(m, is_full ? "pathRewrite.replaceFullPath" : "pathRewrite.replacePrefixMatch", s->edit,
                        is_full ? p->path.full : p->path.prefix, &s->path);
}

/* ---- at work ---- */

static bool field_matches(const struct match *match, const struct rg_policy_head *head)
{
    const struct rg_field *f = NULL;
    while ((f = rg_policy_find_field(head, &match->field, f)) != NULL) {
        struct rg_str value = rg_field_value(f);
        if (match->pattern ? rg_regex_matches(match->pattern, value)
                           : !match->is_exact || rg_str_eq(value, match->value))
            return true;
    }
    return false;
}

/* Of a parameter, whose text is encoded. */
static bool value_matches(const struct match *match, struct rg_str value)
{
    char room[RG_QUERY_VALUE_MAX];
    struct rg_str plain;
    if (!match->pattern)
        return !match->is_exact || rg_query_is(value, match->value);
    return rg_query_decode(value, room, &plain) && rg_regex_matches(match->pattern, plain);
}

static bool parameter_matches(const struct match *match, struct rg_str query)
{
    struct rg_query_pair pair;
    struct rg_str at = rg_query_start(query);
    while (rg_query_next(&at, &pair))
        if (rg_query_is(pair.name, match->name) && value_matches(match, pair.value))
            return true;
    return false;
}

static bool is_meant(const struct self *s, const struct rg_policy_request *q)
{
    for (unsigned i = 0; i < s->n_headers; i++)
        if (!field_matches(&s->headers[i], &q->head))
            return false;
    for (unsigned i = 0; i < s->n_parameters; i++)
        if (!parameter_matches(&s->parameters[i], q->query))
            return false;
    return true;
}

static char *put_pair(char *out, char *to, struct rg_str a, struct rg_str b)
{
    *to = to == out ? '?' : '&';
    memcpy(to + 1, a.ptr, a.len);
    if (b.len > 0)
        memcpy(to + 1 + a.len, b.ptr, b.len);
    return to + 1 + a.len + b.len;
}

/* A pair that the rule is about: what becomes of it. */
static char *put_changed(const struct rule *rule, const struct rg_query_pair *pair, char *out, char *to, bool first)
{
    if (rule->action == RULE_APPEND) {
        char *end = put_pair(out, to, pair->whole, pair->has_value ? RG_STR_NONE : RG_STR("="));
        memcpy(end, rule->encoded.ptr, rule->encoded.len);
        return end + rule->encoded.len;
    }
    return rule->action == RULE_REPLACE && first ? put_pair(out, to, rule->encoded, RG_STR_NONE) : to;
}

static bool apply(const struct rule *rule, struct rg_policy_request *q)
{
    struct rg_query_pair pair;
    struct rg_str at = rg_query_start(q->query);
    unsigned found = 0;
    size_t pairs = 1;
    for (size_t i = 0; i < q->query.len; i++)
        pairs += q->query.ptr[i] == '&';
    char *out = rg_policy_scratch_room(&q->scratch,
                                       q->query.len + 2 + (pairs + 1) * (rule->added.len + 2 + rule->encoded.len)),
         *to = out;
    if (!out)
        return false;
    while (rg_query_next(&at, &pair)) {
        bool about = rule->action != RULE_ADD && rg_query_is(pair.name, rule->name);
        to = about ? put_changed(rule, &pair, out, to, found++ == 0) : put_pair(out, to, pair.whole, RG_STR_NONE);
    }
    if (found == 0 && rule->action != RULE_REMOVE)
        to = put_pair(out, to, rule->added, RG_STR_NONE);
    q->query = (struct rg_str){out, (size_t)(to - out)};
    q->scratch.at = to;
    return true;
}

static bool may_change(uint8_t method)
{
    for (size_t i = 1; i < sizeof method_ids; i++)
        if (method_ids[i] == method)
            return true;
    return false;
}

static enum rg_policy_verdict request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    const struct self *s = self;
    (void)state;
    if (!is_meant(s, q))
        return RG_POLICY_NEXT;
    if (s->edit != RG_PATH_KEEP) {
        if (!rg_path_edit_of(q, s->edit, s->path, &q->path))
            return RG_POLICY_FULL;
        q->prefix_bytes = (uint32_t)q->path.len; /* what the route matched is not in it any more */
    }
    for (unsigned i = 0; i < s->n_rules; i++)
        if (!apply(&s->rules[i], q))
            return RG_POLICY_FULL;
    if (s->method.len > 0 && may_change(q->method_id)) {
        q->method = s->method;
        q->method_id = s->method_id;
    }
    return RG_POLICY_NEXT;
}

const struct rg_policy_kind rg_policy_request_rewrite = {
    .name = "request-rewrite",
    .version = "v1.0.2",
    .help = "Gives the upstream another path, query or method.",
    .params = params_table,
    .params_size = sizeof(struct params),
    .size = sizeof(struct self),
    .prepare = prepare,
    .request = request,
};
