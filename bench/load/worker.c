/* The loop of a worker, from its ring's setup to the last answer. Thread: its own. */
#include "bench/load/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

enum {
    SQ_ENTRIES = 512,
    BLOCKS_MIN = 64,
    BLOCKS_MAX = 2048,
    STARTS = 32, /* due requests between two looks at the clock */
    FINISH_MS = 1000,
};

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

static uint64_t clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- queues ---- */

static int queue_init(struct rg_queue *q, uint32_t size)
{
    *q = (struct rg_queue){.items = calloc(size, sizeof *q->items), .size = size};
    return q->items ? 0 : -ENOMEM;
}

void rg_queue_push(struct rg_queue *q, uint32_t item)
{
    uint32_t at = q->first + q->count++;
    q->items[at < q->size ? at : at - q->size] = item;
}

bool rg_queue_pop(struct rg_queue *q, uint32_t *ret)
{
    if (!q->count)
        return false;
    *ret = q->items[q->first];
    q->first = q->first + 1 < q->size ? q->first + 1 : 0;
    q->count--;
    return true;
}

/* ---- the ring ---- */

static unsigned power_of_two(unsigned at_least, unsigned min, unsigned max)
{
    unsigned n = min;
    while (n < at_least && n < max)
        n *= 2;
    return n;
}

static void give_block(struct rg_worker *w, unsigned id)
{
    io_uring_buf_ring_add(w->blocks, w->block_memory + (size_t)id * RG_BLOCK_SIZE, RG_BLOCK_SIZE, (unsigned short)id,
                          io_uring_buf_ring_mask(w->n_blocks), (int)w->blocks_used);
    w->blocks_used++;
}

static void advance_blocks(struct rg_worker *w)
{
    if (w->blocks_used)
        io_uring_buf_ring_advance(w->blocks, (int)w->blocks_used);
    w->blocks_used = 0;
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Few blocks stay in the cache; one for each connection avoids running out when all answers come at once. */
static int blocks_init(struct rg_worker *w)
{
    int err = 0;
    w->n_blocks = power_of_two(w->n_clients, BLOCKS_MIN, BLOCKS_MAX);
    w->block_memory = map((size_t)w->n_blocks * RG_BLOCK_SIZE);
    w->discard = map(RG_DISCARD_SIZE);
    if (!w->block_memory || !w->discard)
        return -ENOMEM;
    w->blocks = io_uring_setup_buf_ring(&w->ring, w->n_blocks, RG_BLOCK_GROUP, 0, &err);
    if (!w->blocks)
        return err;
    for (unsigned i = 0; i < w->n_blocks; i++)
        give_block(w, i);
    advance_blocks(w);
    return 0;
}

static int ring_init(struct rg_worker *w)
{
    struct io_uring_params p = {
        .flags =
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = power_of_two(w->n_clients * 2, 4096, 65536),
    };
    int rc = io_uring_queue_init_params(SQ_ENTRIES, &w->ring, &p);
    if (rc < 0) {
        w->ring.ring_fd = -1;
        return rc;
    }
    io_uring_register_ring_fd(&w->ring);
    return blocks_init(w);
}

struct io_uring_sqe *rg_worker_sqe(struct rg_worker *w)
{
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&w->ring))) {
        int rc = io_uring_submit(&w->ring);
        w->tally.enters++;
        if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
            abort(); /* the ring itself is broken */
    }
    return sqe;
}

/* ---- completions ---- */

static void dispatch(struct rg_worker *w, const struct io_uring_cqe *cqe)
{
    uint64_t data = io_uring_cqe_get_data64(cqe);
    struct rg_completion done = {
        .operation = (enum rg_operation)(data & 0xff),
        .result = cqe->res,
        .more = cqe->flags & IORING_CQE_F_MORE,
    };
    unsigned block = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    bool has_block = cqe->flags & IORING_CQE_F_BUFFER;
    if (has_block)
        done.data = w->block_memory + (size_t)block * RG_BLOCK_SIZE;
    struct rg_client *c = &w->clients[data >> 32];
    if (done.operation != RG_OPERATION_NONE && c->generation == (data >> 8 & 0xffffff))
        rg_client_complete(w, c, &done);
    if (has_block)
        give_block(w, block);
}

/* Only those that were there at the beginning: what handling them brings about is later than w->now. */
static void reap(struct rg_worker *w)
{
    unsigned n = io_uring_cq_ready(&w->ring), head, seen = 0;
    struct io_uring_cqe *cqe;
    if (n == 0)
        return;
    io_uring_for_each_cqe(&w->ring, head, cqe)
    {
        dispatch(w, cqe);
        if (++seen == n)
            break;
    }
    io_uring_cq_advance(&w->ring, seen);
    advance_blocks(w);
}

/* ---- time ---- */

static void run_due(struct rg_worker *w)
{
    unsigned started = 0;
    if (!w->schedule.count)
        return;
    w->now = clock_now();
    while (rg_schedule_next(&w->schedule) <= w->now) {
        struct rg_client *c = &w->clients[w->schedule.heap[0].who];
        rg_schedule_pop(&w->schedule);
        rg_client_due(w, c);
        if (++started % STARTS)
            continue;
        /* Many at a time: those in front need not wait until the last is prepared. */
        io_uring_submit(&w->ring);
        w->tally.enters++;
        w->now = clock_now();
    }
}

static void sweep(struct rg_worker *w)
{
    uint64_t every = w->run->options->timeout_ns / 20;
    if (w->now < w->next_sweep)
        return;
    every = every < NS_PER_MS ? NS_PER_MS : every > 100 * NS_PER_MS ? 100 * NS_PER_MS : every;
    w->next_sweep = w->now + every;
    for (uint32_t i = 0; i < w->n_clients; i++)
        rg_client_check(w, &w->clients[i]);
}

static void enter(struct rg_worker *w, uint64_t until)
{
    uint64_t next = rg_schedule_next(&w->schedule);
    next = next < until ? next : until;
    next = next < w->next_sweep ? next : w->next_sweep;
    struct io_uring_cqe *cqe;
    struct __kernel_timespec ts = {0};
    if (next > w->now) {
        ts.tv_sec = (long long)((next - w->now) / NS_PER_S);
        ts.tv_nsec = (long long)((next - w->now) % NS_PER_S);
    }
    int rc = next > w->now ? io_uring_submit_and_wait_timeout(&w->ring, &cqe, 1, &ts, NULL)
                           : io_uring_submit_and_get_events(&w->ring);
    w->tally.enters++;
    if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
        abort();
}

/* One turn. until: when the phase ends, so that the thread does not sleep longer. */
static void turn(struct rg_worker *w, uint64_t until)
{
    run_due(w);
    if (w->to_open.count)
        rg_client_connect_next(w);
    enter(w, until);
    w->now = clock_now();
    reap(w);
    sweep(w);
}

/* ---- phases ---- */

/*
 * Every connection is tried. When the first ones have all failed, nobody listens, and the rest need not be tried: each
 * could take the whole time-out.
 */
static void open_all(struct rg_worker *w)
{
    uint32_t hopeless = w->n_clients < w->connecting_max ? w->n_clients : w->connecting_max;
    w->phase = RG_PHASE_OPENING;
    w->now = clock_now();
    for (uint32_t i = 0; i < w->n_clients; i++)
        rg_client_open(w, &w->clients[i]);
    while (w->untried && (w->tally.errors[RG_ERROR_CONNECT] < hopeless ||
                          atomic_load_explicit(&w->run->connected, memory_order_relaxed)))
        turn(w, UINT64_MAX);
}

static void read_cpu(uint64_t *ret_user, uint64_t *ret_system)
{
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    *ret_user = (uint64_t)u.ru_utime.tv_sec * NS_PER_S + (uint64_t)u.ru_utime.tv_usec * 1000;
    *ret_system = (uint64_t)u.ru_stime.tv_sec * NS_PER_S + (uint64_t)u.ru_stime.tv_usec * 1000;
}

static void count_unsent(struct rg_worker *w)
{
    for (uint32_t i = 0; i < w->n_clients; i++) {
        const struct rg_client *c = &w->clients[i];
        bool busy = c->asked || c->fd < 0;
        if (c->interval && busy && c->due < w->now)
            w->tally.unsent += (w->now - c->due) / c->interval + 1;
    }
}

/* In a closed loop a request is due when it begins: the backlog is what is on its way. */
static uint64_t backlog(const struct rg_worker *w)
{
    uint64_t n = w->requests;
    for (uint32_t i = 0; i < w->n_clients; i++) {
        const struct rg_client *c = &w->clients[i];
        if (c->interval && c->due <= w->now)
            n += (w->now - c->due) / c->interval + 1;
    }
    return n;
}

static void measure(struct rg_worker *w)
{
    uint64_t user, system, end;
    rg_tally_restart(&w->tally);
    w->phase = RG_PHASE_MEASURE;
    read_cpu(&user, &system);
    w->tally.backlog_begin = backlog(w);
    w->tally.begin = w->now;
    end = w->now + w->run->options->duration_ns;
    while (w->now < end)
        turn(w, end);
    read_cpu(&w->tally.cpu_user, &w->tally.cpu_system);
    w->tally.cpu_user -= user;
    w->tally.cpu_system -= system;
    w->tally.end = w->now;
    w->tally.backlog_end = backlog(w);
    w->tally.unfinished = w->requests;
    count_unsent(w);
}

/* Answers that are on their way are awaited, so that the server under test sees no client break off. */
static void let_finish(struct rg_worker *w)
{
    uint64_t bytes_in = w->tally.bytes_in, bytes_out = w->tally.bytes_out, enters = w->tally.enters;
    uint64_t end = w->now + FINISH_MS * NS_PER_MS;
    w->phase = RG_PHASE_FINISH;
    while (w->requests && w->now < end)
        turn(w, end);
    w->tally.bytes_in = bytes_in;
    w->tally.bytes_out = bytes_out;
    w->tally.enters = enters;
}

static void load(struct rg_worker *w)
{
    uint64_t end = w->run->begin + w->run->options->warmup_ns;
    w->now = clock_now();
    w->phase = RG_PHASE_WARMUP;
    for (uint32_t i = 0; i < w->n_clients; i++)
        rg_client_begin(w, &w->clients[i]);
    while (w->now < end)
        turn(w, end);
    measure(w);
    let_finish(w);
}

/* ---- begin and end ---- */

/* This worker's part of n connections, which are dealt out in turn. */
static uint32_t dealt(const struct rg_worker *w, unsigned n)
{
    return (n + w->run->options->threads - 1 - w->index) / w->run->options->threads;
}

static int clients_init(struct rg_worker *w)
{
    const struct rg_load_options *o = w->run->options;
    struct rg_choice heavy;
    w->n_clients = dealt(w, o->connections);
    w->untried = w->n_clients;
    w->clients = calloc(w->n_clients, sizeof *w->clients);
    if (!w->clients || queue_init(&w->to_open, w->n_clients) < 0 || queue_init(&w->light, w->n_clients) < 0 ||
        rg_schedule_init(&w->schedule, w->n_clients) < 0)
        return -ENOMEM;
    rg_credit_init(&w->credit, o->skew_share);
    w->connecting_max = RG_CONNECTS / o->threads;
    rg_choice_init(&heavy, o->seed, w->index, dealt(w, o->active), dealt(w, o->skew_connections));
    for (uint32_t i = 0; i < w->n_clients; i++) {
        unsigned number = w->index + i * o->threads;
        rg_client_init(w, &w->clients[i], number, number < o->active && rg_choice_next(&heavy));
    }
    return 0;
}

/* Memory to send from is touched as it is used: a page for each connection, as long as requests are small. */
static int tls_init(struct rg_worker *w)
{
    int rc = w->run->options->tls ? rg_tls_context_init(&w->tls, w->run->options) : 0;
    if (rc < 0 || !w->run->options->tls)
        return rc;
    w->tls_slots = calloc(w->n_clients, sizeof *w->tls_slots);
    w->tls_out = map((size_t)w->n_clients * RG_TLS_OUT);
    w->plain = malloc(RG_TLS_RECORD);
    if (!w->tls_slots || !w->tls_out || !w->plain)
        return -ENOMEM;
    for (uint32_t i = 0; i < w->n_clients; i++) {
        w->tls_slots[i].out = w->tls_out + (size_t)i * RG_TLS_OUT;
        w->clients[i].tls = &w->tls_slots[i];
    }
    return 0;
}

static void tls_fini(struct rg_worker *w)
{
    for (uint32_t i = 0; w->tls_slots && i < w->n_clients; i++)
        rg_tls_fini(&w->tls_slots[i]);
    if (w->tls_out)
        munmap(w->tls_out, (size_t)w->n_clients * RG_TLS_OUT);
    free(w->tls_slots);
    free(w->plain);
    rg_tls_context_fini(&w->tls);
}

static void worker_fini(struct rg_worker *w)
{
    if (w->ring.ring_fd >= 0)
        io_uring_queue_exit(&w->ring);
    for (uint32_t i = 0; w->clients && i < w->n_clients; i++)
        if (w->clients[i].fd >= 0)
            close(w->clients[i].fd);
    if (w->block_memory)
        munmap(w->block_memory, (size_t)w->n_blocks * RG_BLOCK_SIZE);
    if (w->discard)
        munmap(w->discard, RG_DISCARD_SIZE);
    tls_fini(w);
    rg_schedule_fini(&w->schedule);
    free(w->to_open.items);
    free(w->light.items);
    free(w->clients);
    w->clients = NULL;
}

static void *thread_main(void *arg)
{
    struct rg_worker *w = arg;
    prctl(PR_SET_TIMERSLACK, 1UL); /* due requests start on time, not within the default 50 us */
    w->ring.ring_fd = -1;
    w->error = clients_init(w);
    if (w->error == 0)
        w->error = tls_init(w);
    if (w->error == 0)
        w->error = ring_init(w);
    if (w->error == 0)
        open_all(w);
    pthread_barrier_wait(&w->run->barrier);
    pthread_barrier_wait(&w->run->barrier);
    if (w->run->begin && w->error == 0)
        load(w);
    worker_fini(w);
    return NULL;
}

int rg_worker_start(struct rg_worker *w, struct rg_run *run, unsigned index)
{
    w->run = run;
    w->index = index;
    return -pthread_create(&w->thread, NULL, thread_main, w);
}
