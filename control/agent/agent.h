/*
 * The gateway's side of deployments: connected to a control plane, it brings what that wants to be live into snapshots
 * of routes, and says for each deployment whether it is. What is live is kept on disk and served at the next start.
 *
 * Files, in the order in which a deployment meets them: link (the connection), event (what came), orders (what is
 * wanted of which artifact, by the table in deployment), obtain (fetching), build (compiling), publish (snapshots and
 * workers), persist (the disk), ack. sync compares everything at each connect; api_keys and secrets come beside.
 *
 * Owner: the gateway. Thread: the control thread, but for the writer of the state directory (state_dir.h). Nothing here
 * waits. Lifetime: made before the workers, so that they begin with what was live the last time.
 */
#ifndef RG_AGENT_AGENT_H
#define RG_AGENT_AGENT_H

#include <stdio.h>

#include "control/agent/agent_metrics.h"
#include "control/common/loop.h"
#include "datapath/route/snapshot.h"
#include "datapath/settings.h"

struct rg_agent;

/* Where snapshots of routes go, see gateway_routes.h. */
struct rg_agent_outlet {
    /* 0: published as *generation. -EEXIST with *conflict, or -ENOMEM: nothing has changed. */
    int (*publish)(void *owner, struct rg_unit *const *units, size_t n, uint64_t *generation,
                   struct rg_route_conflict *conflict);
    int32_t (*late_worker)(void *owner, uint64_t generation); /* that has not switched to it; -1: none */
    void *owner;
};

struct rg_agent_init {
    const struct rg_control_settings *settings; /* url is not "" */
    struct rg_loop *loop;
    struct rg_agent_metrics *metrics;
    struct rg_unit_place place;     /* of units: whose workers run them, and where they find their endpoints */
    const struct rg_address *admin; /* where no artifact may lead to; NULL: there is no admin endpoint */
    struct rg_agent_outlet outlet;
};

/*
 * Opens the state directory, compiles what is in it and publishes it: workers that are created afterwards begin with
 * it. Negative errno after the cause was logged.
 */
int rg_agent_create(struct rg_agent **ret, const struct rg_agent_init *init);
void rg_agent_start(struct rg_agent *a);   /* the workers run: connects */
void rg_agent_live(struct rg_agent *a);    /* all workers have switched to what was published */
void rg_agent_tick(struct rg_agent *a);    /* every now and then: looks for workers that are late, and at the token */
void rg_agent_drain(struct rg_agent *a);   /* says goodbye to the control plane; what is live stays live */
void rg_agent_destroy(struct rg_agent *a); /* NULL is fine */

void rg_agent_write_json(const struct rg_agent *a, FILE *out); /* GET /control */

#endif
