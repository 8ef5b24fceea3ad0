/*
 * How a WebSocket tunnel is left when the deadline of a drain has come: both sides are told by a Close frame (1001,
 * going away) behind the last whole frame, in the time that a frame takes to end. See exchange_parts.h.
 */
#include "datapath/core.h"
#include "datapath/exchange_parts.h"

#define LEAVE_MS 500 /* for frames that have begun, for what was said, and for the replica to answer */

/* Close with 1001; to the replica masked as a client's must be, by a key of zeros. */
static const char to_client[] = "\x88\x02\x03\xe9";
static const char to_replica[] = "\x88\x82\0\0\0\0\x03\xe9";

/* It takes no more than the frame that has begun. false: nobody knows where that ends. */
static bool end_with_frame(struct rg_pump *p)
{
    if (!p->done && !rg_ws_frames_knows_end(&p->frames))
        return false;
    p->left = p->frames.left;
    return true;
}

bool rg_exchange_leave(struct rg_worker *w, struct rg_exchange *x)
{
    if (x->step != RG_STEP_TUNNEL || x->leave_since_ms || !rg_client_is_there(x->client) ||
        !end_with_frame(&x->response))
        return false;
    if (!end_with_frame(&x->request)) {
        x->request.left = 0; /* the replica sees the end only */
        x->request.frames.closed = true;
    }
    x->leave_since_ms = w->now_ms;
    x->reason = RG_REASON_DRAIN_DEADLINE;
    rg_metric_refused(w->metrics, RG_REASON_DRAIN_DEADLINE);
    rg_client_check_within(w, x->client, LEAVE_MS);
    rg_exchange_run(w, x);
    return true;
}

/* Behind the last frame of this direction, unless the other end has said it already. false: no room yet. */
static bool say(struct rg_worker *w, struct rg_pump *p, struct rg_output *out, const char *frame, uint32_t len)
{
    if (p->done || p->left > 0)
        return true;
    if (!p->frames.closed && !rg_output_copy(out, &w->bufs, frame, len))
        return false;
    p->done = true;
    return true;
}

void rg_exchange_say_goodbye(struct rg_worker *w, struct rg_exchange *x)
{
    bool ours = !x->response.done && !x->response.frames.closed;
    if (say(w, &x->response, x->client->out, to_client, sizeof to_client - 1) && ours && x->response.done) {
        rg_metric_add(w->metrics, RG_M_TUNNELS_LEFT, 1);
        rg_client_send_later(w, x->client);
    }
    if (!rg_server_takes_nothing(x->up) && say(w, &x->request, x->up->out, to_replica, sizeof to_replica - 1))
        rg_server_send_later(w, x->up);
}

/* Both were told. A close while the replica is sending would be a reset, and could cost it what it was told. */
bool rg_exchange_waits_for_replica(const struct rg_exchange *x)
{
    return x->leave_since_ms && !rg_server_has_ended(x->up) && !rg_server_takes_nothing(x->up);
}

uint64_t rg_exchange_leave_due_ms(const struct rg_exchange *x)
{
    return x->leave_since_ms + LEAVE_MS;
}
