/* A policy from inside: what policy.c makes and chain.c runs. Private to datapath/policy. Thread: see policy.h. */
#ifndef RG_POLICY_PARTS_H
#define RG_POLICY_PARTS_H

#include "datapath/policy/condition.h"
#include "datapath/policy/view.h"

struct rg_policy {
    const struct rg_policy_kind *kind;
    struct rg_arena arena;
    void *self;
    struct rg_condition *condition; /* NULL: always */
    unsigned refs;                  /* the control thread's */
    uint16_t request_fields, response_fields;
    uint32_t field_bytes, counters;
    bool keeps_head, needs_state, asks_prefix;
};

#endif
