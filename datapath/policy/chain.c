/* See chain.h and run.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath/policy/policy_parts.h"
#include "datapath/policy/run.h"

#define NO_STATE UINT8_MAX

struct entry {
    struct rg_policy *policy;
    uint8_t state, saved; /* indices of what the policy and its condition keep; NO_STATE: nothing */
};

struct rg_policy_chain {
    unsigned n, n_states, request_fields, response_fields, field_bytes;
    bool keeps_head, has_response, asks_prefix;
    struct entry entries[RG_POLICY_CHAIN_MAX];
};

struct rg_policy_chain *rg_policy_chain_create(void)
{
    return calloc(1, sizeof(struct rg_policy_chain));
}

static int refuse(struct rg_policy_problem *problem, unsigned most, const char *what)
{
    problem->path[0] = '\0';
    snprintf(problem->text, sizeof problem->text, "the policies of this route are too many: %u %s at most", most, what);
    return -EINVAL;
}

int rg_policy_chain_add(struct rg_policy_chain *chain, struct rg_policy *policy, struct rg_policy_problem *problem)
{
    bool saves = policy->condition && rg_condition_is_for_response(policy->condition);
    unsigned states = chain->n_states + policy->needs_state + saves;
    if (chain->n == RG_POLICY_CHAIN_MAX)
        return refuse(problem, RG_POLICY_CHAIN_MAX, "of them");
    if (states > RG_POLICY_STATES_MAX)
        return refuse(problem, RG_POLICY_STATES_MAX, "that keep something from the request to the response");
    if (chain->request_fields + policy->request_fields > RG_POLICY_FIELDS_MAX ||
        chain->response_fields + policy->response_fields > RG_POLICY_FIELDS_MAX)
        return refuse(problem, RG_POLICY_FIELDS_MAX, "fields that they add to a message");
    if (chain->field_bytes + policy->field_bytes > RG_POLICY_BYTES_MAX)
        return refuse(problem, RG_POLICY_BYTES_MAX, "bytes of fields that they set");
    struct entry *e = &chain->entries[chain->n++];
    *e = (struct entry){.policy = rg_policy_ref(policy), .state = NO_STATE, .saved = NO_STATE};
    if (policy->needs_state)
        e->state = (uint8_t)chain->n_states++;
    if (saves)
        e->saved = (uint8_t)chain->n_states++;
    chain->request_fields += policy->request_fields;
    chain->response_fields += policy->response_fields;
    chain->field_bytes += policy->field_bytes;
    chain->keeps_head |= policy->keeps_head;
    chain->has_response |= policy->kind->response != NULL;
    chain->asks_prefix |= policy->asks_prefix;
    return 0;
}

void rg_policy_chain_destroy(struct rg_policy_chain *chain)
{
    if (!chain)
        return;
    for (unsigned i = 0; i < chain->n; i++)
        rg_policy_unref(chain->entries[i].policy);
    free(chain);
}

unsigned rg_policy_chain_length(const struct rg_policy_chain *chain)
{
    return chain->n;
}

struct rg_policy *rg_policy_chain_at(const struct rg_policy_chain *chain, unsigned i)
{
    return i < chain->n ? chain->entries[i].policy : NULL;
}

bool rg_policy_chain_keeps_head(const struct rg_policy_chain *chain)
{
    return chain->keeps_head;
}

bool rg_policy_chain_asks_prefix(const struct rg_policy_chain *chain)
{
    return chain->asks_prefix;
}

bool rg_policy_chain_has_response(const struct rg_policy_chain *chain)
{
    return chain->has_response;
}

/* ---- at work: hot ---- */

/* Whether the policy's turn in the request phase is taken; the bit of its response phase is set where it is due. */
static bool is_wanted(struct rg_policy_run *run, unsigned i, const struct rg_policy_request *q)
{
    const struct entry *e = &run->chain->entries[i];
    const struct rg_condition *c = e->policy->condition;
    if (RG_LIKELY(!c)) {
        run->due |= UINT64_C(1) << i;
        return true;
    }
    uint64_t saved = 0;
    enum rg_condition_verdict verdict = rg_condition_judge_request(c, q, &saved);
    bool wanted = verdict == RG_CONDITION_YES || (verdict == RG_CONDITION_ERROR && e->policy->kind->guards);
    if (e->saved != NO_STATE) { /* what it says of the response is asked then */
        run->states[e->saved].n[0] = saved;
        run->due |= UINT64_C(1) << i;
    } else if (wanted) {
        run->due |= UINT64_C(1) << i;
    }
    return wanted;
}

enum rg_policy_verdict rg_policy_run_request(struct rg_policy_run *run, const struct rg_policy_chain *chain,
                                             struct rg_policy_request *q)
{
    union rg_policy_state nothing = {0};
    run->chain = chain;
    run->due = 0;
    run->answered = 0;
    memset(run->states, 0, chain->n_states * sizeof run->states[0]);
    for (unsigned i = 0; i < chain->n; i++) {
        const struct entry *e = &chain->entries[i];
        run->reached = (uint8_t)(i + 1);
        if (!is_wanted(run, i, q) || !e->policy->kind->request)
            continue;
        union rg_policy_state *state = e->state != NO_STATE ? &run->states[e->state] : &nothing;
        enum rg_policy_verdict verdict = e->policy->kind->request(e->policy->self, q, state);
        if (RG_LIKELY(verdict == RG_POLICY_NEXT))
            continue;
        if (verdict == RG_POLICY_ANSWER)
            run->answered = run->reached;
        return verdict;
    }
    return RG_POLICY_NEXT;
}

void rg_policy_run_response(struct rg_policy_run *run, struct rg_policy_response *r)
{
    static const union rg_policy_state nothing;
    const struct rg_policy_chain *chain = run->chain;
    for (unsigned i = run->reached; i-- > 0;) {
        const struct entry *e = &chain->entries[i];
        const struct rg_policy *p = e->policy;
        if (!(run->due & UINT64_C(1) << i) || !p->kind->response)
            continue;
        if (e->saved != NO_STATE && !rg_condition_holds_for_response(p->condition, r, run->states[e->saved].n[0]))
            continue;
        p->kind->response(p->self, r, e->state != NO_STATE ? &run->states[e->state] : &nothing);
    }
}

const char *rg_policy_run_answered(const struct rg_policy_run *run)
{
    if (!run->chain || run->answered == 0)
        return "";
    return run->chain->entries[run->answered - 1].policy->kind->name;
}
