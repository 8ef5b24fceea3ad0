/* See conn_tls.h. */
#include "datapath/conn_tls.h"

#include "datapath/core.h"
#include "datapath/socket_tls.h"

/*
 * Steps of handshakes in a turn. With RSA one takes half a millisecond: thousands that come together must not keep open
 * connections waiting, and 16 of them use a turn well.
 */
#define STEPS_PER_TURN 16

bool rg_conn_tls_begin(struct rg_worker *w, struct rg_conn *c)
{
    bool begun = rg_socket_tls_accept(w, &c->sock, c->listener);
    if (!begun)
        rg_conn_tls_failed(w, RG_TLS_FAIL_MEMORY);
    return begun;
}

enum rg_socket_event rg_conn_tls_go_on(struct rg_worker *w, struct rg_conn *c)
{
    return c->sock.tls->net.bytes > 0 || c->sock.eof ? rg_socket_tls_go_on(w, &c->sock) : RG_SOCKET_NOTHING;
}

void rg_conn_tls_done(struct rg_worker *w, struct rg_conn *c)
{
    bool resumed = rg_tls_resumed(c->sock.tls);
    c->over_tls = true;
    rg_metric_add(w->metrics, resumed ? RG_M_TLS_RESUMED : RG_M_TLS_FULL, 1);
    rg_metric_add(w->metrics, RG_M_TLS_OPEN, 1);
}

enum rg_tls_failure rg_conn_tls_failure(const struct rg_conn *c)
{
    const struct rg_tls *t = c->sock.tls;
    return t && t->failure != RG_TLS_FAIL_NONE ? (enum rg_tls_failure)t->failure : RG_TLS_FAIL_CLOSED;
}

void rg_conn_tls_failed(struct rg_worker *w, enum rg_tls_failure failure)
{
    static const enum rg_metric metrics[RG_TLS_FAIL_COUNT] = {
        [RG_TLS_FAIL_NONE] = RG_M_TLS_FAILED_MALFORMED,  [RG_TLS_FAIL_NOT_TLS] = RG_M_TLS_FAILED_NOT_TLS,
        [RG_TLS_FAIL_VERSION] = RG_M_TLS_FAILED_VERSION, [RG_TLS_FAIL_CIPHER] = RG_M_TLS_FAILED_CIPHER,
        [RG_TLS_FAIL_ALPN] = RG_M_TLS_FAILED_ALPN,       [RG_TLS_FAIL_CERTIFICATE] = RG_M_TLS_FAILED_CERTIFICATE,
        [RG_TLS_FAIL_ALERT] = RG_M_TLS_FAILED_ALERT,     [RG_TLS_FAIL_MALFORMED] = RG_M_TLS_FAILED_MALFORMED,
        [RG_TLS_FAIL_MEMORY] = RG_M_TLS_FAILED_MEMORY,   [RG_TLS_FAIL_CLOSED] = RG_M_TLS_FAILED_CLOSED,
        [RG_TLS_FAIL_TIMEOUT] = RG_M_TLS_FAILED_TIMEOUT,
    };
    rg_metric_add(w->metrics, metrics[failure], 1);
}

void rg_conn_tls_turn(struct rg_worker *w)
{
    struct rg_list *waiting = &w->tls.waiting;
    w->tls.budget = STEPS_PER_TURN;
    while (RG_UNLIKELY(!rg_list_empty(waiting)) && w->tls.budget > 0) {
        struct rg_tls *t = RG_CONTAINER(waiting->next, struct rg_tls, waiting);
        struct rg_socket *s = t->owner;
        if (!t->is_server) {
            rg_upstream_go_on(w, RG_CONTAINER(s, struct rg_upstream_conn, sock));
            continue;
        }
        enum rg_socket_event event = rg_socket_tls_go_on(w, s);
        rg_conn_event(w, RG_CONTAINER(s, struct rg_conn, sock), event);
    }
}
