/*
 * The time limits of an exchange. Events store when they happened; the connection's timer comes by at least once a
 * second and asks who has kept whom waiting for how long. See exchange_parts.h.
 */
#include <errno.h>

#include "datapath/core.h"
#include "datapath/exchange_parts.h"
#include "datapath/upstream_h2c.h"

#define RATE_GRACE_MS 10000 /* a request body may be slow for so long before limits.body_rate counts */

void rg_exchange_check_soon(struct rg_worker *w, struct rg_exchange *x)
{
    uint64_t within_ms = w->exchange_check_ms;
    /* The limits that may be shorter than the interval of looking. */
    if (RG_UNLIKELY(x->route != NULL) && x->route->check_ms < within_ms)
        within_ms = x->route->check_ms;
    if (x->half_closed_ms && !x->responding) {
        uint64_t due_ms = x->half_closed_ms + RG_HALF_CLOSE_MS;
        within_ms = due_ms > w->now_ms + within_ms ? within_ms : due_ms > w->now_ms ? due_ms - w->now_ms : 0;
    }
    rg_client_check_within(w, x->client, (uint32_t)within_ms);
}

/* Those of the route count before the gateway's own. */
static uint32_t connect_ms(const struct rg_worker *w, const struct rg_exchange *x)
{
    return RG_UNLIKELY(x->route != NULL) && x->route->connect_ms > 0 ? x->route->connect_ms : w->settings->connect_ms;
}

static uint32_t response_head_ms(const struct rg_worker *w, const struct rg_exchange *x)
{
    bool own = RG_UNLIKELY(x->route != NULL) && x->route->response_head_ms > 0;
    return own ? x->route->response_head_ms : w->settings->response_head_ms;
}

static uint32_t body_idle_ms(const struct rg_worker *w, const struct rg_exchange *x)
{
    bool own = RG_UNLIKELY(x->route != NULL) && x->route->body_idle_ms > 0;
    return own ? x->route->body_idle_ms : w->settings->body_idle_ms;
}

static bool longer_than(const struct rg_worker *w, uint64_t since_ms, uint32_t limit_ms)
{
    return w->now_ms >= since_ms + limit_ms;
}

static uint64_t later(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

/* A send that has not completed may still make progress: the kernel's queue to the peer drains. */
static bool queue_drains(const struct rg_socket *s, int64_t *unsent)
{
    int64_t before = *unsent;
    *unsent = rg_sys_unsent(s->fd);
    return *unsent >= 0 && *unsent < before;
}

static bool client_takes_nothing(struct rg_worker *w, struct rg_exchange *x)
{
    /* Of HTTP/2, the queue is that of all streams: it counts where this one waits for it, not for a window. */
    bool waits_for_queue = !rg_client_is_h2(x->client) || rg_socket_has_output(rg_client_sock(x->client));
    if (waits_for_queue && queue_drains(rg_client_sock(x->client), &x->unsent))
        x->client_out_ms = w->now_ms;
    return longer_than(w, later(x->client_out_ms, rg_client_sent_ms(x->client)), body_idle_ms(w, x));
}

static bool replica_takes_nothing(struct rg_worker *w, struct rg_exchange *x)
{
    /* As with clients of HTTP/2: the queue is that of all streams. */
    bool waits_for_queue = !rg_server_is_h2(x->up) || rg_socket_has_output(rg_server_sock(x->up));
    if (waits_for_queue && queue_drains(rg_server_sock(x->up), &x->up_unsent))
        x->up_ms = w->now_ms;
    return longer_than(w, later(x->up_ms, rg_server_sent_ms(x->up)), response_head_ms(w, x));
}

/* Both bodies may flow at once, for as long as either moves (gRPC). */
static bool is_conversation(const struct rg_exchange *x)
{
    return x->responding;
}

static bool client_is_too_slow(struct rg_worker *w, struct rg_exchange *x, uint64_t elapsed_ms)
{
    uint32_t rate = w->settings->body_rate;
    if (is_conversation(x))
        return false;
    x->client_wait_ms += elapsed_ms;
    return rate > 0 && x->client_wait_ms > RATE_GRACE_MS && x->request.bytes * 1000 / x->client_wait_ms < rate;
}

/* The side of the request: whom does its body wait for? */
static enum rg_reason request_limit(struct rg_worker *w, struct rg_exchange *x, uint64_t elapsed_ms)
{
    bool waits_for_continue = x->expect_continue && x->request.bytes == 0;
    if (rg_server_has_output(x->up))
        return replica_takes_nothing(w, x) ? RG_REASON_REPLICA_TIMEOUT : RG_REASON_NONE;
    if (waits_for_continue)
        return longer_than(w, x->up_ms, response_head_ms(w, x)) ? RG_REASON_REPLICA_TIMEOUT : RG_REASON_NONE;
    /* It was not asked for more before the replica had taken what was there. */
    uint64_t moved_ms = later(x->client_in_ms, rg_server_sent_ms(x->up));
    if (longer_than(w, is_conversation(x) ? later(moved_ms, x->up_ms) : moved_ms, body_idle_ms(w, x)))
        return RG_REASON_BODY_TIMEOUT;
    return client_is_too_slow(w, x, elapsed_ms) ? RG_REASON_BODY_TOO_SLOW : RG_REASON_NONE;
}

/* The side of the response. */
static enum rg_reason response_limit(struct rg_worker *w, struct rg_exchange *x)
{
    if (rg_client_has_output(x->client))
        return client_takes_nothing(w, x) ? RG_REASON_CLIENT_STALLED : RG_REASON_NONE;
    if (x->responding) /* likewise: it was not asked before the client had taken what was there */
        return longer_than(w, later(x->up_ms, rg_client_sent_ms(x->client)), body_idle_ms(w, x))
                   ? RG_REASON_REPLICA_BODY_TIMEOUT
                   : RG_REASON_NONE;
    /* What the kernel still holds of the request has not reached the replica. */
    if (x->request.bytes > 0 && !rg_server_is_h2(x->up) && queue_drains(rg_server_sock(x->up), &x->up_unsent))
        x->request_done_ms = w->now_ms;
    /* The head, whole: bytes that drip in, or interim responses, don't extend it. */
    uint64_t since_ms = x->request_done_ms;
    return longer_than(w, since_ms, response_head_ms(w, x)) ? RG_REASON_REPLICA_TIMEOUT : RG_REASON_NONE;
}

static enum rg_reason relay_limit(struct rg_worker *w, struct rg_exchange *x, uint64_t elapsed_ms)
{
    if (!x->request.done && !rg_server_takes_nothing(x->up)) {
        enum rg_reason reason = request_limit(w, x, elapsed_ms);
        if (reason != RG_REASON_NONE)
            return reason;
        /* While a request is still coming, only a response that has begun has limits of its own. */
        return rg_client_has_output(x->client) ? response_limit(w, x) : RG_REASON_NONE;
    }
    if (x->request_done_ms == 0)
        x->request_done_ms = w->now_ms;
    return response_limit(w, x);
}

static enum rg_reason tunnel_limit(struct rg_worker *w, struct rg_exchange *x)
{
    uint64_t last = later(later(x->client_in_ms, x->up_ms), rg_client_sent_ms(x->client));
    if (rg_client_has_output(x->client))
        return client_takes_nothing(w, x) ? RG_REASON_CLIENT_STALLED : RG_REASON_NONE;
    return longer_than(w, last, w->settings->tunnel_idle_ms) ? RG_REASON_IDLE_TIMEOUT : RG_REASON_NONE;
}

static enum rg_reason limit_passed(struct rg_worker *w, struct rg_exchange *x, uint64_t elapsed_ms)
{
    bool in_line = !rg_list_empty(&x->waiting);
    if (x->half_closed_ms && !x->responding && longer_than(w, x->half_closed_ms, RG_HALF_CLOSE_MS))
        return RG_REASON_CLIENT_GONE;
    switch ((enum rg_exchange_step)x->step) {
    case RG_STEP_CONNECT:
        if (!longer_than(w, x->connect_us / 1000, connect_ms(w, x)))
            return RG_REASON_NONE;
        if (in_line && x->upstream->endpoint && rg_endpoint_state(x->upstream->endpoint) != RG_ENDPOINT_RESOLVED)
            return RG_REASON_UPSTREAM_UNRESOLVED;
        if (!in_line || rg_upstream_is_connecting(x->upstream))
            return RG_REASON_REPLICA_CONNECT_TIMEOUT;
        return x->upstream->no_descriptor ? RG_REASON_OUT_OF_DESCRIPTORS : RG_REASON_OVERLOADED;
    case RG_STEP_RELAY:
        return relay_limit(w, x, elapsed_ms);
    case RG_STEP_TUNNEL:
        return tunnel_limit(w, x);
    case RG_STEP_FLUSH:
        return client_takes_nothing(w, x) ? RG_REASON_CLIENT_STALLED : RG_REASON_NONE;
    }
    return RG_REASON_NONE;
}

/* Whoever was told gets its time to read it, whatever the other side does. */
static RG_COLD void check_leave(struct rg_worker *w, struct rg_exchange *x)
{
    uint64_t due_ms = rg_exchange_leave_due_ms(x);
    if (w->now_ms < due_ms)
        rg_client_check_within(w, x->client, (uint32_t)(due_ms - w->now_ms));
    else if (x->response.done && rg_client_is_flushed(x->client))
        rg_exchange_finish(w, x);
    else
        rg_exchange_fail(w, x, RG_REASON_DRAIN_DEADLINE);
}

void rg_exchange_check_time(struct rg_worker *w, struct rg_exchange *x)
{
    if (x->leave_since_ms) {
        check_leave(w, x);
        return;
    }
    uint64_t elapsed_ms = w->now_ms - x->checked_ms;
    x->checked_ms = w->now_ms;
    enum rg_reason reason = limit_passed(w, x, elapsed_ms);
    if (reason == RG_REASON_NONE) {
        rg_exchange_check_soon(w, x);
        return;
    }
    if (reason == RG_REASON_REPLICA_CONNECT_TIMEOUT) {
        rg_metric_add(w->metrics, x->upstream->metrics->connect_failures, 1);
        rg_upstream_connect_failed(w, x, ETIMEDOUT);
        if (rg_exchange_goes_elsewhere(w, x))
            return;
    }
    rg_exchange_fail(w, x, reason);
}
