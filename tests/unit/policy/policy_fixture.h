/* Chains made of JSON as the agent makes them of artifacts, run on heads as they come from a client. */
#ifndef RG_TEST_POLICY_FIXTURE_H
#define RG_TEST_POLICY_FIXTURE_H

#include "datapath/policy/keys.h"
#include "datapath/policy/run.h"

struct play {
    struct rg_policy_chain *chain;
    struct rg_policy_run run;
    struct rg_key_set *keys;
    /* what the next request is given */
    const char *client, *route;
    uint32_t context_bytes, prefix_bytes;
    uint64_t now_us;
    int64_t unix_ms;
    /* of the last one */
    enum rg_policy_verdict verdict;
    char out[8192]; /* what became of it, as text */
    struct rg_policy_problem problem;
    char decoded[1024]; /* what the decoder complained of */
};

void play_init(struct play *p);
void play_fini(struct play *p);

/* Adds a policy to the chain. false: `problem`, or `decoded`. params: JSON with ' for ". */
bool play_add(struct play *p, const char *name, const char *params, const char *condition);
/* The same, which has to succeed. */
void play_with(struct play *p, const char *name, const char *params, const char *condition);

/*
 * Runs the request phase on a head with \n for its line ends. Writes what goes to the upstream, "METHOD path?query",
 * the host if a policy has set it, the fields; or the answer, after its response phase: "STATUS type", fields, body.
 */
const char *play_request(struct play *p, const char *head);
/* Runs the response phase on a response's head; writes "STATUS", fields. */
const char *play_response(struct play *p, const char *head);

#endif
