/*
 * The answer to a client that has not shown who it is: 401, its challenge (RFC 9110 11.6.1), a body. Made with the
 * policy, whose arena holds it. Private to datapath/policy. Thread: see policy.h.
 */
#ifndef RG_POLICY_UNAUTHORIZED_H
#define RG_POLICY_UNAUTHORIZED_H

#include "datapath/policy/view.h"

struct rg_policy_unauthorized {
    struct rg_field challenge;
    struct rg_str body;
};

/* challenge: the value of WWW-Authenticate, which is copied. -ENOMEM. */
int rg_policy_unauthorized_make(struct rg_arena *arena, struct rg_str challenge, const char *message,
                                struct rg_policy_unauthorized *ret);
/* Hot. RG_POLICY_ANSWER. */
enum rg_policy_verdict rg_policy_unauthorized_answer(const struct rg_policy_unauthorized *u,
                                                     struct rg_policy_request *q);

#endif
