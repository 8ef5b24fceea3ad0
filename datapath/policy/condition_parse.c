/*
 * From the text of a condition to a tree of which every type is known: what follows values, and operators. Recursive
 * descent; depth, nodes and lists are bounded. The first error is the one that is reported. Thread: the control thread.
 */

#include "datapath/base/ascii.h"
#include "datapath/policy/condition_parser.h"

static struct rg_cel_node *or_of(struct rg_cel_parser *p);

/* ---- what follows a value: [..] and .function(..) ---- */

/* Of headers: those of one name. */
static struct rg_cel_node *values_node(struct rg_cel_parser *p, struct rg_cel_node *headers)
{
    struct rg_str name;
    rg_cel_skip_space(p);
    if (!rg_cel_is_text_ahead(p)) {
        RG_CEL_COMPLAIN(p, rg_cel_column(p), "wanted the name of a header in quotes");
        return NULL;
    }
    struct rg_cel_node *n = rg_cel_new_node(p, RG_CEL_LOAD_VALUES, RG_CEL_VALUES, headers->column);
    if (!n || !rg_cel_text_literal(p, &name) || !rg_cel_expect(p, "]"))
        return NULL;
    n->of = headers->of;
    n->side = headers->side;
    n->name = rg_policy_name_of(name);
    return n;
}

static struct rg_cel_node *value_node(struct rg_cel_parser *p, struct rg_cel_node *values)
{
    int64_t index;
    rg_cel_skip_space(p);
    if (p->at == p->end || !rg_is_digit(*p->at)) {
        RG_CEL_COMPLAIN(p, rg_cel_column(p), "wanted the number of a value, as in [0]");
        return NULL;
    }
    if (!rg_cel_number_literal(p, &index) || !rg_cel_expect(p, "]"))
        return NULL;
    values->op = RG_CEL_AT;
    values->type = RG_CEL_TEXT;
    values->number = index;
    return values;
}

static struct rg_cel_node *index_node(struct rg_cel_parser *p, struct rg_cel_node *of)
{
    if (of->type == RG_CEL_HEADERS)
        return values_node(p, of);
    if (of->type == RG_CEL_VALUES)
        return value_node(p, of);
    RG_CEL_COMPLAIN(p, rg_cel_column(p), "%s has nothing to choose by []", rg_cel_type_name(of->type));
    return NULL;
}

static struct rg_cel_node *size_node(struct rg_cel_parser *p, size_t at, struct rg_cel_node *of)
{
    if (!rg_cel_expect(p, ")"))
        return NULL;
    if (of->type == RG_CEL_VALUES) {
        of->op = RG_CEL_COUNT;
        of->type = RG_CEL_INT;
        return of;
    }
    return rg_cel_is_type(p, of, RG_CEL_TEXT) ? rg_cel_node_over(p, RG_CEL_LENGTH, RG_CEL_INT, at, of, NULL) : NULL;
}

static struct rg_cel_node *call_node(struct rg_cel_parser *p, struct rg_cel_node *of)
{
    static const struct {
        const char *name;
        enum rg_cel_op op;
    } functions[] = {{"startsWith", RG_CEL_STARTS}, {"endsWith", RG_CEL_ENDS}, {"contains", RG_CEL_CONTAINS}};
    size_t at = rg_cel_column(p);
    struct rg_str name = rg_cel_word(p);
    if (rg_str_eq(name, RG_STR("size")))
        return rg_cel_expect(p, "(") ? size_node(p, at, of) : NULL;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (!rg_str_eq(name, rg_str_of(functions[i].name)))
            continue;
        if (!rg_cel_is_type(p, of, RG_CEL_TEXT) || !rg_cel_expect(p, "("))
            return NULL;
        struct rg_cel_node *with = or_of(p);
        if (!with || !rg_cel_is_type(p, with, RG_CEL_TEXT) || !rg_cel_expect(p, ")"))
            return NULL;
        return rg_cel_node_over(p, functions[i].op, RG_CEL_BOOL, at, of, with);
    }
    RG_CEL_COMPLAIN(p, at, "function '%.*s' is not supported: wanted startsWith, endsWith, contains or size",
                    (int)(name.len < 32 ? name.len : 32), name.ptr);
    return NULL;
}

static struct rg_cel_node *primary(struct rg_cel_parser *p)
{
    if (!rg_cel_takes(p, "("))
        return rg_cel_value(p);
    struct rg_cel_node *n = or_of(p);
    return n && rg_cel_expect(p, ")") ? n : NULL;
}

static struct rg_cel_node *postfix(struct rg_cel_parser *p)
{
    struct rg_cel_node *n = primary(p);
    while (n) {
        if (rg_cel_takes(p, "["))
            n = index_node(p, n);
        else if (rg_cel_takes(p, "."))
            n = call_node(p, n);
        else
            break;
    }
    return n;
}

/* ---- operators, from the tightest to the loosest ---- */

static struct rg_cel_node *unary(struct rg_cel_parser *p)
{
    rg_cel_skip_space(p);
    size_t at = rg_cel_column(p);
    if (p->at + 1 < p->end && p->at[0] == '!' && p->at[1] == '=')
        return postfix(p);
    if (!rg_cel_takes(p, "!"))
        return postfix(p);
    if (++p->depth > RG_CEL_DEPTH_MAX) {
        RG_CEL_COMPLAIN(p, at, "the condition is nested too deeply");
        return NULL;
    }
    struct rg_cel_node *n = unary(p);
    p->depth--;
    return n && rg_cel_is_type(p, n, RG_CEL_BOOL) ? rg_cel_node_over(p, RG_CEL_NOT, RG_CEL_BOOL, at, n, NULL) : NULL;
}

/* The operator `in`, and not the beginning of a longer word. */
static bool takes_in(struct rg_cel_parser *p)
{
    const char *before = p->at;
    if (rg_str_eq(rg_cel_word(p), RG_STR("in")))
        return true;
    p->at = before;
    return false;
}

/* "name" in headers, text in the values of a header, text or number in a list */
static struct rg_cel_node *in_node(struct rg_cel_parser *p, size_t at, struct rg_cel_node *what,
                                   struct rg_cel_node *where)
{
    switch (where->type) {
    case RG_CEL_HEADERS:
        if (what->op != RG_CEL_PUSH_TEXT) {
            RG_CEL_COMPLAIN(p, what->column, "wanted the name of a header in quotes before 'in'");
            return NULL;
        }
        where->op = RG_CEL_HAS;
        where->type = RG_CEL_BOOL;
        where->name = rg_policy_name_of(what->text);
        return where;
    case RG_CEL_VALUES:
        if (!rg_cel_is_type(p, what, RG_CEL_TEXT))
            return NULL;
        where->op = RG_CEL_HOLDS;
        where->type = RG_CEL_BOOL;
        where->a = what;
        where->of |= what->of;
        return where;
    case RG_CEL_TEXT_LIST:
    case RG_CEL_INT_LIST:
        if (where->n_items > 0 && !rg_cel_is_type(p, what, where->type == RG_CEL_TEXT_LIST ? RG_CEL_TEXT : RG_CEL_INT))
            return NULL;
        if (what->type != RG_CEL_TEXT && what->type != RG_CEL_INT) {
            RG_CEL_COMPLAIN(p, what->column, "this is %s, which is in no list", rg_cel_type_name(what->type));
            return NULL;
        }
        where->op = RG_CEL_IN;
        where->type = RG_CEL_BOOL;
        where->a = what;
        where->of = what->of;
        return where;
    default:
        RG_CEL_COMPLAIN(p, at, "wanted headers, the values of one, or a list behind 'in'");
        return NULL;
    }
}

static struct rg_cel_node *compare(struct rg_cel_parser *p, size_t at, enum rg_cel_op op, struct rg_cel_node *a,
                                   struct rg_cel_node *b)
{
    bool is_order = op != RG_CEL_EQ && op != RG_CEL_NE;
    if (a->type > RG_CEL_TEXT || (is_order && a->type == RG_CEL_BOOL)) {
        RG_CEL_COMPLAIN(p, a->column, "%s can't be compared", rg_cel_type_name(a->type));
        return NULL;
    }
    return rg_cel_is_type(p, b, a->type) ? rg_cel_node_over(p, op, RG_CEL_BOOL, at, a, b) : NULL;
}

static struct rg_cel_node *relation(struct rg_cel_parser *p)
{
    static const struct {
        const char *symbol;
        enum rg_cel_op op;
    } operators[] = {{"==", RG_CEL_EQ}, {"!=", RG_CEL_NE}, {"<=", RG_CEL_LE},
                     {">=", RG_CEL_GE}, {"<", RG_CEL_LT},  {">", RG_CEL_GT}};
    struct rg_cel_node *a = unary(p), *b;
    if (!a)
        return NULL;
    rg_cel_skip_space(p);
    size_t at = rg_cel_column(p);
    if (takes_in(p)) {
        b = unary(p);
        return b ? in_node(p, at, a, b) : NULL;
    }
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (rg_cel_takes(p, operators[i].symbol)) {
            b = unary(p);
            return b ? compare(p, at, operators[i].op, a, b) : NULL;
        }
    return a;
}

static struct rg_cel_node *and_of(struct rg_cel_parser *p)
{
    struct rg_cel_node *a = relation(p);
    for (;;) {
        rg_cel_skip_space(p);
        size_t at = rg_cel_column(p);
        if (!a || !rg_cel_takes(p, "&&"))
            return a;
        struct rg_cel_node *b = relation(p);
        bool fits = b && rg_cel_is_type(p, a, RG_CEL_BOOL) && rg_cel_is_type(p, b, RG_CEL_BOOL);
        a = fits ? rg_cel_node_over(p, RG_CEL_AND, RG_CEL_BOOL, at, a, b) : NULL;
    }
}

static struct rg_cel_node *or_of(struct rg_cel_parser *p)
{
    if (++p->depth > RG_CEL_DEPTH_MAX) {
        RG_CEL_COMPLAIN(p, rg_cel_column(p), "the condition is nested too deeply");
        return NULL;
    }
    struct rg_cel_node *a = and_of(p);
    for (;;) {
        rg_cel_skip_space(p);
        size_t at = rg_cel_column(p);
        if (!a || !rg_cel_takes(p, "||"))
            break;
        struct rg_cel_node *b = and_of(p);
        bool fits = b && rg_cel_is_type(p, a, RG_CEL_BOOL) && rg_cel_is_type(p, b, RG_CEL_BOOL);
        a = fits ? rg_cel_node_over(p, RG_CEL_OR, RG_CEL_BOOL, at, a, b) : NULL;
    }
    p->depth--;
    return a;
}

int rg_cel_parse(struct rg_cel_node **ret, struct rg_str text, struct rg_arena *arena, char *why, size_t why_size)
{
    struct rg_cel_parser p = {.start = text.ptr,
                              .at = text.ptr,
                              .end = text.ptr + text.len,
                              .arena = arena,
                              .why = why,
                              .why_size = why_size};
    struct rg_cel_node *n = or_of(&p);
    rg_cel_skip_space(&p);
    if (n && p.at < p.end)
        RG_CEL_COMPLAIN(&p, rg_cel_column(&p), "wanted an operator, or the end");
    if (n && p.rc == 0)
        rg_cel_is_type(&p, n, RG_CEL_BOOL);
    if (p.rc == 0)
        *ret = n;
    return p.rc;
}
