/*
 * The policies of a route, in the order in which requests meet them; responses meet them in reverse.
 *
 * Owner: whoever made it, until a unit takes it over (route/unit.h). It holds a reference to each of its policies,
 * which other chains may hold as well. Thread: built and destroyed by the control thread, run by workers.
 */
#ifndef RG_POLICY_CHAIN_H
#define RG_POLICY_CHAIN_H

#include "datapath/policy/policy.h"

#define RG_POLICY_CHAIN_MAX  64    /* policies of a chain */
#define RG_POLICY_STATES_MAX 16    /* of them that keep something from the request to the response */
#define RG_POLICY_FIELDS_MAX 64    /* fields that all of them may add to a message */
#define RG_POLICY_BYTES_MAX  16384 /* of the fields that they set, all together */

struct rg_policy_chain;

struct rg_policy_chain *rg_policy_chain_create(void); /* NULL: no memory */
/*
 * At the end: add those of the API first, then those of the operation. Takes a reference of its own. -EINVAL with
 * *problem (the chain is full), or -ENOMEM; the chain is as before then.
 */
int rg_policy_chain_add(struct rg_policy_chain *chain, struct rg_policy *policy, struct rg_policy_problem *problem);
void rg_policy_chain_destroy(struct rg_policy_chain *chain); /* NULL is fine */
unsigned rg_policy_chain_length(const struct rg_policy_chain *chain);
struct rg_policy *rg_policy_chain_at(const struct rg_policy_chain *chain, unsigned i);

#endif
