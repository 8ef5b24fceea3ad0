/*
 * A chain at work on one exchange. The request phase runs from the front until a policy answers; the response phase
 * runs, in reverse, those whose turn had come in the request phase, on whatever response the client gets.
 *
 * Owner: embedded in the exchange, which holds on to the snapshot with the chain. Thread: the worker's.
 */
#ifndef RG_POLICY_RUN_H
#define RG_POLICY_RUN_H

#include "datapath/policy/chain.h"
#include "datapath/policy/view.h"

struct rg_policy_run {
    const struct rg_policy_chain *chain; /* NULL: no policies, the rest means nothing */
    uint64_t due;                        /* bit per policy: its response phase is to come */
    uint8_t reached;                     /* so many had their turn in the request phase */
    uint8_t answered;                    /* which of them answered, from 1; 0: none did */
    union rg_policy_state states[RG_POLICY_STATES_MAX];
};

/* Room for the fields of an answer that the gateway makes, and what policies add to it. */
#define RG_POLICY_ANSWER_FIELDS (RG_POLICY_FIELDS_MAX + 32)

/* Begins and runs the request phase. ANSWER: q->answer is what the client gets, after the response phase. */
enum rg_policy_verdict rg_policy_run_request(struct rg_policy_run *run, const struct rg_policy_chain *chain,
                                             struct rg_policy_request *q);
void rg_policy_run_response(struct rg_policy_run *run, struct rg_policy_response *r);
/* Of the policy that answered; "": none did. A literal. */
const char *rg_policy_run_answered(const struct rg_policy_run *run);
/* A reference to the block with the request's head has to be kept until the response phase. */
bool rg_policy_chain_keeps_head(const struct rg_policy_chain *chain);
bool rg_policy_chain_asks_prefix(const struct rg_policy_chain *chain); /* q->prefix_bytes is read */
bool rg_policy_chain_has_response(const struct rg_policy_chain *chain);

#endif
