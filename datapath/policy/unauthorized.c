/* See unauthorized.h. */
#include "datapath/policy/unauthorized.h"

int rg_policy_unauthorized_make(struct rg_arena *arena, struct rg_str challenge, const char *message,
                                struct rg_policy_unauthorized *ret)
{
    int rc = rg_policy_line_copy(arena, RG_STR("WWW-Authenticate"), challenge, &ret->challenge);
    return rc == 0 ? rg_policy_body_make(arena, "Unauthorized", message, &ret->body) : rc;
}

enum rg_policy_verdict rg_policy_unauthorized_answer(const struct rg_policy_unauthorized *u,
                                                     struct rg_policy_request *q)
{
    q->answer.status = 401;
    q->answer.type = RG_STR("application/json");
    q->answer.body = u->body;
    rg_policy_add_field(&q->answer.head, &u->challenge);
    return RG_POLICY_ANSWER;
}
