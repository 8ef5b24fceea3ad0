/*
 * The ring: the one door to the kernel's asynchronous I/O. Operations are named after what the datapath does with them;
 * liburing stays behind ring.c, and tests put a simulated ring in its place.
 *
 * Every operation belongs to a slot (an object that waits) and is named by slot, generation and operation in user_data;
 * a completion whose generation is not the slot's is stale and never delivered.
 * Thread: the worker's only (IORING_SETUP_SINGLE_ISSUER). Submitting never allocates and never fails: when the
 * submission queue is full, it is handed to the kernel early.
 */
#ifndef RG_RING_H
#define RG_RING_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "datapath/base/buf.h"

struct rg_ring;
struct rg_metrics;

enum rg_op {
    RG_OP_ACCEPT,
    RG_OP_RECV,
    RG_OP_SEND,
    RG_OP_CONNECT,
    RG_OP_SHUTDOWN,
    RG_OP_CANCEL,
    RG_OP_CLOSE,
    RG_OP_WAKE, /* the mailbox's eventfd */
    RG_OP_POLL_IN,
    RG_OP_POLL_OUT,
    RG_OP_COUNT
};

/* What a slot holds; the dispatcher switches on it. */
enum rg_slot_kind { RG_SLOT_FREE, RG_SLOT_LISTENER, RG_SLOT_CLIENT, RG_SLOT_UPSTREAM, RG_SLOT_MAILBOX };

struct rg_slot {
    uint32_t index;
    uint32_t generation;
};

struct rg_completion {
    void *owner;
    enum rg_slot_kind kind;
    enum rg_op op;
    int32_t res;        /* as the system call returns: bytes or descriptor, or negative errno */
    bool more;          /* a multishot operation goes on */
    struct rg_buf *buf; /* RECV into a provided buffer: the bytes, one reference, the receiver's */
};

/* Negative errno, with the cause logged. */
int rg_ring_create(struct rg_ring **ret, struct rg_bufs *bufs, struct rg_metrics *metrics);
void rg_ring_destroy(struct rg_ring *ring);

/* A slot for owner. The generation is new each time. index UINT32_MAX: no memory. */
struct rg_slot rg_ring_slot_get(struct rg_ring *ring, enum rg_slot_kind kind, void *owner);
void rg_ring_slot_put(struct rg_ring *ring, struct rg_slot slot);

void rg_ring_accept(struct rg_ring *ring, struct rg_slot slot, int fd);     /* multishot */
void rg_ring_recv_multi(struct rg_ring *ring, struct rg_slot slot, int fd); /* multishot, provided buffers */
void rg_ring_recv_once(struct rg_ring *ring, struct rg_slot slot, int fd, bool expect_wait); /* a provided buffer */
void rg_ring_recv_into(struct rg_ring *ring, struct rg_slot slot, int fd, void *to, uint32_t len);
/* last: the end of the connection follows; until then the kernel keeps back what does not fill a segment. */
void rg_ring_send(struct rg_ring *ring, struct rg_slot slot, int fd, const struct iovec *iov, unsigned n, bool last);
void rg_ring_connect(struct rg_ring *ring, struct rg_slot slot, int fd, const struct sockaddr *sa, socklen_t len);
void rg_ring_shutdown(struct rg_ring *ring, struct rg_slot slot, int fd, int how);
/* Once: op is RG_OP_POLL_IN (something can be read, or the end) or RG_OP_POLL_OUT (something can be written). */
void rg_ring_poll(struct rg_ring *ring, struct rg_slot slot, int fd, enum rg_op op);
void rg_ring_cancel(struct rg_ring *ring, struct rg_slot slot, enum rg_op op); /* the slot's operation */
void rg_ring_close(struct rg_ring *ring, struct rg_slot slot, int fd);
void rg_ring_read_event(struct rg_ring *ring, struct rg_slot slot, int fd, uint64_t *to);

/* Submits what is queued and waits for a completion, at most timeout_ms (UINT64_MAX: for ever; 0: not at all). */
void rg_ring_enter(struct rg_ring *ring, uint64_t timeout_ms);
/* The next completion; false: none is left. Stale ones are counted and dropped here. */
bool rg_ring_next(struct rg_ring *ring, struct rg_completion *ret);
/* Puts fresh blocks where received ones were taken, so that the receives that wait in line get some. Once a turn. */
void rg_ring_provide(struct rg_ring *ring, unsigned in_line);
/* Each second: the number of blocks provided follows what turns took in the last two. */
void rg_ring_tick(struct rg_ring *ring);
unsigned rg_ring_blocks(const struct rg_ring *ring); /* provided and not taken: so many receives can succeed */
bool rg_ring_at_limit(const struct rg_ring *ring);   /* the last provide wanted more than memory allows */

#endif
