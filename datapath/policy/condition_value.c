/*
 * The text of a condition byte by byte: words, literals, and the names of what can be asked. See condition_parser.h.
 * Thread: the control thread.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "datapath/base/ascii.h"
#include "datapath/policy/condition_parser.h"

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

/* ---- bytes ---- */

void rg_cel_skip_space(struct rg_cel_parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
        p->at++;
}

size_t rg_cel_column(const struct rg_cel_parser *p)
{
    return (size_t)(p->at - p->start) + 1;
}

static bool is_letter(char c)
{
    return rg_is_letter(c) || c == '_';
}

bool rg_cel_takes(struct rg_cel_parser *p, const char *symbol)
{
    size_t n = strlen(symbol);
    rg_cel_skip_space(p);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, symbol, n) != 0)
        return false;
    p->at += n;
    return true;
}

bool rg_cel_expect(struct rg_cel_parser *p, const char *symbol)
{
    if (rg_cel_takes(p, symbol))
        return true;
    if (p->at == p->end)
        RG_CEL_COMPLAIN(p, rg_cel_column(p), "the condition ends where '%s' was wanted", symbol);
    else
        RG_CEL_COMPLAIN(p, rg_cel_column(p), "got '%c', wanted '%s'", *p->at >= ' ' && *p->at <= '~' ? *p->at : '?',
                        symbol);
    return false;
}

struct rg_str rg_cel_word(struct rg_cel_parser *p)
{
    rg_cel_skip_space(p);
    const char *from = p->at;
    if (p->at < p->end && is_letter(*p->at))
        while (p->at < p->end && (is_letter(*p->at) || rg_is_digit(*p->at)))
            p->at++;
    return (struct rg_str){from, (size_t)(p->at - from)};
}

/* ---- nodes ---- */

struct rg_cel_node *rg_cel_new_node(struct rg_cel_parser *p, enum rg_cel_op op, enum rg_cel_type type, size_t at)
{
    if (p->nodes++ == RG_CEL_NODES_MAX) {
        RG_CEL_COMPLAIN(p, at, "the condition has more than %d parts", RG_CEL_NODES_MAX);
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

struct rg_cel_node *rg_cel_node_over(struct rg_cel_parser *p, enum rg_cel_op op, enum rg_cel_type type, size_t at,
                                     struct rg_cel_node *a, struct rg_cel_node *b)
{
    struct rg_cel_node *n = rg_cel_new_node(p, op, type, at);
    if (!n)
        return NULL;
    n->a = a;
    n->b = b;
    n->of = a->of | (b ? b->of : 0);
    return n;
}

const char *rg_cel_type_name(enum rg_cel_type type)
{
    static const char *const names[] = {
        "true or false",   "a number",         "text", "headers", "the values of a header",
        "a list of texts", "a list of numbers"};
    return names[type];
}

bool rg_cel_is_type(struct rg_cel_parser *p, const struct rg_cel_node *n, enum rg_cel_type type)
{
    if (n->type == type)
        return true;
    RG_CEL_COMPLAIN(p, n->column, "this is %s, wanted %s", rg_cel_type_name(n->type), rg_cel_type_name(type));
    return false;
}

/* ---- literals ---- */

static bool take_escape(struct rg_cel_parser *p, char *out, size_t *len)
{
    char c = p->at + 1 < p->end ? p->at[1] : '\0';
    if (c != '\\' && c != '"' && c != '\'') {
        RG_CEL_COMPLAIN(p, rg_cel_column(p), "only \\\\, \\\" and \\' may stand behind a backslash");
        return false;
    }
    out[(*len)++] = c;
    p->at += 2;
    return true;
}

/* At its quote. */
bool rg_cel_text_literal(struct rg_cel_parser *p, struct rg_str *ret)
{
    size_t from = rg_cel_column(p), len = 0;
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
        RG_CEL_COMPLAIN(p, from, "the text that begins here does not end");
        return false;
    }
    p->at++;
    *ret = (struct rg_str){out, len};
    return true;
}

bool rg_cel_number_literal(struct rg_cel_parser *p, int64_t *ret)
{
    size_t from = rg_cel_column(p);
    bool negative = *p->at == '-';
    int64_t n = 0;
    p->at += negative;
    if (p->at == p->end || !rg_is_digit(*p->at)) {
        RG_CEL_COMPLAIN(p, from, "wanted a number behind '-'");
        return false;
    }
    for (; p->at < p->end && rg_is_digit(*p->at); p->at++) {
        if (n > (INT64_MAX - 9) / 10) {
            RG_CEL_COMPLAIN(p, from, "this number is too large");
            return false;
        }
        n = n * 10 + (*p->at - '0');
    }
    if (p->at < p->end && (*p->at == '.' || is_letter(*p->at))) {
        RG_CEL_COMPLAIN(p, from, "only whole decimal numbers are supported");
        return false;
    }
    *ret = negative ? -n : n;
    return true;
}

bool rg_cel_is_text_ahead(const struct rg_cel_parser *p)
{
    return p->at < p->end && (*p->at == '"' || *p->at == '\'');
}

static bool list_item(struct rg_cel_parser *p, struct rg_cel_node *list)
{
    rg_cel_skip_space(p);
    bool is_text = rg_cel_is_text_ahead(p), is_number = p->at < p->end && (rg_is_digit(*p->at) || *p->at == '-');
    enum rg_cel_type type = is_text ? RG_CEL_TEXT_LIST : RG_CEL_INT_LIST;
    if ((!is_text && !is_number) || (list->n_items > 0 && type != list->type)) {
        RG_CEL_COMPLAIN(p, rg_cel_column(p), "a list holds texts only, or whole numbers only");
        return false;
    }
    if (list->n_items == RG_CEL_ITEMS_MAX) {
        RG_CEL_COMPLAIN(p, rg_cel_column(p), "a list holds %d values at most", RG_CEL_ITEMS_MAX);
        return false;
    }
    list->type = type;
    struct rg_cel_item *item = &list->items[list->n_items++];
    return is_text ? rg_cel_text_literal(p, &item->text) : rg_cel_number_literal(p, &item->number);
}

/* Behind its bracket. */
static struct rg_cel_node *list_literal(struct rg_cel_parser *p, size_t at)
{
    struct rg_cel_node *list = rg_cel_new_node(p, RG_CEL_LIST, RG_CEL_TEXT_LIST, at);
    if (!list)
        return NULL;
    list->items = rg_arena_array(p->arena, RG_CEL_ITEMS_MAX, sizeof *list->items);
    if (!list->items) {
        p->rc = p->rc != 0 ? p->rc : -ENOMEM;
        return NULL;
    }
    if (rg_cel_takes(p, "]"))
        return list;
    do {
        if (!list_item(p, list))
            return NULL;
    } while (rg_cel_takes(p, ","));
    return rg_cel_expect(p, "]") ? list : NULL;
}

static struct rg_cel_node *text_node(struct rg_cel_parser *p)
{
    struct rg_cel_node *n = rg_cel_new_node(p, RG_CEL_PUSH_TEXT, RG_CEL_TEXT, rg_cel_column(p));
    return n && rg_cel_text_literal(p, &n->text) ? n : NULL;
}

static struct rg_cel_node *number_node(struct rg_cel_parser *p)
{
    struct rg_cel_node *n = rg_cel_new_node(p, RG_CEL_PUSH_INT, RG_CEL_INT, rg_cel_column(p));
    return n && rg_cel_number_literal(p, &n->number) ? n : NULL;
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

static void no_member(struct rg_cel_parser *p, size_t at, struct rg_str of, struct rg_str name)
{
    char known[160] = "";
    size_t n = 0;
    for (size_t i = 0; i < MEMBERS && n < sizeof known; i++)
        if (rg_str_eq(of, rg_str_of(members[i].of)) && !members[i].refused)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n > 0 ? ", " : "", members[i].name);
    RG_CEL_COMPLAIN(p, at, "%.*s has no '%.*s': wanted one of %s", (int)of.len, of.ptr,
                    (int)(name.len < 32 ? name.len : 32), name.ptr, known);
}

static struct rg_cel_node *member_node(struct rg_cel_parser *p, size_t at, struct rg_str of)
{
    size_t name_at = rg_cel_column(p);
    struct rg_str name = rg_cel_expect(p, ".") ? rg_cel_word(p) : RG_STR_NONE;
    if (p->rc != 0)
        return NULL;
    const struct member *m = find_member(of, name);
    if (!m || m->refused) {
        if (m)
            RG_CEL_COMPLAIN(p, at, "%s.%s is not supported: %s", m->of, m->name, m->refused);
        else
            no_member(p, name_at + 1, of, name);
        return NULL;
    }
    struct rg_cel_node *n = rg_cel_new_node(p, m->op, m->type, at);
    if (n)
        n->of = n->side = m->speaks_of;
    return n;
}

static struct rg_cel_node *name_node(struct rg_cel_parser *p)
{
    size_t at = rg_cel_column(p);
    struct rg_str w = rg_cel_word(p);
    bool is_true = rg_str_eq(w, RG_STR("true"));
    if (is_true || rg_str_eq(w, RG_STR("false"))) {
        struct rg_cel_node *n = rg_cel_new_node(p, RG_CEL_PUSH_BOOL, RG_CEL_BOOL, at);
        if (n)
            n->number = is_true;
        return n;
    }
    if (rg_str_eq(w, RG_STR("request")) || rg_str_eq(w, RG_STR("response")) || rg_str_eq(w, RG_STR("processing")))
        return member_node(p, at, w);
    if (w.len == 0 && p->at == p->end)
        RG_CEL_COMPLAIN(p, at, "the condition ends where a value was wanted");
    else if (w.len == 0)
        RG_CEL_COMPLAIN(p, at, "got '%c', wanted a value", *p->at >= ' ' && *p->at <= '~' ? *p->at : '?');
    else
        RG_CEL_COMPLAIN(p, at, "'%.*s' is not known: wanted request, response, processing, true or false",
                        (int)(w.len < 32 ? w.len : 32), w.ptr);
    return NULL;
}

struct rg_cel_node *rg_cel_value(struct rg_cel_parser *p)
{
    rg_cel_skip_space(p);
    size_t at = rg_cel_column(p);
    if (rg_cel_is_text_ahead(p))
        return text_node(p);
    if (p->at < p->end && (rg_is_digit(*p->at) || *p->at == '-'))
        return number_node(p);
    return rg_cel_takes(p, "[") ? list_literal(p, at) : name_node(p);
}
