/*
 * Parameters that name fields of requests and fields of responses, as set-headers and remove-headers have them. Private
 * to datapath/policy. Thread: see policy.h.
 */
#ifndef RG_POLICY_SIDES_H
#define RG_POLICY_SIDES_H

#include "datapath/policy/view.h"

struct rg_policy_side_params {
    struct rg_param_list headers;
};
struct rg_policy_sides {
    struct rg_policy_side_params request, response;
};

/* Rows of a struct rg_policy_sides, of whose sides each has the rows `side`. */
#define RG_POLICY_SIDES(side)                                        \
    {                                                                \
        {.name = "request",                                          \
         .type = RG_PARAM_OBJECT,                                    \
         .offset = offsetof(struct rg_policy_sides, request),        \
         .fields = (side),                                           \
         .size = sizeof(struct rg_policy_side_params),               \
         .help = "Of requests, before they go to the upstream."},    \
            {.name = "response",                                     \
             .type = RG_PARAM_OBJECT,                                \
             .offset = offsetof(struct rg_policy_sides, response),   \
             .fields = (side),                                       \
             .size = sizeof(struct rg_policy_side_params),           \
             .help = "Of responses, before they go to the client."}, \
            {0},                                                     \
    }

/* The row of a field's name in a struct of the list, which has it as `name`. */
#define RG_POLICY_SIDE_NAME(type_)                                                                                     \
    {                                                                                                                  \
        .name = "name", .type = RG_PARAM_STRING, .offset = offsetof(type_, name), .required = true, .not_empty = true, \
        .help = "Name of the field, in any case."                                                                      \
    }

static inline int rg_policy_sides_check(const struct rg_policy_sides *p, struct rg_policy_making *m)
{
    return p->request.headers.n + p->response.headers.n > 0
               ? 0
               : rg_policy_refuse(m, "", "names no field: wanted request.headers or response.headers");
}

/* For messages. */
static inline const char *rg_policy_side_name(enum rg_policy_side side)
{
    return side == RG_POLICY_OF_REQUEST ? "request" : "response";
}

#endif
