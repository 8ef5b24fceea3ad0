/*
 * Requests to the control plane's internal API, beside each other and beside all else: an answer, or a reason, comes by
 * callback. Network errors, 429 and 5xx are tried again, with growing pauses, until the tries are used up.
 *
 * Owner: a fetch belongs to the fetcher until its callback returns; whoever asked may cancel it before, and hears no
 * more of it. Thread: the control thread.
 */
#ifndef RG_AGENT_FETCH_H
#define RG_AGENT_FETCH_H

#include "control/agent/remote.h"
#include "control/agent/transfers.h"
#include "datapath/base/list.h"
#include "datapath/base/metric.h"

#define RG_FETCH_TRIES   3
#define RG_FETCH_WHY_MAX 400

struct rg_fetch;

struct rg_fetcher {
    const struct rg_remote *remote;
    struct rg_transfers *transfers;
    struct rg_list running;
    uint64_t *ok, *failed, *retried; /* counters */
    struct rg_histogram *took;       /* tries and pauses together */
};

struct rg_fetch_request {
    const char *path;   /* below the internal API, like "/deployments"; copied */
    const char *accept; /* NULL: JSON */
    struct rg_str body; /* not empty: POST of JSON; copied */
    bool post;          /* POST also without a body */
    size_t max_bytes;   /* of the answer; more is a failure */
    void *owner;
};

struct rg_fetch_answer {
    long status;        /* 0: none came, see why */
    bool ok;            /* 2xx, and whole */
    struct rg_str body; /* valid during the call */
    const char *why;    /* not ok: a phrase like "the control plane answered 404 (No active deployment ...)" */
};

typedef void (*rg_fetch_done)(void *owner, const struct rg_fetch_answer *answer);

void rg_fetcher_init(struct rg_fetcher *f, const struct rg_remote *remote, struct rg_transfers *transfers);
void rg_fetcher_fini(struct rg_fetcher *f); /* cancels all */

/* NULL: no memory; `done` is not called then. Never calls it before it returns. */
struct rg_fetch *rg_fetch_begin(struct rg_fetcher *f, const struct rg_fetch_request *request, rg_fetch_done done);
void rg_fetch_cancel(struct rg_fetch *fetch); /* NULL is fine; not from its own callback */

#endif
