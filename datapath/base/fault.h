/*
 * Why something that was specified can't be made: which of its fields, and a sentence that says what it holds and what
 * was wanted. Thread: any.
 */
#ifndef RG_BASE_FAULT_H
#define RG_BASE_FAULT_H

#include "datapath/base/str.h"

struct rg_fault {
    const char *field; /* a constant */
    char text[256];
};

/* Returns -EINVAL, for the caller to return. */
int rg_fault(struct rg_fault *ret, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For "%.*s" of a value that may be long. */
static inline int rg_fault_shown(struct rg_str value)
{
    return value.len < 120 ? (int)value.len : 120;
}

#endif
