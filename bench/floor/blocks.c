/*
 * The blocks of a worker: small ones for requests and short answers, large ones for connections that have filled a
 * small one. All connections share them, so an idle one holds no memory. A block is the kernel's, or waits in a queue
 * to be sent. Thread: the worker's.
 */
#include "bench/floor/relay.h"

#include <errno.h>
#include <sys/mman.h>

static struct blocks *blocks_of(struct rg_floor_worker *w, uint16_t id)
{
    return id < SMALL_BLOCKS ? &w->small : &w->large;
}

char *rg_block_at(const struct rg_floor_worker *w, uint16_t id)
{
    const struct blocks *b = id < SMALL_BLOCKS ? &w->small : &w->large;
    return b->memory + (size_t)(id - b->first_id) * b->bytes;
}

void rg_block_put(struct rg_floor_worker *w, uint16_t id)
{
    struct blocks *b = blocks_of(w, id);
    io_uring_buf_ring_add(b->ring, rg_block_at(w, id), b->bytes, id, io_uring_buf_ring_mask(b->count), b->given++);
}

/* ---- What waits to be sent ---- */

void rg_queue_add(struct rg_floor_worker *w, struct side *to, uint16_t id, uint32_t len)
{
    w->block[id].len = len;
    w->block[id].next = NONE;
    if (to->n_queued++ == 0)
        to->first = id;
    else
        w->block[to->last_block].next = id;
    to->last_block = id;
}

static void dequeue(struct rg_floor_worker *w, struct side *s)
{
    uint16_t id = s->first;
    s->first = w->block[id].next;
    s->n_queued--;
    s->sent = 0;
    rg_block_put(w, id);
}

void rg_queue_sent(struct rg_floor_worker *w, struct side *s, uint32_t n)
{
    while (n > 0) {
        uint32_t left = w->block[s->first].len - s->sent;
        if (n < left) {
            s->sent += n;
            return;
        }
        n -= left;
        dequeue(w, s);
    }
}

void rg_queue_drop(struct rg_floor_worker *w, struct side *s)
{
    while (s->n_queued > 0)
        dequeue(w, s);
}

/* ---- Who waits for a block ---- */

static struct blocks *wanted_by(struct rg_floor_worker *w, const struct side *s)
{
    return s->large ? &w->large : &w->small;
}

void rg_starved_add(struct rg_floor_worker *w, struct side *s)
{
    TAILQ_INSERT_TAIL(&wanted_by(w, s)->starved, s, starved_link);
    s->starved = true;
}

void rg_starved_remove(struct rg_floor_worker *w, struct side *s)
{
    if (s->starved)
        TAILQ_REMOVE(&wanted_by(w, s)->starved, s, starved_link);
    s->starved = false;
}

/* As many receives as there are blocks, so that the rest waits instead of failing again. */
void rg_blocks_give(struct rg_floor_worker *w, struct blocks *b)
{
    while (b->given > 0) {
        int n = b->given;
        struct side *s;
        io_uring_buf_ring_advance(b->ring, n);
        b->given = 0;
        while (n-- > 0 && (s = TAILQ_FIRST(&b->starved))) {
            rg_starved_remove(w, s);
            rg_relay_step(w, s);
        }
    }
}

/* ---- Create and destroy ---- */

static int blocks_init(struct rg_floor_worker *w, struct blocks *b)
{
    int err = 0;
    TAILQ_INIT(&b->starved);
    b->memory = mmap(NULL, (size_t)b->count * b->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->memory == MAP_FAILED) {
        b->memory = NULL;
        return -errno;
    }
    b->ring = io_uring_setup_buf_ring(&w->ring, b->count, b->group, 0, &err);
    if (!b->ring)
        return err;
    for (uint32_t i = 0; i < b->count; i++)
        rg_block_put(w, (uint16_t)(b->first_id + i));
    io_uring_buf_ring_advance(b->ring, b->given);
    b->given = 0;
    return 0;
}

static void blocks_fini(struct rg_floor_worker *w, struct blocks *b)
{
    if (b->ring)
        io_uring_free_buf_ring(&w->ring, b->ring, b->count, b->group);
    if (b->memory)
        munmap(b->memory, (size_t)b->count * b->bytes);
}

int rg_blocks_init(struct rg_floor_worker *w)
{
    w->small = (struct blocks){.count = SMALL_BLOCKS, .bytes = SMALL_BYTES, .group = 0, .first_id = 0};
    w->large = (struct blocks){.count = LARGE_BLOCKS, .bytes = LARGE_BYTES, .group = 1, .first_id = SMALL_BLOCKS};
    int err = blocks_init(w, &w->small);
    if (err == 0)
        err = blocks_init(w, &w->large);
    if (err < 0)
        rg_blocks_fini(w);
    return err;
}

void rg_blocks_fini(struct rg_floor_worker *w)
{
    blocks_fini(w, &w->small);
    blocks_fini(w, &w->large);
}
