/*
 * The connections of a worker, clients' and to the replica: how they find each other, relay, and end.
 *
 * Without --response-bytes a client and its connection to the replica belong together from beginning to end; they end
 * when both directions have, or at the first error. With it they belong together for one response: the connection to
 * the replica then goes back to the pool, and the client's next bytes take one out of it.
 *
 * Completions only note what happened; rg_relay_step then decides. Bytes are sent from the block that they were
 * received in, in order, with one send at a time for each side. A slot and its descriptor are given back when the
 * kernel has nothing more of it. Thread: the worker's.
 */
#include "bench/floor/relay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct side *side_get(struct rg_floor_worker *w, int fd)
{
    uint32_t index = w->free_side;
    if (index != UINT32_MAX)
        w->free_side = w->sides[index].next_free;
    else if (w->n_sides < SIDES_MAX)
        index = w->n_sides++;
    else
        return NULL;
    struct side *s = &w->sides[index];
    *s = (struct side){.index = index, .fd = fd, .first = NONE, .last_block = NONE};
    return s;
}

static void side_put(struct rg_floor_worker *w, struct side *s)
{
    s->next_free = w->free_side;
    w->free_side = s->index;
}

static bool is_pooling(const struct rg_floor_worker *w)
{
    return w->settings->response_bytes > 0;
}

/* ---- Pairs ---- */

static void pair(struct rg_floor_worker *w, struct side *client, struct side *replica)
{
    client->peer = replica;
    replica->peer = client;
    replica->left = w->settings->response_bytes;
}

static void part(struct side *s)
{
    if (s->peer)
        s->peer->peer = NULL;
    s->peer = NULL;
}

static struct side *pool_take(struct rg_floor_worker *w)
{
    struct side *s = TAILQ_FIRST(&w->pool);
    if (s) {
        TAILQ_REMOVE(&w->pool, s, pool_link);
        s->pooled = false;
    }
    return s;
}

static struct side *open_replica(struct rg_floor_worker *w)
{
    int fd = rg_floor_socket(w->settings->replica->any.sa_family, w->settings->congestion);
    struct side *s = fd < 0 ? NULL : side_get(w, fd);
    if (s)
        rg_relay_connect(w, s);
    else if (fd >= 0)
        rg_relay_close(w, fd);
    return s;
}

/* Gives the client a connection to the replica. false: there is none to be had. */
static bool attach(struct rg_floor_worker *w, struct side *client)
{
    struct side *replica = pool_take(w);
    if (!replica)
        replica = open_replica(w);
    if (replica)
        pair(w, client, replica);
    return replica;
}

/* Both go, at an error as at a regular end. */
static void let_end(struct rg_floor_worker *w, struct side *s)
{
    s->ending = true;
    if (s->peer)
        s->peer->ending = true;
    if (s->pooled)
        TAILQ_REMOVE(&w->pool, s, pool_link);
    s->pooled = false;
}

/* The response has passed. A connection that still owes the replica a part of the request would mix up two requests. */
static void release(struct rg_floor_worker *w, struct side *replica)
{
    part(replica);
    if (replica->n_queued > 0) {
        let_end(w, replica);
        return;
    }
    TAILQ_INSERT_HEAD(&w->pool, replica, pool_link);
    replica->pooled = true;
}

/* ---- Steps ---- */

/* Ask, then join, then free: the last completion finds nothing in flight. */
static void end_step(struct rg_floor_worker *w, struct side *s)
{
    if (s->in_flight > 0 && !s->cancelled)
        rg_relay_cancel_all(w, s);
    s->cancelled = true;
    if (s->in_flight > 0)
        return;
    rg_queue_drop(w, s);
    rg_starved_remove(w, s);
    part(s);
    rg_relay_close(w, s->fd);
    side_put(w, s);
}

static bool is_over(const struct rg_floor_worker *w, const struct side *s)
{
    const struct side *peer = s->peer;
    if (!peer)
        return s->eof && s->n_queued == 0;
    if (s->n_queued > 0 || peer->n_queued > 0)
        return false;
    const struct side *replica = s->is_client ? peer : s;
    return (s->eof && peer->eof) || (is_pooling(w) && replica->eof);
}

/* Nothing more comes for this side. */
static bool has_all(const struct rg_floor_worker *w, const struct side *s)
{
    if (is_pooling(w))
        return s->last && !s->peer;
    return s->peer && s->peer->eof;
}

static void receive_step(struct rg_floor_worker *w, struct side *s)
{
    bool room = !s->peer || s->peer->n_queued < QUEUED_MAX;
    bool wanted = s->connected && !s->eof && room;
    if (wanted && !s->receiving && !s->starved)
        rg_relay_receive(w, s);
    else if (s->receiving && !s->receive_cancelled && (!wanted || s->large != s->receives_large))
        rg_relay_cancel_receive(w, s);
}

void rg_relay_step(struct rg_floor_worker *w, struct side *s)
{
    if (!s->ending && is_over(w, s))
        let_end(w, s);
    if (s->ending) {
        end_step(w, s);
        return;
    }
    if (s->n_queued > 0 && !s->sending && s->connected)
        rg_relay_send(w, s);
    if (s->n_queued == 0 && !s->shut && s->connected && has_all(w, s))
        rg_relay_shut_write(w, s);
    receive_step(w, s);
}

/* ---- Completions ---- */

void rg_relay_accepted(struct rg_floor_worker *w, int fd)
{
    struct side *client = side_get(w, fd);
    if (!client) {
        rg_relay_close(w, fd);
        return;
    }
    client->is_client = client->connected = true;
    if (!is_pooling(w) && !attach(w, client))
        client->ending = true;
    rg_relay_step(w, client);
}

/*
 * The one thing that is read of a request: a client that wants its connection closed gets that from us, and the replica
 * keeps its own. The replica is told of an option that nobody knows, instead.
 */
static bool take_close(char *data, size_t n)
{
    static const char field[] = "\r\nConnection: close\r\n", other[] = "\r\nConnection: alive\r\n";
    char *at = memmem(data, n, field, sizeof field - 1);
    if (at)
        memcpy(at, other, sizeof other - 1);
    return at;
}

/* The first bytes of a request find a connection to the replica. */
static bool begin_request(struct rg_floor_worker *w, struct side *client, uint16_t id, uint32_t n)
{
    if (!attach(w, client))
        return false;
    client->last = take_close(rg_block_at(w, id), n);
    return true;
}

static bool count_response(struct rg_floor_worker *w, struct side *replica, uint32_t n)
{
    if (replica->peer && n <= replica->left) {
        replica->left -= n;
        return true;
    }
    if (!w->told_length)
        fprintf(stderr,
                "ringgate-floor: --response-bytes: got '%llu', but the replica sent more; count head and body of one "
                "response on a kept connection\n",
                (unsigned long long)w->settings->response_bytes);
    w->told_length = true;
    return false;
}

static void take_data(struct rg_floor_worker *w, struct side *s, uint16_t id, uint32_t n)
{
    bool good = true;
    if (s->ending || (s->last && !s->peer)) { /* a client that was told that its connection ends has no more to say */
        rg_block_put(w, id);
        return;
    }
    if (is_pooling(w))
        good = s->is_client ? s->peer || begin_request(w, s, id, n) : count_response(w, s, n);
    if (!good) {
        rg_block_put(w, id);
        let_end(w, s);
        return;
    }
    rg_queue_add(w, s->peer, id, n);
    if (n == SMALL_BYTES)
        s->large = true;
    if (is_pooling(w) && !s->is_client && s->left == 0)
        release(w, s);
}

static void on_recv(struct rg_floor_worker *w, struct side *s, const struct io_uring_cqe *c)
{
    if (!(c->flags & IORING_CQE_F_MORE))
        s->receiving = false;
    if (c->flags & IORING_CQE_F_BUFFER) {
        uint16_t id = (uint16_t)(c->flags >> IORING_CQE_BUFFER_SHIFT);
        if (c->res > 0)
            take_data(w, s, id, (uint32_t)c->res);
        else
            rg_block_put(w, id);
    }
    if (c->res == 0)
        s->eof = true;
    else if (c->res == -ENOBUFS && s->large == s->receives_large)
        rg_starved_add(w, s);
    else if (c->res < 0 && c->res != -ENOBUFS && c->res != -ECANCELED)
        let_end(w, s);
}

static void on_send(struct rg_floor_worker *w, struct side *s, int result)
{
    s->sending = false;
    if (result > 0)
        rg_queue_sent(w, s, (uint32_t)result);
    else
        let_end(w, s);
}

static void note(struct rg_floor_worker *w, struct side *s, const struct io_uring_cqe *c)
{
    if (!(c->flags & IORING_CQE_F_MORE))
        s->in_flight--;
    switch ((enum op)(c->user_data >> 56)) {
    case OP_RECV:
        on_recv(w, s, c);
        break;
    case OP_SEND:
        on_send(w, s, c->res);
        break;
    case OP_CONNECT:
        s->connected = c->res == 0;
        if (!s->connected)
            let_end(w, s);
        break;
    default: /* a shutdown or cancel that found nothing to do has done its work */
        break;
    }
}

/* What happened to one may be what its peer waits for: the peer it had, and the one it has now. */
void rg_relay_complete(struct rg_floor_worker *w, const struct io_uring_cqe *c)
{
    struct side *s = &w->sides[(uint32_t)c->user_data];
    struct side *before = s->peer;
    note(w, s, c);
    struct side *after = s->peer;
    rg_relay_step(w, s);
    if (before)
        rg_relay_step(w, before);
    if (after && after != before)
        rg_relay_step(w, after);
}
