/*
 * Buffers: the blocks that bytes of messages live in, in two sizes, counted by reference so that received bytes can be
 * sent from where they lie. And the two queues made of them: what has come in and is not used, what is to go out.
 *
 * Thread: the worker's only. Bounded by the worker's limit; NULL from rg_buf_get is normal and must be handled.
 */
#ifndef RG_BASE_BUF_H
#define RG_BASE_BUF_H

#include <sys/uio.h>

#include "datapath/base/assert.h"
#include "datapath/base/pool.h"
#include "datapath/base/str.h"

#define RG_BUF_SMALL 8192u /* block sizes, header included */
#define RG_BUF_BULK  65536u

struct rg_buf {
    struct rg_buf *next; /* in an input queue */
    struct rg_pool *pool;
    uint32_t refs;
    uint32_t cap; /* bytes of data */
    uint32_t off; /* input queue: first byte not used yet */
    uint32_t len; /* end of the bytes that are there */
    char data[];
};

#define RG_BUF_SMALL_CAP (RG_BUF_SMALL - (uint32_t)sizeof(struct rg_buf))
#define RG_BUF_BULK_CAP  (RG_BUF_BULK - (uint32_t)sizeof(struct rg_buf))

struct rg_bufs {
    struct rg_pool small, bulk;
    uint64_t limit; /* bytes mapped, both sizes together */
};

void rg_bufs_init(struct rg_bufs *bufs, uint64_t limit);
void rg_bufs_fini(struct rg_bufs *bufs);
void rg_bufs_set_limit(struct rg_bufs *bufs, uint64_t limit);
void rg_bufs_trim(struct rg_bufs *bufs); /* each second, see rg_pool_trim */
uint64_t rg_bufs_bytes(const struct rg_bufs *bufs);

/*
 * One reference, off and len 0. Receiving ahead of need (provided buffers) leaves a reserve, a quarter of the limit.
 * From there on the fewer may take, the less of it is left: bulk blocks, what begins something new, receiving what
 * others wait for. The last is for what is being sent, and so gives blocks back.
 */
struct rg_buf *rg_buf_get_small(struct rg_bufs *bufs);
struct rg_buf *rg_buf_get_small_urgent(struct rg_bufs *bufs);
struct rg_buf *rg_buf_get_small_for_new(struct rg_bufs *bufs);
struct rg_buf *rg_buf_get_spare(struct rg_bufs *bufs);
/* NULL also when a quarter of the limit is in bulk blocks: the caller goes on with small ones. */
struct rg_buf *rg_buf_get_bulk(struct rg_bufs *bufs);

static inline struct rg_buf *rg_buf_ref(struct rg_buf *b)
{
    b->refs++;
    return b;
}
void rg_buf_unref(struct rg_buf *b); /* NULL is fine */

/* ---- Input queue: received and not used ---- */

struct rg_input {
    struct rg_buf *head, *tail;
    uint32_t bytes;
};

void rg_input_push(struct rg_input *in, struct rg_buf *b); /* takes the reference; [off, len) counts */
void rg_input_use(struct rg_input *in, uint32_t n);        /* drops n bytes from the front */
void rg_input_clear(struct rg_input *in);
static inline struct rg_str rg_input_front(const struct rg_input *in)
{
    return in->head ? (struct rg_str){in->head->data + in->head->off, in->head->len - in->head->off} : RG_STR_NONE;
}
/*
 * Makes as many queued bytes contiguous as fit into one block (a message head must be). false: no buffer.
 * After it, either all bytes lie in the front or the front is a full bulk block.
 */
bool rg_input_gather(struct rg_input *in, struct rg_bufs *bufs);

/* ---- Output queue: to be sent, in order ---- */

#define RG_OUT_SEGMENTS 8

struct rg_segment {
    struct rg_buf *buf; /* one reference */
    uint32_t off, len;
};

struct rg_output {
    uint32_t bytes;
    uint8_t first, count; /* ring of segments */
    struct rg_segment segments[RG_OUT_SEGMENTS];
};

/* A reference to bytes of b. false: no segment free (nothing changed); the caller waits for a send to finish. */
bool rg_output_push(struct rg_output *out, struct rg_buf *b, uint32_t off, uint32_t len);
/*
 * Room to write at least n bytes (n <= RG_BUF_BULK_CAP) at the end of the queue: in the last block when it is the
 * queue's alone and has room, else in a new one. Commit what was written with rg_output_commit. NULL: no segment or no
 * buffer.
 */
char *rg_output_room(struct rg_output *out, struct rg_bufs *bufs, uint32_t n, uint32_t *cap);
void rg_output_commit(struct rg_output *out, uint32_t n);
bool rg_output_copy(struct rg_output *out, struct rg_bufs *bufs, const char *data, uint32_t n);
void rg_output_sent(struct rg_output *out, uint32_t n);
void rg_output_clear(struct rg_output *out);
unsigned rg_output_iov(const struct rg_output *out, struct iovec *iov); /* RG_OUT_SEGMENTS entries */

#endif
