/*
 * A condition from inside: the tree that condition_parse.c makes of the text, and the program that condition.c makes of
 * the tree. Private to datapath/policy.
 * Thread: the control thread makes both; any may run a program.
 */
#ifndef RG_POLICY_CONDITION_PARTS_H
#define RG_POLICY_CONDITION_PARTS_H

#include "datapath/policy/condition.h"

/* What a part of a condition is. */
enum rg_cel_type {
    RG_CEL_BOOL,
    RG_CEL_INT,
    RG_CEL_TEXT,
    RG_CEL_HEADERS,   /* all of a message */
    RG_CEL_VALUES,    /* those of one header */
    RG_CEL_TEXT_LIST, /* literal */
    RG_CEL_INT_LIST
};

/* Of what it speaks. */
enum rg_cel_of { RG_CEL_OF_REQUEST = 1, RG_CEL_OF_RESPONSE = 2 /* or of the phase */ };

/* Operations; those behind LITERALS also stand in the program, with their operands below them on the stack. */
enum rg_cel_op {
    RG_CEL_LIST, /* literal: `items` */
    RG_CEL_LOAD_HEADERS,
    RG_CEL_LOAD_VALUES,
    RG_CEL_LITERALS, /* behind it: what a program has */
    RG_CEL_PUSH_BOOL,
    RG_CEL_PUSH_INT,
    RG_CEL_PUSH_TEXT,
    RG_CEL_METHOD,
    RG_CEL_PATH,
    RG_CEL_ID,
    RG_CEL_PHASE,
    RG_CEL_STATUS,
    RG_CEL_HAS,    /* header `name` is there */
    RG_CEL_AT,     /* its value number `number` */
    RG_CEL_COUNT,  /* how many values it has */
    RG_CEL_HOLDS,  /* text: is one of its values */
    RG_CEL_LENGTH, /* of text */
    RG_CEL_STARTS,
    RG_CEL_ENDS,
    RG_CEL_CONTAINS,
    RG_CEL_IN, /* text or number: is in `items` */
    RG_CEL_EQ,
    RG_CEL_NE,
    RG_CEL_LT,
    RG_CEL_LE,
    RG_CEL_GT,
    RG_CEL_GE,
    RG_CEL_NOT,
    RG_CEL_AND,
    RG_CEL_OR,
    RG_CEL_SAVED,      /* what atom `number` came to in the request phase */
    RG_CEL_JUMP_FALSE, /* over `number` operations, when the top is false; it stays */
    RG_CEL_JUMP_TRUE
};

/* How many values it takes from the stack. */
static inline unsigned rg_cel_operands(enum rg_cel_op op)
{
    switch (op) {
    case RG_CEL_STARTS:
    case RG_CEL_ENDS:
    case RG_CEL_CONTAINS:
    case RG_CEL_EQ:
    case RG_CEL_NE:
    case RG_CEL_LT:
    case RG_CEL_LE:
    case RG_CEL_GT:
    case RG_CEL_GE:
    case RG_CEL_AND:
    case RG_CEL_OR:
        return 2;
    case RG_CEL_NOT:
    case RG_CEL_LENGTH:
    case RG_CEL_IN:
    case RG_CEL_HOLDS:
        return 1;
    default:
        return 0;
    }
}

struct rg_cel_item { /* of a literal list */
    struct rg_str text;
    int64_t number;
};

struct rg_cel_node {
    enum rg_cel_op op;
    enum rg_cel_type type;
    unsigned of;   /* enum rg_cel_of, of all that is below it */
    unsigned side; /* whose headers: enum rg_cel_of */
    size_t column; /* from 1 */
    struct rg_cel_node *a, *b;
    struct rg_str text;
    int64_t number;
    struct rg_policy_name name;
    struct rg_cel_item *items;
    unsigned n_items;
    unsigned atom; /* number, from 1, in what the request phase keeps; 0: none */
};

#define RG_CEL_NODES_MAX 256
#define RG_CEL_DEPTH_MAX 24 /* of parentheses and operators in each other */
#define RG_CEL_ITEMS_MAX 64
#define RG_CEL_STACK_MAX 32

/* One at a time; the message begins with the column. Returns -EINVAL. */
int rg_cel_complain(char *why, size_t size, size_t column, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A condition as a tree in the arena, its types checked: a BOOL. -EINVAL or -ENOMEM. */
int rg_cel_parse(struct rg_cel_node **ret, struct rg_str text, struct rg_arena *arena, char *why, size_t why_size);

#endif
