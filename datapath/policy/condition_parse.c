/*
 * From the text of a condition to a tree of which every type is known. Recursive descent; depth, nodes and lists are
 * bounded. The first error is the one that is reported. Thread: the control thread.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "datapath/policy/condition_parts.h"

struct parser {
    const char *start, *at, *end;
    struct rg_arena *arena;
    char *why;
    size_t why_size;
    unsigned depth, nodes;
    int rc; /* of the first error */
};

int rg_cel_complain(char *why, size_t size, size_t column, const char *format, ...)
{
    va_list args;
    int n = snprintf(why, size, "column %zu: ", column);
    va_start(args, format);
    if (n > 0 && (size_t)n < size)
        vsnprintf(why + n, size - (size_t)n, format, args);
    va_end(args);
    return -EINVAL;
}

#define COMPLAIN(p, at_column, ...)                                                       \
    do {                                                                                  \
        if ((p)->rc == 0)                                                                 \
            (p)->rc = rg_cel_complain((p)->why, (p)->why_size, (at_column), __VA_ARGS__); \
    } while (0)

static struct rg_cel_node *or_of(struct parser *p);

/* ---- bytes ---- */

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
        p->at++;
}

static size_t column(const struct parser *p)
{
    return (size_t)(p->at - p->start) + 1;
}

static bool is_letter(char c)
{
    return (unsigned)rg_lower(c) - 'a' < 26u || c == '_';
}

static bool is_digit(char c)
{
    return (unsigned)c - '0' < 10u;
}

static bool takes(struct parser *p, const char *symbol)
{
    size_t n = strlen(symbol);
    skip_space(p);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, symbol, n) != 0)
        return false;
    p->at += n;
    return true;
}

static bool expect(struct parser *p, const char *symbol)
{
    if (takes(p, symbol))
        return true;
    if (p->at == p->end)
        COMPLAIN(p, column(p), "the condition ends where '%s' was wanted", symbol);
    else
        COMPLAIN(p, column(p), "got '%c', wanted '%s'", *p->at >= ' ' && *p->at <= '~' ? *p->at : '?', symbol);
    return false;
}

static struct rg_str word(struct parser *p)
{
    skip_space(p);
    const char *from = p->at;
    if (p->at < p->end && is_letter(*p->at))
        while (p->at < p->end && (is_letter(*p->at) || is_digit(*p->at)))
            p->at++;
    return (struct rg_str){from, (size_t)(p->at - from)};
}

/* The operator `in`, and not the beginning of a longer word. */
static bool takes_in(struct parser *p)
{
    const char *before = p->at;
    if (rg_str_eq(word(p), RG_STR("in")))
        return true;
    p->at = before;
    return false;
}

/* ---- nodes ---- */

static struct rg_cel_node *node(struct parser *p, enum rg_cel_op op, enum rg_cel_type type, size_t at)
{
    if (p->nodes++ == RG_CEL_NODES_MAX) {
        COMPLAIN(p, at, "the condition has more than %d parts", RG_CEL_NODES_MAX);
        return NULL;
    }
    struct rg_cel_node *n = rg_arena_alloc(p->arena, sizeof *n);
    if (!n) {
        if (p->rc == 0)
            p->rc = -ENOMEM;
        return NULL;
    }
    n->op = op;
    n->type = type;
    n->column = at;
    return n;
}

static struct rg_cel_node *node_over(struct parser *p, enum rg_cel_op op, enum rg_cel_type type, size_t at,
                                     struct rg_cel_node *a, struct rg_cel_node *b)
{
    struct rg_cel_node *n = node(p, op, type, at);
    if (!n)
        return NULL;
    n->a = a;
    n->b = b;
    n->of = a->of | (b ? b->of : 0);
    return n;
}

static const char *type_name(enum rg_cel_type type)
{
    static const char *const names[] = {
        "true or false",   "a number",         "text", "headers", "the values of a header",
        "a list of texts", "a list of numbers"};
    return names[type];
}

static bool is_type(struct parser *p, const struct rg_cel_node *n, enum rg_cel_type type)
{
    if (n->type == type)
        return true;
    COMPLAIN(p, n->column, "this is %s, wanted %s", type_name(n->type), type_name(type));
    return false;
}

/* ---- literals ---- */

static bool take_escape(struct parser *p, char *out, size_t *len)
{
    char c = p->at + 1 < p->end ? p->at[1] : '\0';
    if (c != '\\' && c != '"' && c != '\'') {
        COMPLAIN(p, column(p), "only \\\\, \\\" and \\' may stand behind a backslash");
        return false;
    }
    out[(*len)++] = c;
    p->at += 2;
    return true;
}

/* At its quote. */
static bool text_literal(struct parser *p, struct rg_str *ret)
{
    size_t from = column(p), len = 0;
    char quote = *p->at++, *out = rg_arena_alloc(p->arena, (size_t)(p->end - p->at) + 1);
    if (!out) {
        p->rc = p->rc != 0 ? p->rc : -ENOMEM;
        return false;
    }
    while (p->at < p->end && *p->at != quote) {
        if (*p->at != '\\')
            out[len++] = *p->at++;
        else if (!take_escape(p, out, &len))
            return false;
    }
    if (p->at == p->end) {
        COMPLAIN(p, from, "the text that begins here does not end");
        return false;
    }
    p->at++;
    *ret = (struct rg_str){out, len};
    return true;
}

static bool number_literal(struct parser *p, int64_t *ret)
{
    size_t from = column(p);
    bool negative = *p->at == '-';
    int64_t n = 0;
    p->at += negative;
    if (p->at == p->end || !is_digit(*p->at)) {
        COMPLAIN(p, from, "wanted a number behind '-'");
        return false;
    }
    for (; p->at < p->end && is_digit(*p->at); p->at++) {
        if (n > (INT64_MAX - 9) / 10) {
            COMPLAIN(p, from, "this number is too large");
            return false;
        }
        n = n * 10 + (*p->at - '0');
    }
    if (p->at < p->end && (*p->at == '.' || is_letter(*p->at))) {
        COMPLAIN(p, from, "only whole decimal numbers are supported");
        return false;
    }
    *ret = negative ? -n : n;
    return true;
}

static bool is_text_ahead(const struct parser *p)
{
    return p->at < p->end && (*p->at == '"' || *p->at == '\'');
}

static bool list_item(struct parser *p, struct rg_cel_node *list)
{
    skip_space(p);
    bool is_text = is_text_ahead(p), is_number = p->at < p->end && (is_digit(*p->at) || *p->at == '-');
    enum rg_cel_type type = is_text ? RG_CEL_TEXT_LIST : RG_CEL_INT_LIST;
    if ((!is_text && !is_number) || (list->n_items > 0 && type != list->type)) {
        COMPLAIN(p, column(p), "a list holds texts only, or whole numbers only");
        return false;
    }
    if (list->n_items == RG_CEL_ITEMS_MAX) {
        COMPLAIN(p, column(p), "a list holds %d values at most", RG_CEL_ITEMS_MAX);
        return false;
    }
    list->type = type;
    struct rg_cel_item *item = &list->items[list->n_items++];
    return is_text ? text_literal(p, &item->text) : number_literal(p, &item->number);
}

/* Behind its bracket. */
static struct rg_cel_node *list_literal(struct parser *p, size_t at)
{
    struct rg_cel_node *list = node(p, RG_CEL_LIST, RG_CEL_TEXT_LIST, at);
    if (!list)
        return NULL;
    list->items = rg_arena_array(p->arena, RG_CEL_ITEMS_MAX, sizeof *list->items);
    if (!list->items) {
        p->rc = p->rc != 0 ? p->rc : -ENOMEM;
        return NULL;
    }
    if (takes(p, "]"))
        return list;
    do {
        if (!list_item(p, list))
            return NULL;
    } while (takes(p, ","));
    return expect(p, "]") ? list : NULL;
}

static struct rg_cel_node *text_node(struct parser *p)
{
    struct rg_cel_node *n = node(p, RG_CEL_PUSH_TEXT, RG_CEL_TEXT, column(p));
    return n && text_literal(p, &n->text) ? n : NULL;
}

static struct rg_cel_node *number_node(struct parser *p)
{
    struct rg_cel_node *n = node(p, RG_CEL_PUSH_INT, RG_CEL_INT, column(p));
    return n && number_literal(p, &n->number) ? n : NULL;
}

/* ---- names ---- */

static const struct member {
    const char *of, *name;
    enum rg_cel_op op;
    enum rg_cel_type type;
    unsigned speaks_of;
    const char *refused; /* why it can't be asked */
} members[] = {
#define BODY     "bodies can't be asked: a condition sees heads only"
#define METADATA "metadata is not supported here: ask headers instead"
    {"request", "Headers", RG_CEL_LOAD_HEADERS, RG_CEL_HEADERS, RG_CEL_OF_REQUEST, NULL},
    {"request", "Method", RG_CEL_METHOD, RG_CEL_TEXT, RG_CEL_OF_REQUEST, NULL},
    {"request", "Path", RG_CEL_PATH, RG_CEL_TEXT, RG_CEL_OF_REQUEST, NULL},
    {"request", "RequestID", RG_CEL_ID, RG_CEL_TEXT, RG_CEL_OF_REQUEST, NULL},
    {"request", "Body", 0, 0, 0, BODY},
    {"request", "Metadata", 0, 0, 0, METADATA},
    {"response", "RequestHeaders", RG_CEL_LOAD_HEADERS, RG_CEL_HEADERS, RG_CEL_OF_REQUEST, NULL},
    {"response", "RequestMethod", RG_CEL_METHOD, RG_CEL_TEXT, RG_CEL_OF_REQUEST, NULL},
    {"response", "RequestPath", RG_CEL_PATH, RG_CEL_TEXT, RG_CEL_OF_REQUEST, NULL},
    {"response", "RequestID", RG_CEL_ID, RG_CEL_TEXT, RG_CEL_OF_REQUEST, NULL},
    {"response", "ResponseHeaders", RG_CEL_LOAD_HEADERS, RG_CEL_HEADERS, RG_CEL_OF_RESPONSE, NULL},
    {"response", "ResponseStatus", RG_CEL_STATUS, RG_CEL_INT, RG_CEL_OF_RESPONSE, NULL},
    {"response", "RequestBody", 0, 0, 0, BODY},
    {"response", "ResponseBody", 0, 0, 0, BODY},
    {"response", "Metadata", 0, 0, 0, METADATA},
    {"processing", "phase", RG_CEL_PHASE, RG_CEL_TEXT, RG_CEL_OF_RESPONSE, NULL},
#undef BODY
#undef METADATA
};

#define MEMBERS (sizeof members / sizeof members[0])

static const struct member *find_member(struct rg_str of, struct rg_str name)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (rg_str_eq(of, rg_str_of(members[i].of)) && rg_str_eq(name, rg_str_of(members[i].name)))
            return &members[i];
    return NULL;
}

static void no_member(struct parser *p, size_t at, struct rg_str of, struct rg_str name)
{
    char known[160] = "";
    size_t n = 0;
    for (size_t i = 0; i < MEMBERS && n < sizeof known; i++)
        if (rg_str_eq(of, rg_str_of(members[i].of)) && !members[i].refused)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n > 0 ? ", " : "", members[i].name);
    COMPLAIN(p, at, "%.*s has no '%.*s': wanted one of %s", (int)of.len, of.ptr, (int)(name.len < 32 ? name.len : 32),
             name.ptr, known);
}

static struct rg_cel_node *member_node(struct parser *p, size_t at, struct rg_str of)
{
    size_t name_at = column(p);
    struct rg_str name = expect(p, ".") ? word(p) : RG_STR_NONE;
    if (p->rc != 0)
        return NULL;
    const struct member *m = find_member(of, name);
    if (!m || m->refused) {
        if (m)
            COMPLAIN(p, at, "%s.%s is not supported: %s", m->of, m->name, m->refused);
        else
            no_member(p, name_at + 1, of, name);
        return NULL;
    }
    struct rg_cel_node *n = node(p, m->op, m->type, at);
    if (n)
        n->of = n->side = m->speaks_of;
    return n;
}

static struct rg_cel_node *name_node(struct parser *p)
{
    size_t at = column(p);
    struct rg_str w = word(p);
    bool is_true = rg_str_eq(w, RG_STR("true"));
    if (is_true || rg_str_eq(w, RG_STR("false"))) {
        struct rg_cel_node *n = node(p, RG_CEL_PUSH_BOOL, RG_CEL_BOOL, at);
        if (n)
            n->number = is_true;
        return n;
    }
    if (rg_str_eq(w, RG_STR("request")) || rg_str_eq(w, RG_STR("response")) || rg_str_eq(w, RG_STR("processing")))
        return member_node(p, at, w);
    if (w.len == 0 && p->at == p->end)
        COMPLAIN(p, at, "the condition ends where a value was wanted");
    else if (w.len == 0)
        COMPLAIN(p, at, "got '%c', wanted a value", *p->at >= ' ' && *p->at <= '~' ? *p->at : '?');
    else
        COMPLAIN(p, at, "'%.*s' is not known: wanted request, response, processing, true or false",
                 (int)(w.len < 32 ? w.len : 32), w.ptr);
    return NULL;
}

/* ---- what follows a value: [..] and .function(..) ---- */

/* Of headers: those of one name. */
static struct rg_cel_node *values_node(struct parser *p, struct rg_cel_node *headers)
{
    struct rg_str name;
    skip_space(p);
    if (!is_text_ahead(p)) {
        COMPLAIN(p, column(p), "wanted the name of a header in quotes");
        return NULL;
    }
    struct rg_cel_node *n = node(p, RG_CEL_LOAD_VALUES, RG_CEL_VALUES, headers->column);
    if (!n || !text_literal(p, &name) || !expect(p, "]"))
        return NULL;
    n->of = headers->of;
    n->side = headers->side;
    n->name = rg_policy_name_of(name);
    return n;
}

static struct rg_cel_node *value_node(struct parser *p, struct rg_cel_node *values)
{
    int64_t index;
    skip_space(p);
    if (p->at == p->end || !is_digit(*p->at)) {
        COMPLAIN(p, column(p), "wanted the number of a value, as in [0]");
        return NULL;
    }
    if (!number_literal(p, &index) || !expect(p, "]"))
        return NULL;
    values->op = RG_CEL_AT;
    values->type = RG_CEL_TEXT;
    values->number = index;
    return values;
}

static struct rg_cel_node *index_node(struct parser *p, struct rg_cel_node *of)
{
    if (of->type == RG_CEL_HEADERS)
        return values_node(p, of);
    if (of->type == RG_CEL_VALUES)
        return value_node(p, of);
    COMPLAIN(p, column(p), "%s has nothing to choose by []", type_name(of->type));
    return NULL;
}

static struct rg_cel_node *size_node(struct parser *p, size_t at, struct rg_cel_node *of)
{
    if (!expect(p, ")"))
        return NULL;
    if (of->type == RG_CEL_VALUES) {
        of->op = RG_CEL_COUNT;
        of->type = RG_CEL_INT;
        return of;
    }
    return is_type(p, of, RG_CEL_TEXT) ? node_over(p, RG_CEL_LENGTH, RG_CEL_INT, at, of, NULL) : NULL;
}

static struct rg_cel_node *call_node(struct parser *p, struct rg_cel_node *of)
{
    static const struct {
        const char *name;
        enum rg_cel_op op;
    } functions[] = {{"startsWith", RG_CEL_STARTS}, {"endsWith", RG_CEL_ENDS}, {"contains", RG_CEL_CONTAINS}};
    size_t at = column(p);
    struct rg_str name = word(p);
    if (rg_str_eq(name, RG_STR("size")))
        return expect(p, "(") ? size_node(p, at, of) : NULL;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (!rg_str_eq(name, rg_str_of(functions[i].name)))
            continue;
        if (!is_type(p, of, RG_CEL_TEXT) || !expect(p, "("))
            return NULL;
        struct rg_cel_node *with = or_of(p);
        if (!with || !is_type(p, with, RG_CEL_TEXT) || !expect(p, ")"))
            return NULL;
        return node_over(p, functions[i].op, RG_CEL_BOOL, at, of, with);
    }
    COMPLAIN(p, at, "function '%.*s' is not supported: wanted startsWith, endsWith, contains or size",
             (int)(name.len < 32 ? name.len : 32), name.ptr);
    return NULL;
}

static struct rg_cel_node *primary(struct parser *p)
{
    skip_space(p);
    size_t at = column(p);
    if (is_text_ahead(p))
        return text_node(p);
    if (p->at < p->end && (is_digit(*p->at) || *p->at == '-'))
        return number_node(p);
    if (takes(p, "["))
        return list_literal(p, at);
    if (!takes(p, "("))
        return name_node(p);
    struct rg_cel_node *n = or_of(p);
    return n && expect(p, ")") ? n : NULL;
}

static struct rg_cel_node *postfix(struct parser *p)
{
    struct rg_cel_node *n = primary(p);
    while (n) {
        if (takes(p, "["))
            n = index_node(p, n);
        else if (takes(p, "."))
            n = call_node(p, n);
        else
            break;
    }
    return n;
}

/* ---- operators, from the tightest to the loosest ---- */

static struct rg_cel_node *unary(struct parser *p)
{
    skip_space(p);
    size_t at = column(p);
    if (p->at + 1 < p->end && p->at[0] == '!' && p->at[1] == '=')
        return postfix(p);
    if (!takes(p, "!"))
        return postfix(p);
    if (++p->depth > RG_CEL_DEPTH_MAX) {
        COMPLAIN(p, at, "the condition is nested too deeply");
        return NULL;
    }
    struct rg_cel_node *n = unary(p);
    p->depth--;
    return n && is_type(p, n, RG_CEL_BOOL) ? node_over(p, RG_CEL_NOT, RG_CEL_BOOL, at, n, NULL) : NULL;
}

/* "name" in headers, text in the values of a header, text or number in a list */
static struct rg_cel_node *in_node(struct parser *p, size_t at, struct rg_cel_node *what, struct rg_cel_node *where)
{
    switch (where->type) {
    case RG_CEL_HEADERS:
        if (what->op != RG_CEL_PUSH_TEXT) {
            COMPLAIN(p, what->column, "wanted the name of a header in quotes before 'in'");
            return NULL;
        }
        where->op = RG_CEL_HAS;
        where->type = RG_CEL_BOOL;
        where->name = rg_policy_name_of(what->text);
        return where;
    case RG_CEL_VALUES:
        if (!is_type(p, what, RG_CEL_TEXT))
            return NULL;
        where->op = RG_CEL_HOLDS;
        where->type = RG_CEL_BOOL;
        where->a = what;
        where->of |= what->of;
        return where;
    case RG_CEL_TEXT_LIST:
    case RG_CEL_INT_LIST:
        if (where->n_items > 0 && !is_type(p, what, where->type == RG_CEL_TEXT_LIST ? RG_CEL_TEXT : RG_CEL_INT))
            return NULL;
        if (what->type != RG_CEL_TEXT && what->type != RG_CEL_INT) {
            COMPLAIN(p, what->column, "this is %s, which is in no list", type_name(what->type));
            return NULL;
        }
        where->op = RG_CEL_IN;
        where->type = RG_CEL_BOOL;
        where->a = what;
        where->of = what->of;
        return where;
    default:
        COMPLAIN(p, at, "wanted headers, the values of one, or a list behind 'in'");
        return NULL;
    }
}

static struct rg_cel_node *compare(struct parser *p, size_t at, enum rg_cel_op op, struct rg_cel_node *a,
                                   struct rg_cel_node *b)
{
    bool is_order = op != RG_CEL_EQ && op != RG_CEL_NE;
    if (a->type > RG_CEL_TEXT || (is_order && a->type == RG_CEL_BOOL)) {
        COMPLAIN(p, a->column, "%s can't be compared", type_name(a->type));
        return NULL;
    }
    return is_type(p, b, a->type) ? node_over(p, op, RG_CEL_BOOL, at, a, b) : NULL;
}

static struct rg_cel_node *relation(struct parser *p)
{
    static const struct {
        const char *symbol;
        enum rg_cel_op op;
    } operators[] = {{"==", RG_CEL_EQ}, {"!=", RG_CEL_NE}, {"<=", RG_CEL_LE},
                     {">=", RG_CEL_GE}, {"<", RG_CEL_LT},  {">", RG_CEL_GT}};
    struct rg_cel_node *a = unary(p), *b;
    if (!a)
        return NULL;
    skip_space(p);
    size_t at = column(p);
    if (takes_in(p)) {
        b = unary(p);
        return b ? in_node(p, at, a, b) : NULL;
    }
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (takes(p, operators[i].symbol)) {
            b = unary(p);
            return b ? compare(p, at, operators[i].op, a, b) : NULL;
        }
    return a;
}

static struct rg_cel_node *and_of(struct parser *p)
{
    struct rg_cel_node *a = relation(p);
    for (;;) {
        skip_space(p);
        size_t at = column(p);
        if (!a || !takes(p, "&&"))
            return a;
        struct rg_cel_node *b = relation(p);
        bool fits = b && is_type(p, a, RG_CEL_BOOL) && is_type(p, b, RG_CEL_BOOL);
        a = fits ? node_over(p, RG_CEL_AND, RG_CEL_BOOL, at, a, b) : NULL;
    }
}

static struct rg_cel_node *or_of(struct parser *p)
{
    if (++p->depth > RG_CEL_DEPTH_MAX) {
        COMPLAIN(p, column(p), "the condition is nested too deeply");
        return NULL;
    }
    struct rg_cel_node *a = and_of(p);
    for (;;) {
        skip_space(p);
        size_t at = column(p);
        if (!a || !takes(p, "||"))
            break;
        struct rg_cel_node *b = and_of(p);
        bool fits = b && is_type(p, a, RG_CEL_BOOL) && is_type(p, b, RG_CEL_BOOL);
        a = fits ? node_over(p, RG_CEL_OR, RG_CEL_BOOL, at, a, b) : NULL;
    }
    p->depth--;
    return a;
}

int rg_cel_parse(struct rg_cel_node **ret, struct rg_str text, struct rg_arena *arena, char *why, size_t why_size)
{
    struct parser p = {.start = text.ptr,
                       .at = text.ptr,
                       .end = text.ptr + text.len,
                       .arena = arena,
                       .why = why,
                       .why_size = why_size};
    struct rg_cel_node *n = or_of(&p);
    skip_space(&p);
    if (n && p.at < p.end)
        COMPLAIN(&p, column(&p), "wanted an operator, or the end");
    if (n && p.rc == 0)
        is_type(&p, n, RG_CEL_BOOL);
    if (p.rc == 0)
        *ret = n;
    return p.rc;
}
