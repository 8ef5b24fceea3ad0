/*
 * Inside a worker of ringgate-floor: the loop (worker.c), the lives of connections (relay.c), the operations that are
 * submitted for them (submit.c), and the blocks that bytes are received into (blocks.c). Thread: the worker's.
 */
#ifndef RG_BENCH_FLOOR_RELAY_H
#define RG_BENCH_FLOOR_RELAY_H

#include "bench/floor/floor.h"

#include <sys/queue.h>

#include <liburing.h>

#define SUBMISSIONS  1024u
#define COMPLETIONS  8192u
#define BATCH        256u
#define SMALL_BLOCKS 512u /* of all connections together: what the kernel may receive into */
#define SMALL_BYTES  8192u
#define LARGE_BLOCKS 128u /* for connections that have filled a small one: bodies */
#define LARGE_BYTES  65536u
#define QUEUED_MAX   8u /* blocks that wait for one side: beyond it the other side is not received from */
#define SIDES_MAX    65536u
#define NONE         UINT16_MAX

enum op { OP_ACCEPT, OP_WAKE, OP_PAUSE, OP_CLOSE, OP_CONNECT, OP_RECV, OP_SEND, OP_SHUTDOWN, OP_CANCEL };

/* A connection of a client, or one to the replica, with what waits to be sent to it. */
struct side {
    int fd;
    uint32_t index, next_free;
    uint32_t in_flight; /* operations that will complete yet */
    struct side *peer;  /* NULL, with --response-bytes only: a client between requests, a connection in the pool */
    uint64_t left;      /* of the replica's response, with --response-bytes */
    bool is_client, connected, pooled;
    bool last;                         /* a client that asked for its connection to be closed after this response */
    bool ending, cancelled;            /* it goes, as soon as nothing is in flight; that was asked for */
    bool receiving, receive_cancelled; /* a multishot receive is armed; it was asked to end */
    bool sending, eof, shut;           /* shut: we have ended our direction */
    bool large, receives_large;        /* has filled a small block; the armed receive uses large ones */
    bool starved;                      /* waits for a block to receive into */
    uint16_t first, last_block, n_queued;
    uint32_t sent; /* bytes of the first block */
    TAILQ_ENTRY(side) starved_link, pool_link;
    struct msghdr message;
    struct iovec iov[QUEUED_MAX];
};

TAILQ_HEAD(side_list, side);

/* Blocks of one size: a ring of provided buffers, and who waits for one of them. */
struct blocks {
    struct io_uring_buf_ring *ring;
    char *memory;
    uint32_t count, bytes;
    uint16_t group, first_id;
    int given; /* put back, and the kernel has not been told */
    struct side_list starved;
};

struct rg_floor_worker {
    struct io_uring ring;
    struct blocks small, large;
    struct {
        uint32_t len;
        uint16_t next;
    } block[SMALL_BLOCKS + LARGE_BLOCKS]; /* by id: those that wait to be sent */
    struct side *sides;
    uint32_t n_sides, free_side;
    struct side_list pool; /* connections to the replica that nobody uses: the last one used is the next */
    const struct rg_floor_settings *settings;
    int listener, wake;
    bool stop, told_length;
};

/* ---- blocks.c ---- */

int rg_blocks_init(struct rg_floor_worker *w); /* negative errno */
void rg_blocks_fini(struct rg_floor_worker *w);
char *rg_block_at(const struct rg_floor_worker *w, uint16_t id);
/* Back to the kernel at the end of the turn. */
void rg_block_put(struct rg_floor_worker *w, uint16_t id);
void rg_queue_add(struct rg_floor_worker *w, struct side *to, uint16_t id, uint32_t len);
void rg_queue_sent(struct rg_floor_worker *w, struct side *s, uint32_t n);
void rg_queue_drop(struct rg_floor_worker *w, struct side *s);
void rg_starved_add(struct rg_floor_worker *w, struct side *s);
void rg_starved_remove(struct rg_floor_worker *w, struct side *s);
/* Tells the kernel of the blocks that are back; then as many wait no longer as there are blocks. */
void rg_blocks_give(struct rg_floor_worker *w, struct blocks *b);

/* ---- submit.c: operations of the worker ---- */

void rg_relay_accept(struct rg_floor_worker *w);
void rg_relay_pause(struct rg_floor_worker *w); /* before the next accept */
void rg_relay_wait_for_wake(struct rg_floor_worker *w);
void rg_relay_close(struct rg_floor_worker *w, int fd);

/* Operations of a side, counted in in_flight until they complete. */
void rg_relay_connect(struct rg_floor_worker *w, struct side *s);
void rg_relay_receive(struct rg_floor_worker *w, struct side *s);
void rg_relay_cancel_receive(struct rg_floor_worker *w, struct side *s); /* not the send */
void rg_relay_cancel_all(struct rg_floor_worker *w, struct side *s);
void rg_relay_send(struct rg_floor_worker *w, struct side *s); /* what is queued for this side */
void rg_relay_shut_write(struct rg_floor_worker *w, struct side *s);

/* ---- relay.c ---- */

void rg_relay_accepted(struct rg_floor_worker *w, int fd);
void rg_relay_complete(struct rg_floor_worker *w, const struct io_uring_cqe *c); /* of an operation of a side */
/* What it can do now: send, receive, end. */
void rg_relay_step(struct rg_floor_worker *w, struct side *s);

#endif
