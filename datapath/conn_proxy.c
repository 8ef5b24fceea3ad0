/* See conn_proxy.h. */
#include "datapath/conn_proxy.h"

#include "datapath/core.h"
#include "datapath/http/proxy_header.h"

/* Whoever may connect to a UNIX socket was let in by the rights of its file. A peer that has no address for another
 * reason (it has reset the connection already) is nobody. */
static bool is_trusted_proxy(const struct rg_listener_settings *l, const struct in6_addr *peer)
{
    return l->address.sa.sa_family == AF_UNIX || rg_prefixes_hold(l->proxy_trusted, l->n_proxy_trusted, peer);
}

enum rg_proxy_stage rg_proxy_stage_begin(const struct rg_worker *w, const struct rg_conn *c,
                                         const struct in6_addr *peer, enum rg_reason *ret_reason)
{
    const struct rg_listener_settings *l = &w->settings->listeners[c->listener];
    bool trusted = is_trusted_proxy(l, peer);
    if (l->proxy_mode == RG_PROXY_MODE_ACCEPT)
        return trusted ? RG_PROXY_STAGE_MAY : RG_PROXY_STAGE_MUST_NOT;
    if (!trusted)
        *ret_reason = RG_REASON_PROXY_UNTRUSTED;
    return RG_PROXY_STAGE_MUST;
}

/* From here on the connection is its client's: in records, forwarding fields, and for what its address allows. */
static void take(struct rg_worker *w, struct rg_conn *c, const struct rg_proxy_header *h)
{
    rg_metric_add(w->metrics, h->version == 1 ? RG_M_PROXY_HEADERS_1 : RG_M_PROXY_HEADERS_2, 1);
    c->client.secure = h->tls;
    if (h->family == RG_PROXY_NONE)
        return;
    c->peer = (struct rg_peer_text){0};
    c->client.peer_port = h->source_port;
    if (h->family == RG_PROXY_UNIX)
        return;
    rg_peer_text_set(&c->peer, &h->source);
    c->peer.trusted = rg_prefixes_hold(w->settings->trusted, w->settings->n_trusted, &h->source);
    c->client.listener_port = h->destination_port;
}

/* More of the header may lie in the next block. */
static enum rg_proxy_verdict parse(struct rg_worker *w, struct rg_conn *c, struct rg_proxy_header *h, bool *no_memory)
{
    struct rg_input *in = &c->sock.in;
    for (;;) {
        struct rg_str front = rg_input_front(in);
        enum rg_proxy_verdict v = rg_proxy_parse(front.ptr, front.len, h);
        if ((v != RG_PROXY_MORE && v != RG_PROXY_UNSURE) || !in->head->next)
            return v;
        *no_memory = !rg_input_gather(in, &w->bufs);
        if (*no_memory || rg_input_front(in).len == front.len)
            return v;
    }
}

static enum rg_reason judge(const struct rg_conn *c, enum rg_proxy_verdict verdict)
{
    bool must_not = c->proxy_stage == RG_PROXY_STAGE_MUST_NOT;
    if (verdict == RG_PROXY_ABSENT)
        return c->proxy_stage == RG_PROXY_STAGE_MUST ? RG_REASON_PROXY_MISSING : RG_REASON_NONE;
    if (verdict == RG_PROXY_BAD)
        return must_not ? RG_REASON_PROXY_UNTRUSTED : RG_REASON_PROXY_MALFORMED;
    return must_not ? RG_REASON_PROXY_UNTRUSTED : RG_REASON_NONE;
}

enum rg_proxy_step rg_proxy_stage_run(struct rg_worker *w, struct rg_conn *c, enum rg_reason *ret_reason)
{
    struct rg_proxy_header h;
    bool no_memory = false;
    enum rg_proxy_verdict verdict = parse(w, c, &h, &no_memory);
    if (c->sock.eof && verdict == RG_PROXY_UNSURE) /* a few bytes of something else */
        verdict = RG_PROXY_ABSENT;
    if (c->sock.eof && verdict == RG_PROXY_MORE)
        verdict = RG_PROXY_BAD;
    if (no_memory)
        *ret_reason = RG_REASON_OUT_OF_BUFFERS;
    else if (verdict == RG_PROXY_UNSURE)
        return RG_PROXY_STEP_MORE;
    else
        *ret_reason = judge(c, verdict);
    if (*ret_reason != RG_REASON_NONE)
        return RG_PROXY_STEP_REFUSED;
    if (verdict == RG_PROXY_MORE)
        return RG_PROXY_STEP_MORE;
    if (verdict == RG_PROXY_TAKEN) {
        take(w, c, &h);
        rg_input_use(&c->sock.in, h.length);
    }
    c->proxy_stage = RG_PROXY_STAGE_OVER;
    return RG_PROXY_STEP_OVER;
}
