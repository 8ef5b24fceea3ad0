/*
 * A worker: a thread with its own ring, listening sockets, upstream pools, timer wheel, buffers and counters.
 * A connection never leaves its worker; everything that crosses threads goes through the mailbox.
 *
 * Thread: functions here are for the control thread, unless marked.
 */
#ifndef RG_WORKER_H
#define RG_WORKER_H

#include "bpf/steer.h"
#include "datapath/access_log.h"
#include "datapath/base/metric.h"
#include "datapath/replica.h"
#include "datapath/settings.h"

struct rg_worker;
struct rg_snapshot; /* route/snapshot.h */

struct rg_worker_init {
    uint16_t id;
    const struct rg_settings *settings; /* borrowed until replaced by rg_worker_publish and acknowledged */
    struct rg_replica *replica;         /* shared by all workers, owned by the control thread */
    struct rg_steer_worker *steer;    /* this worker's row in the steering map, or a private one when steering is off */
    struct rg_access_ring *access;    /* owned by the control thread */
    int listen_fds[RG_LISTENERS_MAX]; /* bound and listening, one per listener; the worker takes them over */
    uint16_t n_listen_fds;
    uint32_t borrowed_fds;      /* bit per listener: the socket belongs to others too and goes on after this process */
    struct rg_snapshot *routes; /* what rg_worker_publish_routes would bring; NULL: all requests go to the replica */
    int switched_fd; /* an eventfd that is written to when the worker has switched to other routes; 0 or less: none */
};

/* Client connections that so many descriptors suffice for when all are idle; with a request each, it is half of it. */
uint32_t rg_worker_clients_of(uint64_t descriptors);

/* Negative errno: *ret is untouched then and the descriptors stay the caller's. */
int rg_worker_create(struct rg_worker **ret, const struct rg_worker_init *init);
/* Spawns the thread, and waits until its ring is made. Negative errno; why the kernel refused a ring is in the log. */
int rg_worker_start(struct rg_worker *w);

/* New settings, read at the next turn of the loop. rg_worker_generation tells when. */
void rg_worker_publish(struct rg_worker *w, const struct rg_settings *settings);
uint64_t rg_worker_generation(const struct rg_worker *w); /* generation of the settings in use; atomic */

/*
 * Other routes, taken by the next request after the next turn of the loop. rg_worker_routes_generation tells when, and
 * switched_fd that it is worth a look. The snapshot stays the control thread's, which destroys it when all workers show
 * a later generation, or have ended, and rg_snapshot_is_unused.
 */
void rg_worker_publish_routes(struct rg_worker *w, struct rg_snapshot *snapshot);
uint64_t rg_worker_routes_generation(const struct rg_worker *w); /* 0: no routes; atomic */

/* What endpoints have published has changed, or one is wanted no longer; the epoch is shown when the worker has looked,
 * and reads nothing older (endpoint.h). */
void rg_worker_look_at_endpoints(struct rg_worker *w, uint64_t epoch);
uint64_t rg_worker_endpoints_epoch(const struct rg_worker *w); /* atomic */

void rg_worker_drain(struct rg_worker *w); /* stop accepting, finish what runs, then the thread ends */
/* Break off everything and end. WebSocket tunnels are told and get a moment, but for at_once. */
void rg_worker_stop(struct rg_worker *w, bool at_once);
bool rg_worker_has_ended(const struct rg_worker *w); /* atomic; the thread may be joined without waiting */
void rg_worker_destroy(struct rg_worker *w);         /* joins the thread; NULL is fine */

/* The supervisor's act on a hung worker: its listeners are shut down so that their queues migrate. The worker
 * listens on the same descriptors when it moves again. */
void rg_worker_abandon_listeners(struct rg_worker *w);

/* Test switch, only in builds with RG_DEBUG_SWITCHES: the loop sleeps once, outside the kernel's wait. */
void rg_worker_stall(struct rg_worker *w, uint32_t ms);

const struct rg_metrics *rg_worker_metrics(const struct rg_worker *w);
const struct rg_steer_worker *rg_worker_steer(const struct rg_worker *w);

#endif
