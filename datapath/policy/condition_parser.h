/*
 * The parser of conditions from inside: what condition_value.c (bytes, literals, names) offers to condition_parse.c.
 * Private to datapath/policy. Thread: the control thread.
 */
#ifndef RG_POLICY_CONDITION_PARSER_H
#define RG_POLICY_CONDITION_PARSER_H

#include "datapath/policy/condition_parts.h"

struct rg_cel_parser {
    const char *start, *at, *end;
    struct rg_arena *arena;
    char *why;
    size_t why_size;
    unsigned depth, nodes;
    int rc; /* of the first error */
};

#define RG_CEL_COMPLAIN(p, at_column, ...)                                                \
    do {                                                                                  \
        if ((p)->rc == 0)                                                                 \
            (p)->rc = rg_cel_complain((p)->why, (p)->why_size, (at_column), __VA_ARGS__); \
    } while (0)

void rg_cel_skip_space(struct rg_cel_parser *p);
size_t rg_cel_column(const struct rg_cel_parser *p);            /* from 1 */
bool rg_cel_takes(struct rg_cel_parser *p, const char *symbol); /* over it, if it is next */
bool rg_cel_expect(struct rg_cel_parser *p, const char *symbol);
struct rg_str rg_cel_word(struct rg_cel_parser *p); /* empty: none is next */

/* NULL: too many, or no memory. */
struct rg_cel_node *rg_cel_new_node(struct rg_cel_parser *p, enum rg_cel_op op, enum rg_cel_type type, size_t at);
struct rg_cel_node *rg_cel_node_over(struct rg_cel_parser *p, enum rg_cel_op op, enum rg_cel_type type, size_t at,
                                     struct rg_cel_node *a, struct rg_cel_node *b);
const char *rg_cel_type_name(enum rg_cel_type type);
bool rg_cel_is_type(struct rg_cel_parser *p, const struct rg_cel_node *n, enum rg_cel_type type); /* or complains */

bool rg_cel_is_text_ahead(const struct rg_cel_parser *p);
bool rg_cel_text_literal(struct rg_cel_parser *p, struct rg_str *ret); /* at its quote */
bool rg_cel_number_literal(struct rg_cel_parser *p, int64_t *ret);
/* A literal, or one of the names that can be asked. */
struct rg_cel_node *rg_cel_value(struct rg_cel_parser *p);

#endif
