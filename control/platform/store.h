/*
 * The platform's memory: one SQLite database (WAL, synchronous=FULL), its key, and the one thread that uses them.
 *
 * A directory holds `ringgate.db`, `store.key` (AES-256 for what is sealed, 0600) and `admin.token` (0600, written at
 * the first start). One process at a time opens it (`lock`). Migrations run at the start; a newer schema is accepted.
 *
 * Jobs are handed to the thread in order and run in order; those that wait together share one commit. A job's `done`
 * runs on the loop's thread after the commit, in the order of submission. Owner: a job belongs to the store's thread
 * from submit until `done`.
 */
#ifndef RG_PLATFORM_STORE_H
#define RG_PLATFORM_STORE_H

#include "control/platform/effects.h"

enum rg_timeout_mode {
    RG_TIMEOUT_STRICT, /* a deployment without an acknowledgement in time has failed */
    RG_TIMEOUT_LENIENT /* it is taken for done: for fleets whose gateways do not acknowledge yet */
};

struct rg_problems;

/* Checks an artifact as gateways get it, in YAML. 0, -EINVAL (problems say why, with the path of the field) or -ENOMEM.
 * It says the same of the same text, whenever it is asked: what has passed may not be asked again. */
typedef int rg_artifact_check(const char *yaml, size_t len, struct rg_problems *problems, void *arg);

struct rg_store_config {
    const char *dir; /* NULL: in memory, the admin's token is in rg_store_admin_token */
    enum rg_timeout_mode timeout_mode;
    uint64_t timeout_ms;      /* 0: 5 minutes */
    unsigned max_per_gateway; /* deployments kept of one artifact on one gateway; 0: 20 */
    unsigned max_pages;       /* of the database, each 4 KiB; 0: no limit */
    rg_artifact_check *check; /* NULL: the shape alone is checked */
    void *check_arg;
    int64_t (*now_ms)(void *arg);      /* wall clock; NULL: the system's */
    uint64_t (*elapsed_ms)(void *arg); /* a clock that nobody sets; NULL: the system's */
    void *now_arg;                     /* of both */
};

struct rg_store;

/* Negative errno; `error` then names file, value and remedy. */
int rg_store_open(struct rg_store **ret, const struct rg_store_config *config, char *error, size_t size);
void rg_store_close(struct rg_store *store);
const char *rg_store_admin_token(const struct rg_store *store);

/*
 * Marks what was not acknowledged in time. Returns the milliseconds until it has to be called again (UINT64_MAX:
 * nothing waits), or negative errno. In a transaction of its own unless one is open.
 */
int rg_store_sweep(struct rg_store *store, struct rg_effects *effects, uint64_t *ret_next_ms);

/* ---- What the store has counted; any thread ---- */

enum rg_store_counter {
#define RG_STORE_COUNTER(id, family, labels, help) RG_STORE_##id,
#include "control/platform/store_counters.def"
#undef RG_STORE_COUNTER
    RG_STORE_COUNTERS
};
uint64_t rg_store_count(const struct rg_store *store, enum rg_store_counter counter);

/* ---- The thread ---- */

struct rg_store_job {
    /* On the store's thread, in a transaction. Negative errno: what it did is rolled back. May run a second time, after
     * the first was rolled back with a shared transaction: it starts from nothing each time. */
    int (*run)(struct rg_store *store, struct rg_store_job *job);
    void (*done)(struct rg_store_job *job); /* on the loop's thread; the job is the caller's again */
    int result;                             /* of run, or of the commit */
    struct rg_store_job *next;
};

struct rg_store_thread;

/* `store` is the thread's until destroy. */
int rg_store_thread_create(struct rg_store_thread **ret, struct rg_store *store);
/* Runs what was submitted to its end; `done` of it is called from here. */
void rg_store_thread_destroy(struct rg_store_thread *thread);
int rg_store_thread_fd(const struct rg_store_thread *thread); /* readable when jobs are done; belongs to the thread */
/* -EAGAIN: too many wait; the caller answers 503. */
#define RG_STORE_WAITING_MAX 10000 /* jobs; more are refused */
int rg_store_thread_submit(struct rg_store_thread *thread, struct rg_store_job *job);
void rg_store_thread_collect(
    struct rg_store_thread *thread); /* on the loop's thread, when the descriptor is readable */

#endif
