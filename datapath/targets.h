/*
 * The targets of one upstream of a unit: endpoints with weights, and how one is chosen for an exchange.
 *
 * Two of them are drawn at random, by weight; the one with fewer exchanges of this worker, for its weight, is taken.
 * One to which connects have failed is left alone for a while, unless all have.
 *
 * Lifetime: made and destroyed with the unit that owns it, immutable between. Thread: made and destroyed by the control
 * thread, read by workers.
 */
#ifndef RG_TARGETS_H
#define RG_TARGETS_H

#include "datapath/endpoint.h"
#include "datapath/route/spec.h"

struct rg_exchange;

struct rg_targets_item {
    struct rg_endpoint *endpoint;
    uint32_t weight;
    uint64_t until; /* sum of the weights up to and with this one */
};

struct rg_targets {
    size_t n; /* those with a weight */
    struct rg_targets_item items[];
};

struct rg_targets_fault {
    size_t target;            /* index into the specification's */
    struct rg_fault endpoint; /* field: of struct rg_endpoint_spec */
};

/* -EINVAL with *fault, or -ENOMEM. Targets without a weight are checked like others and then left out. */
int rg_targets_create(struct rg_targets **ret, struct rg_endpoints *endpoints, const struct rg_upstream_spec *spec,
                      struct rg_targets_fault *fault);
void rg_targets_destroy(struct rg_targets *t); /* NULL is fine */

/* Worker. The exchange goes to one of them: x->upstream is set until it ends. targets must live as long as the
 * exchange, or until its response has begun. false: no memory, or all weights are 0. */
bool rg_targets_lead(struct rg_worker *w, struct rg_exchange *x, const struct rg_targets *targets);
/* Its connect failed: leads it to another one, or to another address of the same. false: there is none. */
bool rg_targets_lead_elsewhere(struct rg_worker *w, struct rg_exchange *x);

#endif
