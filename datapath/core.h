/*
 * The worker from inside: what the files of the datapath share. Nothing outside datapath/ includes this.
 * Thread: the worker's, but for the fields of the mailbox.
 */
#ifndef RG_CORE_H
#define RG_CORE_H

#include <pthread.h>

#include "datapath/base/timer.h"
#include "datapath/h2/h2_shared.h"
#include "datapath/http/h1_write.h"
#include "datapath/listener.h"
#include "datapath/policy/run.h"
#include "datapath/pipes.h"
#include "datapath/ring.h"
#include "datapath/route/snapshot.h"
#include "datapath/sys.h"
#include "datapath/tls/tls.h"
#include "datapath/upstream.h"
#include "datapath/worker.h"

/* Bits of rg_worker.mail */
enum rg_mail {
    RG_MAIL_SETTINGS = 1,
    RG_MAIL_DRAIN = 2,
    RG_MAIL_STOP = 4,
    RG_MAIL_STALL = 8,
    RG_MAIL_STOP_AT_ONCE = 16,
    RG_MAIL_ROUTES = 32,
    RG_MAIL_ENDPOINTS = 64,
};

struct rg_worker {
    /* the turn */
    struct rg_ring *ring;
    const struct rg_settings *settings;
    uint64_t now_ms, now_us; /* CLOCK_MONOTONIC, once a turn */
    uint64_t unix_us_offset; /* wall clock minus now_us */
    struct rg_wheel wheel;
    struct rg_timer tick;   /* each second */
    struct rg_list dirty;   /* sockets with output to send this turn */
    struct rg_list starved; /* sockets whose receive found no buffer, the urgent first */
    unsigned n_starved;
    struct rg_metrics *metrics;
    struct rg_steer_worker *steer;
    uint32_t exchange_check_ms; /* an exchange's time limits are looked at this often */

    struct rg_bufs bufs;
    struct rg_pipes pipes;
    struct rg_tls_env tls;
    struct rg_pool conns, exchanges, upstream_conns, endpoint_upstreams;
    struct rg_h2_shared h2;
    struct rg_list clients;   /* all client connections */
    struct rg_list idle;      /* those between requests, the longest idle first */
    struct rg_list heads;     /* those in the middle of a head, the slowest first */
    struct rg_list lingering; /* those that are over for us, the longest first */
    uint32_t n_clients, max_clients;
    struct rg_upstream replica_upstream;
    struct rg_list upstreams;         /* all, the replica's first */
    struct rg_list upstreams_in_need; /* those where exchanges wait for a descriptor, the longest waiting first */
    struct rg_snapshot *routes;       /* NULL: none; exchanges that took one of its routes pin it */
    struct rg_str replica_host;       /* Host for requests that have none */
    struct rg_replica *replica;
    struct rg_access_ring *access;
    uint32_t access_skip; /* exchanges until the next one that is logged */
    struct rg_rand rand;

    struct rg_listener listeners[RG_LISTENERS_MAX];
    uint16_t n_listeners;

    /* scratch of one parse; valid until the next */
    struct rg_field fields[RG_H1_FIELDS_MAX + RG_POLICY_FIELDS_MAX]; /* the last for those that policies add */
    struct rg_h1_limits limits;
    char date[RG_DATE_LEN];
    int64_t date_second;

    uint16_t id;
    bool draining, stopping;
    uint64_t drain_since_ms;

    /* mailbox: written by other threads */
    struct rg_slot mail_slot;
    int mail_fd;
    uint64_t mail_value;
    uint32_t mail;                           /* atomic bits */
    const struct rg_settings *next_settings; /* atomic */
    uint64_t generation;                     /* atomic; of the settings in use */
    struct rg_snapshot *next_routes;         /* atomic */
    uint64_t routes_generation;              /* atomic; of the routes in use */
    int switched_fd;                         /* the control thread's eventfd; 0 or less: none */
    uint64_t next_endpoints_epoch;           /* atomic */
    uint64_t endpoints_epoch;                /* atomic; what was told of endpoints so far has been looked at */
    uint32_t stall_ms;                       /* atomic */
    bool ended;                              /* atomic */
    pthread_t thread;
    bool thread_runs;
};

struct rg_str rg_worker_date(struct rg_worker *w);

/* The numbers above are kept for the control thread, which lifts the process's limit for a moment to use them: whatever
 * the datapath opens in that moment has to be given back. */
static inline bool rg_worker_may_hold(const struct rg_worker *w, int fd)
{
    return w->settings->descriptors == 0 || (uint32_t)fd < w->settings->descriptors;
}

#endif
