/*
 * From the tree of a condition to its programs, and how they run: see condition.h.
 *
 * A condition that speaks of the response has two programs. What is said of the request in it can't be asked any more
 * when the response is there, so each largest part that speaks of the request alone (an atom) is worked out in the
 * request phase and kept in two bits; the program of the response reads these.
 */
#include "datapath/policy/condition.h"

#include <errno.h>

#include "datapath/policy/condition_parts.h"

#define CODE_MAX  (3 * RG_CEL_NODES_MAX)
#define ATOMS_MAX 32 /* two bits each in what is saved */

/* What an operation leaves on the stack. A verdict is one of the first three. */
enum kind { IS_FALSE = RG_CONDITION_NO, IS_TRUE = RG_CONDITION_YES, IS_ERROR = RG_CONDITION_ERROR, IS_INT, IS_TEXT };

struct value {
    enum kind kind;
    union {
        int64_t number;
        struct rg_str text;
    };
};

struct instruction {
    uint8_t op;   /* enum rg_cel_op */
    uint8_t side; /* whose headers */
    uint16_t n_items;
    int64_t number;
    struct rg_str text;
    struct rg_policy_name name;
    const struct rg_cel_item *items;
};

struct span {
    uint16_t from, to;
};

struct rg_condition {
    struct span request, response; /* the whole of it, in each phase */
    uint16_t n_atoms;
    bool for_response;
    struct span atoms[ATOMS_MAX];
    struct instruction code[];
};

/* ---- programs ---- */

struct writer {
    struct instruction *code;
    unsigned n, depth;
    struct rg_condition *c;
    char *why;
    size_t why_size;
    bool in_response; /* what speaks of the request is read from what was saved */
    int rc;
};

static unsigned emit(struct writer *w, const struct rg_cel_node *n, enum rg_cel_op op, int64_t number)
{
    if (w->n == CODE_MAX) {
        w->rc = rg_cel_complain(w->why, w->why_size, n->column, "the condition is too long");
        return 0;
    }
    w->code[w->n] = (struct instruction){.op = (uint8_t)op,
                                         .side = (uint8_t)n->side,
                                         .n_items = (uint16_t)n->n_items,
                                         .number = number,
                                         .text = n->text,
                                         .name = n->name,
                                         .items = n->items};
    return w->n++;
}

static void write_node(struct writer *w, const struct rg_cel_node *n);

/* The right side runs only where the left one does not decide. */
static void write_logic(struct writer *w, const struct rg_cel_node *n)
{
    write_node(w, n->a);
    unsigned jump = emit(w, n, n->op == RG_CEL_AND ? RG_CEL_JUMP_FALSE : RG_CEL_JUMP_TRUE, 0);
    w->depth++;
    write_node(w, n->b);
    w->depth--;
    emit(w, n, n->op, 0);
    if (w->rc == 0)
        w->code[jump].number = w->n - jump - 1;
}

/* Of the request, while the response is asked. */
static void write_saved(struct writer *w, const struct rg_cel_node *n)
{
    if (n->atom > 0)
        emit(w, n, RG_CEL_SAVED, (int64_t)n->atom - 1);
    else
        w->rc = rg_cel_complain(w->why, w->why_size, n->column,
                                "what the request has can't be compared with what the response has");
}

static void write_node(struct writer *w, const struct rg_cel_node *n)
{
    if (w->rc != 0)
        return;
    if (w->depth >= RG_CEL_STACK_MAX) {
        w->rc = rg_cel_complain(w->why, w->why_size, n->column, "the condition is nested too deeply");
        return;
    }
    if (w->in_response && n->of == RG_CEL_OF_REQUEST) {
        write_saved(w, n);
        return;
    }
    if (n->op == RG_CEL_AND || n->op == RG_CEL_OR) {
        write_logic(w, n);
        return;
    }
    if (n->a)
        write_node(w, n->a);
    if (n->b) {
        w->depth++;
        write_node(w, n->b);
        w->depth--;
    }
    if (w->rc == 0 && n->op < RG_CEL_LITERALS)
        w->rc = rg_cel_complain(w->why, w->why_size, n->column, "this is no value by itself");
    else if (w->rc == 0)
        emit(w, n, n->op, n->number);
}

static struct span write_program(struct writer *w, const struct rg_cel_node *n)
{
    unsigned from = w->n;
    write_node(w, n);
    return (struct span){(uint16_t)from, (uint16_t)w->n};
}

static void write_atoms(struct writer *w, struct rg_cel_node *n)
{
    if (!n || w->rc != 0)
        return;
    if (n->of != RG_CEL_OF_REQUEST || n->type != RG_CEL_BOOL) {
        write_atoms(w, n->a);
        write_atoms(w, n->b);
    } else if (w->c->n_atoms == ATOMS_MAX) {
        w->rc = rg_cel_complain(w->why, w->why_size, n->column, "the condition asks the request in more than %d places",
                                ATOMS_MAX);
    } else {
        w->c->atoms[w->c->n_atoms] = write_program(w, n);
        n->atom = ++w->c->n_atoms;
    }
}

static int write_all(struct writer *w, struct rg_cel_node *tree)
{
    struct rg_condition *c = w->c;
    c->request = write_program(w, tree);
    c->for_response = (tree->of & RG_CEL_OF_RESPONSE) != 0;
    if (c->for_response) {
        write_atoms(w, tree);
        w->in_response = true;
        c->response = write_program(w, tree);
    }
    return w->rc;
}

int rg_condition_compile(struct rg_condition **ret, struct rg_str text, struct rg_arena *arena, char *why,
                         size_t why_size)
{
    struct rg_cel_node *tree;
    struct rg_str kept;
    if (text.len > RG_CONDITION_BYTES_MAX)
        return rg_cel_complain(why, why_size, RG_CONDITION_BYTES_MAX, "the condition is longer than %d bytes",
                               RG_CONDITION_BYTES_MAX);
    if (!rg_arena_copy(arena, text, &kept))
        return -ENOMEM;
    int rc = rg_cel_parse(&tree, kept, arena, why, why_size);
    if (rc < 0)
        return rc;
    struct rg_condition *c = rg_arena_alloc(arena, sizeof *c + CODE_MAX * sizeof c->code[0]);
    if (!c)
        return -ENOMEM;
    struct writer w = {.code = c->code, .c = c, .why = why, .why_size = why_size};
    rc = write_all(&w, tree);
    if (rc == 0)
        *ret = c;
    return rc;
}

bool rg_condition_is_for_response(const struct rg_condition *c)
{
    return c->for_response;
}

/* ---- running: hot ---- */

struct source {
    const struct rg_policy_head *request, *response; /* the one of the phase; the other is NULL */
    struct rg_str method, path, id, phase;
    uint16_t status;
    uint64_t saved;
};

static struct value verdict(bool yes)
{
    return (struct value){.kind = yes ? IS_TRUE : IS_FALSE};
}

static struct value of_text(struct rg_str s)
{
    return (struct value){.kind = IS_TEXT, .text = s};
}

static struct value of_number(int64_t n)
{
    return (struct value){.kind = IS_INT, .number = n};
}

static const struct value error = {.kind = IS_ERROR};

static struct value value_at(const struct rg_policy_head *head, const struct instruction *in)
{
    const struct rg_field *f = NULL;
    for (int64_t i = 0; i <= in->number; i++) {
        f = rg_policy_find_field(head, &in->name, f);
        if (!f)
            return error;
    }
    return f ? of_text(rg_field_value(f)) : error;
}

static int64_t count_of(const struct rg_policy_head *head, const struct instruction *in)
{
    int64_t n = 0;
    for (const struct rg_field *f = NULL; (f = rg_policy_find_field(head, &in->name, f)) != NULL;)
        n++;
    return n;
}

static struct value holds(const struct rg_policy_head *head, const struct instruction *in, struct rg_str what)
{
    const struct rg_field *f = NULL;
    while ((f = rg_policy_find_field(head, &in->name, f)) != NULL)
        if (rg_str_eq(rg_field_value(f), what))
            return verdict(true);
    /* Without the header there are no values to look into. */
    return rg_policy_find_field(head, &in->name, NULL) ? verdict(false) : error;
}

static struct value of_headers(const struct source *s, const struct instruction *in)
{
    const struct rg_policy_head *head = in->side == RG_CEL_OF_RESPONSE ? s->response : s->request;
    if (!head)
        return error;
    switch (in->op) {
    case RG_CEL_HAS:
        return verdict(rg_policy_find_field(head, &in->name, NULL) != NULL);
    case RG_CEL_AT:
        return value_at(head, in);
    default: {
        int64_t n = count_of(head, in);
        return n > 0 ? of_number(n) : error;
    }
    }
}

/* What needs nothing from the stack. */
static struct value leaf(const struct source *s, const struct instruction *in)
{
    switch (in->op) {
    case RG_CEL_PUSH_BOOL:
        return verdict(in->number != 0);
    case RG_CEL_PUSH_INT:
        return of_number(in->number);
    case RG_CEL_PUSH_TEXT:
        return of_text(in->text);
    case RG_CEL_METHOD:
        return of_text(s->method);
    case RG_CEL_PATH:
        return of_text(s->path);
    case RG_CEL_ID:
        return of_text(s->id);
    case RG_CEL_PHASE:
        return of_text(s->phase);
    case RG_CEL_STATUS:
        return s->response ? of_number(s->status) : error;
    case RG_CEL_SAVED:
        return (struct value){.kind = (enum kind)(s->saved >> (2 * in->number) & 3)};
    default:
        return of_headers(s, in);
    }
}

static struct value is_in(const struct instruction *in, const struct value *v)
{
    for (unsigned i = 0; i < in->n_items; i++)
        if (v->kind == IS_TEXT ? rg_str_eq(in->items[i].text, v->text) : in->items[i].number == v->number)
            return verdict(true);
    return verdict(false);
}

static struct value unary(const struct source *s, const struct instruction *in, const struct value *v)
{
    const struct rg_policy_head *head = in->side == RG_CEL_OF_RESPONSE ? s->response : s->request;
    if (v->kind == IS_ERROR)
        return error;
    switch (in->op) {
    case RG_CEL_NOT:
        return verdict(v->kind == IS_FALSE);
    case RG_CEL_LENGTH:
        return of_number((int64_t)v->text.len);
    case RG_CEL_IN:
        return is_in(in, v);
    default:
        return head ? holds(head, in, v->text) : error;
    }
}

static int compare(const struct value *a, const struct value *b)
{
    if (a->kind == IS_INT)
        return (a->number > b->number) - (a->number < b->number);
    if (a->kind != IS_TEXT)
        return (int)a->kind - (int)b->kind;
    size_t shorter = a->text.len < b->text.len ? a->text.len : b->text.len;
    int order = shorter > 0 ? memcmp(a->text.ptr, b->text.ptr, shorter) : 0;
    return order != 0 ? order : (a->text.len > b->text.len) - (a->text.len < b->text.len);
}

static bool relates(uint8_t op, const struct value *a, const struct value *b)
{
    switch (op) {
    case RG_CEL_EQ:
        return compare(a, b) == 0;
    case RG_CEL_NE:
        return compare(a, b) != 0;
    case RG_CEL_LT:
        return compare(a, b) < 0;
    case RG_CEL_LE:
        return compare(a, b) <= 0;
    case RG_CEL_GT:
        return compare(a, b) > 0;
    case RG_CEL_GE:
        return compare(a, b) >= 0;
    default:
        break;
    }
    struct rg_str s = a->text, part = b->text;
    if (part.len == 0)
        return true;
    if (part.len > s.len)
        return false;
    if (op == RG_CEL_STARTS)
        return memcmp(s.ptr, part.ptr, part.len) == 0;
    if (op == RG_CEL_ENDS)
        return memcmp(s.ptr + s.len - part.len, part.ptr, part.len) == 0;
    return memmem(s.ptr, s.len, part.ptr, part.len) != NULL;
}

static struct value binary(const struct instruction *in, const struct value *a, const struct value *b)
{
    /* An error gives way to a side that decides. */
    enum kind decides = in->op == RG_CEL_OR ? IS_TRUE : IS_FALSE;
    if (in->op == RG_CEL_AND || in->op == RG_CEL_OR) {
        if (a->kind == decides || b->kind == decides)
            return verdict(decides == IS_TRUE);
        return a->kind == IS_ERROR || b->kind == IS_ERROR ? error : verdict(decides == IS_FALSE);
    }
    return a->kind == IS_ERROR || b->kind == IS_ERROR ? error : verdict(relates(in->op, a, b));
}

static enum kind run(const struct rg_condition *c, struct span span, const struct source *s)
{
    struct value stack[RG_CEL_STACK_MAX + 1] = {{0}};
    unsigned n = 0;
    for (unsigned pc = span.from; pc < span.to; pc++) {
        const struct instruction *in = &c->code[pc];
        if (in->op == RG_CEL_JUMP_FALSE || in->op == RG_CEL_JUMP_TRUE) {
            if (stack[n - 1].kind == (in->op == RG_CEL_JUMP_FALSE ? IS_FALSE : IS_TRUE))
                pc += (unsigned)in->number;
        } else if (rg_cel_operands((enum rg_cel_op)in->op) == 2) {
            stack[n - 2] = binary(in, &stack[n - 2], &stack[n - 1]);
            n--;
        } else if (rg_cel_operands((enum rg_cel_op)in->op) == 1) {
            stack[n - 1] = unary(s, in, &stack[n - 1]);
        } else {
            stack[n++] = leaf(s, in);
        }
    }
    RG_ASSERT(n == 1 && stack[0].kind <= IS_ERROR);
    return stack[0].kind;
}

enum rg_condition_verdict rg_condition_judge_request(const struct rg_condition *c, const struct rg_policy_request *q,
                                                     uint64_t *saved)
{
    struct source s = {.request = &q->head,
                       .method = q->method,
                       .path = q->path,
                       .id = q->request_id,
                       .phase = RG_STR("request_headers")};
    uint64_t bits = 0;
    for (unsigned i = 0; i < c->n_atoms; i++)
        bits |= (uint64_t)run(c, c->atoms[i], &s) << (2 * i);
    *saved = bits;
    return (enum rg_condition_verdict)run(c, c->request, &s);
}

bool rg_condition_holds_for_response(const struct rg_condition *c, const struct rg_policy_response *r, uint64_t saved)
{
    struct source s = {.response = &r->head, .phase = RG_STR("response_headers"), .status = r->status, .saved = saved};
    return run(c, c->response, &s) == IS_TRUE;
}
