/*
 * A worker is a thread with its own io_uring and its share of the connections; nothing is shared while it measures.
 * One turn of its loop: send what is due, enter the kernel once (submit, wait), take the completions.
 *
 * Bytes are received into blocks that all connections share, looked at and given back at once, so a connection owns no
 * buffer; the request is sent from one place. That is why a connection may be given up while the kernel still works on
 * it: a late completion is known by its generation, and no memory waits for it. With TLS the place to send from is that
 * of the connection's slot (tls.h), which lasts as long.
 */
#ifndef RG_LOAD_WORKER_H
#define RG_LOAD_WORKER_H

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bench/load/client.h"
#include "bench/load/options.h"
#include "bench/load/pace.h"
#include "bench/load/request.h"
#include "bench/load/schedule.h"
#include "bench/load/tally.h"
#include "bench/load/tls.h"
#include "bench/load/wire.h"

enum {
    RG_BLOCK_SIZE = 8 * 1024,
    RG_DISCARD_SIZE = 1 << 20,
    RG_BLOCK_GROUP = 0,
    RG_CONNECTS = 256, /* at a time, of all workers: what a listener's queue takes */
};

enum rg_phase {
    RG_PHASE_OPENING, /* every connection is tried once, none sends */
    RG_PHASE_WARMUP,
    RG_PHASE_MEASURE,
    RG_PHASE_FINISH, /* answers that are on their way may arrive, uncounted */
};

/* What the workers have in common. Everything but the counter and the barrier is constant once they begin. */
struct rg_run {
    const struct rg_load_options *options;
    struct rg_request request;
    struct rg_request upgrade; /* before it, with --websocket */
    pthread_barrier_t barrier; /* workers and main: all connections tried; begin is set */
    atomic_uint connected;
    uint64_t begin; /* of the warm-up; 0: do not begin */
};

/* A queue of connections; each is in it at most once. */
struct rg_queue {
    uint32_t *items;
    uint32_t size, first, count;
};

struct rg_worker {
    struct rg_run *run;
    struct io_uring ring;
    struct io_uring_buf_ring *blocks;
    char *block_memory, *discard;
    struct rg_tls_context tls; /* these only with TLS */
    struct rg_tls *tls_slots;  /* one for each connection */
    char *tls_out, *plain;     /* their memory to send from; where records are decrypted to */
    unsigned n_blocks, blocks_used;
    uint64_t now;
    enum rg_phase phase;
    struct rg_client *clients;
    struct rg_schedule schedule;
    struct rg_credit credit;
    struct rg_queue to_open; /* connections that wait for their turn to connect */
    struct rg_queue light;   /* connections that wait for a credit */
    uint32_t n_clients;
    uint32_t connecting, connecting_max;
    uint32_t untried;  /* connections that have not been tried yet */
    uint32_t requests; /* begun and not answered */
    uint64_t next_sweep;
    struct rg_tally tally;
    unsigned index;
    pthread_t thread;
    int error; /* negative errno: the worker could not begin */
};

int rg_worker_start(struct rg_worker *w, struct rg_run *run, unsigned index); /* negative errno */

/* ---- for client.c ---- */

static inline bool rg_worker_is_running(const struct rg_worker *w)
{
    return w->phase == RG_PHASE_WARMUP || w->phase == RG_PHASE_MEASURE;
}
static inline uint32_t rg_worker_index(const struct rg_worker *w, const struct rg_client *c)
{
    return (uint32_t)(c - w->clients);
}
struct io_uring_sqe *rg_worker_sqe(struct rg_worker *w); /* never NULL: a full queue is submitted */
void rg_queue_push(struct rg_queue *q, uint32_t item);
bool rg_queue_pop(struct rg_queue *q, uint32_t *ret);

#endif
