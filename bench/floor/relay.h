/*
 * Inside a worker of ringgate-floor: its state, and the operations that it submits (submit.c) for the pairs that
 * relay.c decides about. Thread: the worker's.
 */
#ifndef RG_BENCH_FLOOR_RELAY_H
#define RG_BENCH_FLOOR_RELAY_H

#include "bench/floor/floor.h"

#include <sys/queue.h>

#include <liburing.h>

#define SUBMISSIONS 1024u
#define COMPLETIONS 8192u
#define BATCH       256u
#define BLOCKS      512u /* of all pairs together: what the kernel may receive into */
#define BLOCK_BYTES 8192u
#define BLOCK_GROUP 0
#define QUEUED_MAX  8u /* blocks that wait for one side: beyond it the other side is not received from */
#define PAIRS_MAX   32768u
#define NONE        UINT16_MAX

enum op { OP_ACCEPT, OP_WAKE, OP_PAUSE, OP_CLOSE, OP_CONNECT, OP_RECV, OP_SEND, OP_SHUTDOWN, OP_CANCEL };

/* One end of a pair, with what waits to be sent to it. */
struct side {
    int fd;
    bool receiving, cancelled; /* a multishot receive is armed; it was asked to end */
    bool sending, eof, shut;   /* shut: we have ended our direction */
    bool starved;              /* waits for a block to receive into */
    uint16_t first, last, n_queued;
    uint32_t sent; /* bytes of the first block */
    TAILQ_ENTRY(side) link;
    struct msghdr message;
    struct iovec iov[QUEUED_MAX];
};

struct pair {
    struct side sides[2]; /* the client, the replica */
    uint32_t index;
    uint32_t in_flight; /* operations that will complete yet */
    uint32_t next_free;
    bool connected, ending, cancelled;
};

struct rg_floor_worker {
    struct io_uring ring;
    struct io_uring_buf_ring *blocks;
    char *memory; /* of the blocks */
    struct {
        uint32_t len;
        uint16_t next;
    } block[BLOCKS];
    int given; /* blocks put back that the kernel has not been told of */
    TAILQ_HEAD(, side) starved;
    struct pair *pairs;
    uint32_t n_pairs, free_pair;
    int listener, wake;
    const struct rg_floor_address *replica;
    const char *congestion;
    bool stop;
};

/* Operations of the worker. */
void rg_relay_accept(struct rg_floor_worker *w);
void rg_relay_pause(struct rg_floor_worker *w); /* before the next accept */
void rg_relay_wait_for_wake(struct rg_floor_worker *w);
void rg_relay_close(struct rg_floor_worker *w, int fd);

/* Operations of a pair, counted in in_flight until they complete. */
void rg_relay_connect(struct rg_floor_worker *w, struct pair *p);
void rg_relay_receive(struct rg_floor_worker *w, struct pair *p, struct side *s);
void rg_relay_cancel_receive(struct rg_floor_worker *w, struct pair *p, struct side *s); /* not the send */
void rg_relay_cancel_all(struct rg_floor_worker *w, struct pair *p, struct side *s);
void rg_relay_send(struct rg_floor_worker *w, struct pair *p, struct side *s); /* what is queued for this side */
void rg_relay_shut_write(struct rg_floor_worker *w, struct pair *p, struct side *s);

/* Back to the kernel at the end of the turn. */
void rg_relay_put_block(struct rg_floor_worker *w, uint16_t id);

#endif
