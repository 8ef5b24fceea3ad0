/*
 * The parameters of a policy, declared once: the table from which they are decoded and checked, and documented. Also
 * what artifacts are decoded by (control/agent). The datapath only declares; control/common/params.h decodes.
 *
 * A row says where in the struct a value goes. Strings and lists point into the arena of whoever had them decoded, and
 * live as long as it. Thread: any (constant data).
 */
#ifndef RG_POLICY_PARAM_H
#define RG_POLICY_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/base/str.h"

enum rg_param_type {
    RG_PARAM_STRING,   /* struct rg_str; numbers and booleans are taken as they are written only where `scalar` */
    RG_PARAM_BOOL,     /* bool */
    RG_PARAM_INT,      /* int64_t, from min to max */
    RG_PARAM_DURATION, /* uint64_t, microseconds; "500ms", "1m30s", "1h"; from min to max */
    RG_PARAM_ENUM,     /* int32_t: index into `words` */
    RG_PARAM_OBJECT,   /* the struct itself, by `fields` */
    RG_PARAM_LIST,     /* struct rg_param_list of what `item` says */
    RG_PARAM_ANY       /* struct rg_str: the value as JSON text, checked by whoever reads it */
};

struct rg_param_list {
    void *items; /* n structs of the item's size; NULL when n is 0 */
    size_t n;
};

struct rg_param {
    const char *name; /* NULL: the end of a table */
    enum rg_param_type type;
    size_t offset;
    bool required;
    bool not_empty; /* string or list */
    bool scalar;
    const char *initial;           /* JSON text of what holds when it is left out; NULL: zero, "" or an empty list */
    int64_t min, max;              /* INT and DURATION; max 0: no limit. LIST: most entries; 0: RG_PARAM_LIST_MAX */
    const char *const *words;      /* ENUM; NULL at the end */
    const struct rg_param *fields; /* OBJECT, and LIST of objects */
    const struct rg_param *item;   /* LIST of anything else: one row, offset 0 */
    size_t size;                   /* OBJECT: of the struct; LIST: of an item */
    size_t present;                /* one more than the offset of a bool that says whether it was given; 0: none */
    const char *help;              /* one sentence, for the documentation */
};

#define RG_PARAM_LIST_MAX 1000

#endif
