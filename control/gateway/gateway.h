/*
 * The gateway as the control thread sees it: what it owns from start to exit, and the steps that main goes through.
 *
 * Thread: the main thread is the control thread. It opens listeners, loads steering, starts the workers and then turns
 * one epoll loop for signals, supervision, the replica's health, the admin endpoint and the access log. It handles no
 * client traffic. Settings are immutable once published; replaced ones are freed when every worker has switched.
 */
#ifndef RG_GATEWAY_GATEWAY_H
#define RG_GATEWAY_GATEWAY_H

#include <stdio.h>

#include "bpf/sockmap_loader.h"
#include "bpf/steer_loader.h"
#include "control/agent/agent.h"
#include "control/common/loop.h"
#include "control/gateway/access_writer.h"
#include "control/gateway/admin.h"
#include "control/gateway/gateway_routes.h"
#include "control/gateway/health.h"
#include "control/gateway/listen.h"
#include "control/gateway/metrics_text.h"
#include "control/gateway/notify.h"
#include "control/gateway/resolve.h"
#include "control/options/options.h"
#include "datapath/tls/store.h"
#include "datapath/worker.h"

#define RG_EXIT_FAILED 1
#define RG_EXIT_USAGE  2 /* the configuration can't be used: options, addresses */

enum rg_gateway_phase { RG_PHASE_STARTING, RG_PHASE_SERVING, RG_PHASE_DRAINING, RG_PHASE_STOPPING };

/* Why /ready is not 200: bits, in the order in which they are told. */
enum rg_unready {
    RG_UNREADY_REPLICA_UNKNOWN = 1, /* the first check is still under way */
    RG_UNREADY_REPLICA_DOWN = 2,
    RG_UNREADY_DRAINING = 4,
    RG_UNREADY_SETTINGS = 8, /* a worker has not switched to the current settings */
};
#define RG_UNREADY_COUNT 4

#define RG_GATEWAY_ALIGN 128 /* a row of its own for each worker, as in the steering map */

struct rg_gateway_worker {
    struct rg_steer_worker own_row __attribute__((aligned(RG_GATEWAY_ALIGN))); /* when steering is off */
    struct rg_worker *worker;
    struct rg_access_ring *access;
    uint64_t stalled_turn; /* busy_since of the turn that lasts too long; 0: none */
    bool abandoned;        /* its listeners were shut down and have not been steered to again */
};

struct rg_settings_box { /* published settings; a box waits in the retired list until no worker reads it */
    struct rg_settings settings;
    struct rg_settings_box *next;
};

struct rg_drain { /* for the log */
    uint64_t since_ms;
    uint64_t connections_cut; /* open when the order to break off was given; with those that only linger */
};

struct rg_shortage {  /* of one resource, for the log */
    uint64_t seen;    /* the workers' counters at the last look */
    uint64_t times;   /* since the last line */
    uint64_t said_ms; /* 0: never */
};

struct rg_gateway_tls {
    struct rg_tls_keys keys; /* made here; not those of a file */
    uint64_t keys_since_ms, next_look_ms;
    uint64_t stamp, seen; /* of the files when they were read, and at the last look */
};

/*
 * A program that has the gateway for its front: workers, listeners, TLS, reload and drain are the gateway's, what
 * stands behind it is the program's own.
 */
struct rg_gateway_program {
    const char *name; /* as the log has it */
    void *owner;
    /* For a reload: the settings of the front. As rg_options_load_with. */
    int (*load)(void *owner, const struct rg_options_outside *outside, struct rg_settings *ret, FILE *err);
    void (*draining)(void *owner); /* the drain has begun: what stands behind lets go of its clients */
    /* Metrics of its own, for /metrics. */
    const struct rg_metric_row *rows;
    unsigned n_rows;
    void (*read_rows)(void *owner, uint64_t *values);
};

#define RG_PROGRAM_ROWS_MAX 64

struct rg_gateway {
    const struct rg_flags *flags;
    const struct rg_gateway_program *program; /* NULL: the gateway itself */
    bool has_file;                            /* the current settings come from a file, too */
    struct rg_settings_box *current, *retired;
    enum rg_gateway_phase phase;
    int status;            /* of the exit */
    unsigned unready_said; /* as the log has it; UINT_MAX: nothing has been said yet */
    uint64_t settled_ms;   /* when all workers were last seen with the current settings */
    struct rg_drain drain;
    struct rg_shortage descriptors, buffers;

    struct rg_gateway_tls tls;
    struct rg_gateway_routes routes;
    struct rg_agent *agent;         /* NULL: there is no control plane */
    struct rg_endpoints *endpoints; /* where they lead to */
    struct rg_resolver *resolver;   /* of their names */

    struct rg_listen_set listen;
    int steered_fds[RG_LISTENERS_MAX][RG_WORKERS_MAX]; /* numbers only; the workers own them */
    struct rg_steer *steer;                            /* NULL: the kernel's hash decides */
    struct rg_sockmap *sockmap;                        /* NULL: not asked for yet, or not to be had */
    struct rg_replica replica;
    uint16_t n_workers;
    struct rg_gateway_worker *workers;

    struct rg_loop loop;
    struct rg_watch signals;
    struct rg_alarm tick, access_tick, watchdog, deadline;
    struct rg_notify notify;
    struct rg_admin admin;
    struct rg_prober prober;
    struct rg_access_writer access;
    struct rg_control_metrics metrics;
};

/* ---- gateway.c: from options to serving, and the end ---- */

/* Before any thread is started: blocks the signals that the control loop takes. settings are copied; flags and program
 * (NULL: the gateway itself) are borrowed. Negative errno. */
int rg_gateway_init(struct rg_gateway *g, const struct rg_flags *flags, const struct rg_settings *settings,
                    const struct rg_gateway_program *program);
int rg_gateway_open_listeners(struct rg_gateway *g); /* the admin's too */
void rg_gateway_load_steering(struct rg_gateway *g); /* fails open: the kernel's hash, said once */
/* gateway_sockmap.c: settles whether new settings, before they are published, use it. Fails open: TCP, said once. */
void rg_gateway_settle_sockmap(struct rg_gateway *g, struct rg_settings *settings);
int rg_gateway_start_workers(struct rg_gateway *g);
int rg_gateway_serve(struct rg_gateway *g); /* turns the loop until all workers have ended; returns the exit status */
void rg_gateway_fini(struct rg_gateway *g); /* takes half-started gateways */

static inline const struct rg_settings *rg_gateway_settings(const struct rg_gateway *g)
{
    return &g->current->settings;
}

/* ---- gateway_agent.c: the control plane ---- */

/* Before the workers: what was live the last time is live again. Nothing to do without control.url. Negative errno
 * after the cause was logged. */
int rg_gateway_load_agent(struct rg_gateway *g);
void rg_gateway_start_agent(struct rg_gateway *g); /* the workers run */

/* ---- gateway_run.c: the control loop ---- */

void rg_gateway_init_alarms(struct rg_gateway *g);
int rg_gateway_watch_signals(struct rg_gateway *g);
void rg_gateway_begin_drain(struct rg_gateway *g, const char *cause);
bool rg_gateway_has_ended(const struct rg_gateway *g);                  /* all workers */
uint64_t rg_gateway_sum(const struct rg_gateway *g, enum rg_metric id); /* over all workers */
void rg_gateway_report_end(struct rg_gateway *g);                       /* after the last worker has ended */

/* ---- gateway_ready.c: readiness ---- */

unsigned rg_gateway_unready(const struct rg_gateway *g); /* bits of enum rg_unready; 0: ready */
const char *rg_gateway_unready_name(unsigned index);     /* of bit 1 << index */
void rg_gateway_note_readiness(struct rg_gateway *g);    /* tells the log and the service manager of changes */
void rg_gateway_send_status(const struct rg_gateway *g); /* to the service manager, as last noted */

/* ---- gateway_shortage.c: what ran out, or will ---- */

void rg_gateway_note_shortages(struct rg_gateway *g);           /* a line for each resource, at most once a minute */
void rg_gateway_check_descriptors(const struct rg_settings *s); /* warns when there are few for these settings */

/* ---- gateway_endpoints.c: where deployed routes lead to ---- */

int rg_gateway_init_endpoints(struct rg_gateway *g);
void rg_gateway_tick_endpoints(struct rg_gateway *g);
void rg_gateway_count_endpoints(struct rg_gateway *g);                  /* for /metrics */
void rg_gateway_write_endpoints(const struct rg_gateway *g, FILE *out); /* JSON */
void rg_gateway_fini_endpoints(struct rg_gateway *g);                   /* after workers and routes */

/* ---- gateway_supervise.c: hung workers ---- */

void rg_gateway_supervise(struct rg_gateway *g, uint64_t now_ns);
bool rg_gateway_is_hung(const struct rg_gateway *g); /* every worker is */

/* ---- gateway_reload.c ---- */

/*
 * Reads file and flags again and publishes what may change. report gets JSON: what changed and what was kept, or the
 * errors. Negative errno when the settings were refused, or when there is no file to read (-ENOENT); the running ones
 * stay then.
 */
int rg_gateway_reload(struct rg_gateway *g, FILE *report);
void rg_gateway_free_settings(struct rg_settings_box *box);    /* NULL is fine */
void rg_gateway_retire_settings(struct rg_gateway *g);         /* frees what no worker reads any more */
bool rg_gateway_settings_are_live(const struct rg_gateway *g); /* all workers have switched to the current ones */

/* The box becomes the current settings: every worker is told. */
void rg_gateway_publish(struct rg_gateway *g, struct rg_settings_box *box);

/* ---- gateway_tls.c: certificates and ticket keys ---- */

int rg_gateway_load_certificates(struct rg_gateway *g); /* before the workers are created */
/* *ret is NULL when no listener of s speaks TLS. What is wrong is in the log. */
int rg_gateway_make_store(const struct rg_gateway *g, const struct rg_settings *s, struct rg_tls_store **ret);
/* The files of these settings are about to be read. */
void rg_gateway_note_files(struct rg_gateway *g, const struct rg_settings *s);
void rg_gateway_tick_tls(struct rg_gateway *g);
/* Whether the kernel could seal and open records (its module tls); the gateway does it itself. */
bool rg_gateway_kernel_has_tls(void);

/* ---- gateway_answers.c: what the admin endpoint says ---- */

void rg_gateway_answer(struct rg_admin *admin, const struct rg_http_request *req, struct rg_admin_answer *ret);

#endif
