/* See buf.h. */
#include "datapath/base/buf.h"

#define CHUNK_BYTES   (256u * 1024) /* with the least limit there are some for each size */
#define BULK_LEAST    2u /* chunks of bulk blocks that the least limit allows: large heads need some at once */
#define LEAST_RESERVE (512u * 1024) /* some bulk blocks, with the least limit, too */
#define SMALL_PIECE   (RG_BUF_SMALL_CAP / 2)

void rg_bufs_init(struct rg_bufs *bufs, uint64_t limit)
{
    rg_pool_init(&bufs->small, RG_BUF_SMALL, CHUNK_BYTES, 0);
    rg_pool_init(&bufs->bulk, RG_BUF_BULK, CHUNK_BYTES, 0);
    rg_bufs_set_limit(bufs, limit);
}

void rg_bufs_set_limit(struct rg_bufs *bufs, uint64_t limit)
{
    bufs->limit = limit;
    bufs->small.max_bytes = limit;
    bufs->bulk.max_bytes = limit / 4 > BULK_LEAST * CHUNK_BYTES ? limit / 4 : BULK_LEAST * CHUNK_BYTES;
}

void rg_bufs_fini(struct rg_bufs *bufs)
{
    rg_pool_fini(&bufs->small);
    rg_pool_fini(&bufs->bulk);
}

void rg_bufs_trim(struct rg_bufs *bufs)
{
    rg_pool_trim(&bufs->small);
    rg_pool_trim(&bufs->bulk);
}

uint64_t rg_bufs_bytes(const struct rg_bufs *bufs)
{
    return bufs->small.bytes + bufs->bulk.bytes;
}

static uint64_t bulk_chunks(const struct rg_bufs *bufs)
{
    return bufs->bulk.bytes / CHUNK_BYTES - bufs->bulk.n_empty;
}

/* A chunk of bulk blocks counts whole while one of them is in use: no small ones can be had from it. */
static uint64_t bytes_taken(const struct rg_bufs *bufs)
{
    return bufs->small.used * RG_BUF_SMALL + bulk_chunks(bufs) * CHUNK_BYTES;
}

/* The limit is for what is mapped: at it, a chunk for one size takes the place of one that the other does not use. */
static RG_COLD bool may_map(struct rg_bufs *bufs, struct rg_pool *pool)
{
    if (rg_bufs_bytes(bufs) + CHUNK_BYTES > bufs->limit)
        rg_pool_unmap_one(pool == &bufs->small ? &bufs->bulk : &bufs->small);
    return rg_bufs_bytes(bufs) + CHUNK_BYTES <= bufs->limit;
}

static struct rg_buf *get(struct rg_bufs *bufs, struct rg_pool *pool, uint32_t size)
{
    if (RG_UNLIKELY(!rg_pool_has_free(pool)) && !may_map(bufs, pool))
        return NULL;
    struct rg_buf *b = rg_pool_get(pool);
    if (!b)
        return NULL;
    *b = (struct rg_buf){.pool = pool, .refs = 1, .cap = size - (uint32_t)sizeof(struct rg_buf)};
    return b;
}

/* Whether so many eighths of the reserve are left when `more` bytes are taken, too. */
static bool leaves_with(const struct rg_bufs *bufs, uint64_t more, unsigned eighths)
{
    uint64_t reserve = bufs->limit / 4 > LEAST_RESERVE ? bufs->limit / 4 : LEAST_RESERVE;
    return bytes_taken(bufs) + more + reserve / 8 * eighths < bufs->limit;
}

static bool leaves(const struct rg_bufs *bufs, unsigned eighths)
{
    return leaves_with(bufs, 0, eighths);
}

/* What a chunk in use has left costs nobody anything; another chunk is memory that small blocks can't have. */
static bool may_take_bulk(const struct rg_bufs *bufs)
{
    uint64_t chunks = bulk_chunks(bufs);
    if (bufs->bulk.used < chunks * bufs->bulk.per_chunk)
        return leaves(bufs, 2);
    return leaves_with(bufs, CHUNK_BYTES, chunks < BULK_LEAST ? 2 : 4);
}

struct rg_buf *rg_buf_get_small(struct rg_bufs *bufs)
{
    return leaves(bufs, 0) ? get(bufs, &bufs->small, RG_BUF_SMALL) : NULL;
}

struct rg_buf *rg_buf_get_small_for_new(struct rg_bufs *bufs)
{
    return leaves(bufs, 3) ? get(bufs, &bufs->small, RG_BUF_SMALL) : NULL;
}

struct rg_buf *rg_buf_get_small_urgent(struct rg_bufs *bufs)
{
    return leaves(bufs, 2) ? get(bufs, &bufs->small, RG_BUF_SMALL) : NULL;
}

struct rg_buf *rg_buf_get_spare(struct rg_bufs *bufs)
{
    return leaves(bufs, 8) ? get(bufs, &bufs->small, RG_BUF_SMALL) : NULL;
}

struct rg_buf *rg_buf_get_bulk(struct rg_bufs *bufs)
{
    return may_take_bulk(bufs) ? get(bufs, &bufs->bulk, RG_BUF_BULK) : NULL;
}

void rg_buf_unref(struct rg_buf *b)
{
    if (!b)
        return;
    RG_ASSERT(b->refs > 0);
    if (--b->refs == 0)
        rg_pool_put(b->pool, b);
}

/* ---- input ---- */

/* Small pieces share a block: a peer that sends byte by byte must not hold a block with each. */
static bool join_tail(struct rg_input *in, struct rg_buf *b)
{
    struct rg_buf *tail = in->tail;
    uint32_t n = b->len - b->off;
    if (n > SMALL_PIECE || tail->refs != 1 || tail->cap - tail->len < n)
        return false;
    memcpy(tail->data + tail->len, b->data + b->off, n);
    tail->len += n;
    in->bytes += n;
    rg_buf_unref(b);
    return true;
}

void rg_input_push(struct rg_input *in, struct rg_buf *b)
{
    RG_ASSERT(b->len > b->off);
    b->next = NULL;
    if (in->tail && join_tail(in, b))
        return;
    if (in->tail)
        in->tail->next = b;
    else
        in->head = b;
    in->tail = b;
    in->bytes += b->len - b->off;
}

void rg_input_use(struct rg_input *in, uint32_t n)
{
    RG_ASSERT(n <= in->bytes);
    in->bytes -= n;
    while (n > 0) {
        struct rg_buf *b = in->head;
        RG_ASSERT(b);
        uint32_t here = b->len - b->off;
        if (n < here) {
            b->off += n;
            return;
        }
        n -= here;
        in->head = b->next;
        if (!in->head)
            in->tail = NULL;
        rg_buf_unref(b);
    }
}

void rg_input_clear(struct rg_input *in)
{
    rg_input_use(in, in->bytes);
}

/* Moves bytes of the following blocks to the end of the first one. */
static void pull_into_front(struct rg_input *in)
{
    struct rg_buf *front = in->head;
    while (front->next && front->len < front->cap) {
        struct rg_buf *b = front->next;
        uint32_t here = b->len - b->off;
        uint32_t room = front->cap - front->len;
        uint32_t n = here < room ? here : room;
        memcpy(front->data + front->len, b->data + b->off, n);
        front->len += n;
        b->off += n;
        if (b->off < b->len)
            return;
        front->next = b->next;
        if (!front->next)
            in->tail = front;
        rg_buf_unref(b);
    }
}

bool rg_input_gather(struct rg_input *in, struct rg_bufs *bufs)
{
    struct rg_buf *front = in->head;
    if (!front || !front->next)
        return true;
    bool in_place = front->refs == 1 && front->cap - front->off >= in->bytes;
    if (!in_place && !(front->refs == 1 && front->off == 0 && front->cap == RG_BUF_BULK_CAP)) {
        struct rg_buf *b = in->bytes <= RG_BUF_SMALL_CAP ? rg_buf_get_small(bufs) : rg_buf_get_bulk(bufs);
        if (!b)
            return false;
        b->len = front->len - front->off;
        memcpy(b->data, front->data + front->off, b->len);
        b->next = front->next;
        in->head = b;
        rg_buf_unref(front);
    }
    pull_into_front(in);
    return true;
}

/* ---- output ---- */

static struct rg_segment *segment_at(struct rg_output *out, unsigned i)
{
    return &out->segments[(out->first + i) % RG_OUT_SEGMENTS];
}

bool rg_output_push(struct rg_output *out, struct rg_buf *b, uint32_t off, uint32_t len)
{
    RG_ASSERT(off + len <= b->cap);
    if (out->count > 0) {
        struct rg_segment *last = segment_at(out, out->count - 1u);
        if (last->buf == b && last->off + last->len == off) {
            last->len += len;
            out->bytes += len;
            return true;
        }
    }
    if (out->count == RG_OUT_SEGMENTS)
        return false;
    *segment_at(out, out->count++) = (struct rg_segment){rg_buf_ref(b), off, len};
    out->bytes += len;
    return true;
}

/*
 * Appending in place is right only for a block that nobody else reads: one reference, and its end is the segment's end.
 * Bytes before it may be on their way in the kernel; those after it are not.
 */
static char *room_in_last(struct rg_output *out, uint32_t n, uint32_t *cap)
{
    if (out->count == 0)
        return NULL;
    struct rg_segment *last = segment_at(out, out->count - 1u);
    struct rg_buf *b = last->buf;
    if (b->refs != 1 || last->off + last->len != b->len || b->cap - b->len < n)
        return NULL;
    *cap = b->cap - b->len;
    return b->data + b->len;
}

char *rg_output_room(struct rg_output *out, struct rg_bufs *bufs, uint32_t n, uint32_t *cap)
{
    char *room = room_in_last(out, n, cap);
    if (room)
        return room;
    if (out->count == RG_OUT_SEGMENTS)
        return NULL;
    struct rg_buf *b = n <= RG_BUF_SMALL_CAP ? rg_buf_get_small(bufs) : rg_buf_get_bulk(bufs);
    if (!b || b->cap < n) {
        rg_buf_unref(b);
        return NULL;
    }
    *segment_at(out, out->count++) = (struct rg_segment){b, 0, 0};
    *cap = b->cap;
    return b->data;
}

void rg_output_commit(struct rg_output *out, uint32_t n)
{
    RG_ASSERT(out->count > 0);
    struct rg_segment *last = segment_at(out, out->count - 1u);
    RG_ASSERT(last->buf->len + n <= last->buf->cap);
    last->len += n;
    last->buf->len += n;
    out->bytes += n;
    if (last->len == 0) { /* room was taken and nothing written */
        rg_buf_unref(last->buf);
        out->count--;
    }
}

bool rg_output_copy(struct rg_output *out, struct rg_bufs *bufs, const char *data, uint32_t n)
{
    uint32_t cap;
    char *room = rg_output_room(out, bufs, n, &cap);
    if (!room)
        return false;
    memcpy(room, data, n);
    rg_output_commit(out, n);
    return true;
}

void rg_output_sent(struct rg_output *out, uint32_t n)
{
    RG_ASSERT(n <= out->bytes);
    out->bytes -= n;
    while (n > 0) {
        struct rg_segment *s = segment_at(out, 0);
        if (n < s->len) {
            s->off += n;
            s->len -= n;
            return;
        }
        n -= s->len;
        rg_buf_unref(s->buf);
        out->first = (uint8_t)((out->first + 1) % RG_OUT_SEGMENTS);
        out->count--;
    }
}

void rg_output_clear(struct rg_output *out)
{
    rg_output_sent(out, out->bytes);
}

unsigned rg_output_iov(const struct rg_output *out, struct iovec *iov)
{
    for (unsigned i = 0; i < out->count; i++) {
        const struct rg_segment *s = &out->segments[(out->first + i) % RG_OUT_SEGMENTS];
        iov[i] = (struct iovec){s->buf->data + s->off, s->len};
    }
    return out->count;
}
