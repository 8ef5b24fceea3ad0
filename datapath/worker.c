/*
 * See worker.h. One turn of the loop: sleep in the kernel (the only io_uring_enter), take the completions, run the
 * timers, read the mail, give fresh buffers, send what the turn has produced.
 */
#include "datapath/worker.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "datapath/conn.h"
#include "datapath/conn_tls.h"
#include "datapath/core.h"
#include "datapath/exchange.h"
#include "datapath/h2/h2.h"
#include "datapath/h2/h2c.h"
#include "datapath/http/h1_write.h"
#include "datapath/upstream_endpoint.h"
#include "datapath/worker_parts.h"

#define POOL_CHUNK (256u * 1024)
#define POOL_MAX   (1ull << 32) /* connections and exchanges are bounded by descriptors, not here */

/* ---- time ---- */

static void read_clock(struct rg_worker *w)
{
    uint64_t ns = rg_sys_now_ns();
    w->now_us = ns / 1000;
    w->now_ms = ns / 1000000;
    /* From here to the next sleep the worker is busy; the steering program looks at for how long. */
    __atomic_store_n(&w->steer->busy_since, ns, __ATOMIC_RELAXED);
}

struct rg_str rg_worker_date(struct rg_worker *w)
{
    int64_t second = (int64_t)((w->now_us + w->unix_us_offset) / 1000000);
    if (second != w->date_second) {
        rg_http_date(w->date, second);
        w->date_second = second;
    }
    return (struct rg_str){w->date, RG_DATE_LEN};
}

/* ---- the turn ---- */

static void tick(struct rg_worker *w)
{
    rg_upstream_tick_all(w);
    rg_ring_tick(w->ring);
    rg_bufs_trim(&w->bufs);
    rg_pool_trim(&w->conns);
    rg_pool_trim(&w->exchanges);
    rg_pool_trim(&w->upstream_conns);
    rg_pool_trim(&w->endpoint_upstreams);
    rg_pool_trim(&w->tls.sessions);
    rg_pool_trim(&w->tls.records);
    rg_h2_tick(w);
    rg_metric_set(w->metrics, RG_M_BUFFER_BYTES, rg_bufs_bytes(&w->bufs));
    w->unix_us_offset = rg_sys_unix_us() - w->now_us; /* the wall clock may have been set */
    rg_timer_start(&w->wheel, &w->tick, w->now_ms + RG_WORKER_TICK_MS);
}

static void timer_fired(struct rg_timer *timer, void *arg)
{
    struct rg_worker *w = arg;
    if (timer == &w->tick) {
        tick(w);
        return;
    }
    for (unsigned i = 0; i < w->n_listeners; i++) {
        if (timer == &w->listeners[i].timer) {
            rg_listener_timer(w, &w->listeners[i]);
            return;
        }
    }
    rg_conn_timer(w, RG_CONTAINER(timer, struct rg_conn, timer));
}

static void dispatch(struct rg_worker *w, const struct rg_completion *c)
{
    switch (c->kind) {
    case RG_SLOT_CLIENT:
        rg_conn_complete(w, c->owner, c);
        break;
    case RG_SLOT_UPSTREAM:
        rg_upstream_complete(w, c->owner, c);
        break;
    case RG_SLOT_LISTENER:
        rg_listener_complete(w, c->owner, c);
        break;
    case RG_SLOT_MAILBOX:
        rg_ring_read_event(w->ring, w->mail_slot, w->mail_fd, &w->mail_value);
        break;
    default:
        RG_ASSERT(c->kind != RG_SLOT_FREE); /* ring.c drops what has no owner */
        break;
    }
}

/* A connection that works weighs more than one that waits: a long stream is one for hours. */
static void publish_requests(struct rg_worker *w)
{
    __atomic_store_n(&w->steer->requests, rg_metric_get(w->metrics, RG_M_EXCHANGES_OPEN), __ATOMIC_RELAXED);
}

static void turn(struct rg_worker *w)
{
    struct rg_completion c;
    /* Nothing may happen to those that were armed from the line, and the next ones in it could be served. */
    bool goes_on = rg_socket_line_moves(w) || !rg_list_empty(&w->tls.waiting);
    uint64_t wait_ms = goes_on ? 0 : rg_wheel_next(&w->wheel, w->now_ms);
    __atomic_store_n(&w->steer->busy_since, 0, __ATOMIC_RELAXED);
    rg_ring_enter(w->ring, wait_ms);
    read_clock(w);
    rg_conn_tls_turn(w);
    while (rg_ring_next(w->ring, &c))
        dispatch(w, &c);
    rg_wheel_run(&w->wheel, w->now_ms, timer_fired, w);
    if (__atomic_load_n(&w->mail, __ATOMIC_RELAXED))
        rg_worker_read_mail(w);
    rg_ring_provide(w->ring, w->n_starved);
    do { /* what was sent lets the other side send on */
        rg_h2_flush_all(w);
        rg_h2c_flush_all(w);
    } while (RG_UNLIKELY(!rg_list_empty(&w->h2.dirty)));
    rg_socket_flush_all(w);
    publish_requests(w);
    if (RG_UNLIKELY(w->n_starved > 0 && rg_ring_at_limit(w->ring))) {
        rg_metric_add(w->metrics, RG_M_BUFFERS_AT_LIMIT, 1);
        rg_conn_shed_heads(w);
    }
}

static bool listeners_closed(const struct rg_worker *w)
{
    for (unsigned i = 0; i < w->n_listeners; i++)
        if (w->listeners[i].state != RG_LISTENER_CLOSED)
            return false;
    return true;
}

static void run_until_drained(struct rg_worker *w)
{
    while (!w->draining || w->n_clients > 0 || !listeners_closed(w))
        turn(w);
    /* Nobody is left to serve: what is kept to the replica goes, and the wait for its completions ends the loop. */
    w->stopping = true;
    rg_upstream_close_all_idle(w);
    while (rg_upstream_any_open(w))
        turn(w);
    rg_upstream_free_all(w);
}

/* ---- life ---- */

struct start {
    struct rg_worker *w;
    const struct rg_worker_init *init;
    sem_t done;
    int err;
};

/* In the thread itself: the ring belongs to the thread that made it. */
static int set_up(struct rg_worker *w, const int *fds)
{
    int err = rg_ring_create(&w->ring, &w->bufs, w->metrics);
    if (err < 0)
        return err;
    w->mail_slot = rg_ring_slot_get(w->ring, RG_SLOT_MAILBOX, w);
    rg_ring_read_event(w->ring, w->mail_slot, w->mail_fd, &w->mail_value);
    read_clock(w);
    rg_wheel_init(&w->wheel, w->now_ms);
    tick(w);
    for (unsigned i = 0; i < w->n_listeners; i++)
        rg_listener_init(w, &w->listeners[i], fds[i], i);
    return 0;
}

static void name_thread(const struct rg_worker *w)
{
    char name[16];
    snprintf(name, sizeof name, "rg-worker-%u", w->id);
    pthread_setname_np(pthread_self(), name);
}

/* To one of the CPUs that the process may use: steering deals them out to the workers in the same order. */
static void pin_thread(const struct rg_worker *w)
{
    cpu_set_t usable, one;
    if (pthread_getaffinity_np(pthread_self(), sizeof usable, &usable) != 0)
        return;
    int nth = (int)w->id % CPU_COUNT(&usable);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &usable) || nth-- > 0)
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void *thread_main(void *arg)
{
    struct start *start = arg;
    struct rg_worker *w = start->w;
    int err = set_up(w, start->init->listen_fds);
    bool pin = w->settings->pin_workers;
    start->err = err;
    sem_post(&start->done); /* start is gone after this */
    if (err < 0)
        return NULL;
    name_thread(w);
    if (pin)
        pin_thread(w);
    run_until_drained(w);
    rg_ring_destroy(w->ring);
    w->ring = NULL;
    __atomic_store_n(&w->steer->busy_since, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&w->ended, true, __ATOMIC_RELEASE);
    return NULL;
}

/* Zeroed, in cache lines of its own. */
static void *alloc_lines(size_t size)
{
    size_t whole = (size + 63) & ~(size_t)63;
    void *p = aligned_alloc(64, whole);
    return p ? memset(p, 0, whole) : NULL;
}

static void init_empty(struct rg_worker *w, const struct rg_settings *settings)
{
    rg_list_init(&w->dirty);
    rg_list_init(&w->starved);
    rg_list_init(&w->clients);
    rg_list_init(&w->idle);
    rg_list_init(&w->heads);
    rg_list_init(&w->lingering);
    rg_timer_init(&w->tick);
    rg_list_init(&w->upstreams);
    rg_list_init(&w->upstreams_in_need);
    rg_bufs_init(&w->bufs, settings->buffer_bytes);
    rg_pool_init(&w->conns, sizeof(struct rg_conn), POOL_CHUNK, POOL_MAX);
    rg_pool_init(&w->exchanges, sizeof(struct rg_exchange), POOL_CHUNK, POOL_MAX);
    rg_pool_init(&w->upstream_conns, sizeof(struct rg_upstream_conn), POOL_CHUNK, POOL_MAX);
    rg_pool_init(&w->endpoint_upstreams, sizeof(struct rg_upstream), POOL_CHUNK, POOL_MAX);
    rg_tls_env_init(&w->tls, &w->bufs, w->metrics, w->id);
    rg_rand_seed(&w->rand);
    w->date_second = -1;
}

int rg_worker_create(struct rg_worker **ret, const struct rg_worker_init *init)
{
    int err = -ENOMEM;
    struct rg_worker *w = alloc_lines(sizeof *w);
    if (!w)
        return err;
    w->metrics = alloc_lines(sizeof *w->metrics);
    if (!w->metrics)
        goto no_metrics;
    if (!rg_h2_shared_init(&w->h2))
        goto no_h2;
    w->mail_fd = eventfd(0, EFD_CLOEXEC);
    if (w->mail_fd < 0) {
        err = -errno;
        goto no_h2;
    }
    w->id = init->id;
    w->replica = init->replica;
    w->steer = init->steer;
    w->access = init->access;
    w->n_listeners = init->n_listen_fds;
    init_empty(w, init->settings);
    rg_upstream_init_replica(w, init->settings);
    for (unsigned i = 0; i < w->n_listeners; i++)
        w->listeners[i] = (struct rg_listener){.fd = init->listen_fds[i], .borrowed = init->borrowed_fds >> i & 1};
    rg_worker_apply_settings(w, init->settings);
    rg_worker_use_routes(w, init->routes);
    w->switched_fd = init->switched_fd;
    *ret = w;
    return 0;

no_h2:
    rg_h2_shared_fini(&w->h2); /* takes what was half made */
    free(w->metrics);
no_metrics:
    free(w);
    return err;
}

int rg_worker_start(struct rg_worker *w)
{
    struct rg_worker_init init = {.id = w->id};
    for (unsigned i = 0; i < w->n_listeners; i++)
        init.listen_fds[i] = w->listeners[i].fd;
    struct start start = {.w = w, .init = &init};
    sem_init(&start.done, 0, 0);
    /* Signals are the control thread's. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&w->thread, NULL, thread_main, &start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0)
        return -err;
    w->thread_runs = true;
    while (sem_wait(&start.done) != 0)
        ;
    sem_destroy(&start.done);
    return start.err;
}

void rg_worker_destroy(struct rg_worker *w)
{
    if (!w)
        return;
    if (w->thread_runs)
        pthread_join(w->thread, NULL);
    RG_ASSERT(w->pipes.n_used == 0);
    rg_pipes_close_kept(w);
    rg_pool_fini(&w->conns);
    rg_pool_fini(&w->exchanges);
    rg_pool_fini(&w->upstream_conns);
    rg_pool_fini(&w->endpoint_upstreams);
    rg_tls_env_fini(&w->tls);
    rg_h2_shared_fini(&w->h2);
    rg_bufs_fini(&w->bufs);
    close(w->mail_fd);
    free(w->metrics);
    free(w);
}

bool rg_worker_has_ended(const struct rg_worker *w)
{
    return __atomic_load_n(&w->ended, __ATOMIC_ACQUIRE);
}

void rg_worker_abandon_listeners(struct rg_worker *w)
{
    /* The worker does not move, so the descriptors stay what they are; it listens again when it moves (listener.c).
     * A socket without a group has one queue for all workers: it must stay. */
    for (unsigned i = 0; i < w->n_listeners; i++)
        if (rg_sys_shares_port(w->listeners[i].fd))
            shutdown(w->listeners[i].fd, SHUT_RD);
}

const struct rg_metrics *rg_worker_metrics(const struct rg_worker *w)
{
    return w->metrics;
}

const struct rg_steer_worker *rg_worker_steer(const struct rg_worker *w)
{
    return w->steer;
}
