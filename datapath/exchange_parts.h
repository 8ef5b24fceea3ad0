/* What the files of the exchange share (exchange*.c), by the file that has it. Thread: the worker's. */
#ifndef RG_EXCHANGE_PARTS_H
#define RG_EXCHANGE_PARTS_H

#include "datapath/exchange.h"

/* A client that ended its side after a complete request gets so long for the response to begin. */
#define RG_HALF_CLOSE_MS 500

#define RG_WRITE_SLACK 1024u /* bytes that rewriting adds to a head, usually */

/* exchange.c */
void rg_exchange_run(struct rg_worker *w, struct rg_exchange *x);
/* Its connect failed, or can't be made. true: it is under way to another place, or has ended. */
bool rg_exchange_goes_elsewhere(struct rg_worker *w, struct rg_exchange *x);

/* exchange_relay.c. The functions that return bool return false when the exchange has ended. */
bool rg_exchange_pump_request(struct rg_worker *w, struct rg_exchange *x);
bool rg_exchange_take_heads(struct rg_worker *w, struct rg_exchange *x);
bool rg_exchange_pump_response(struct rg_worker *w, struct rg_exchange *x);
void rg_exchange_response_received(struct rg_worker *w, struct rg_exchange *x);
void rg_exchange_receive_from_client(struct rg_worker *w, struct rg_exchange *x);
void rg_exchange_receive_from_replica(struct rg_worker *w, struct rg_exchange *x);
void rg_exchange_run_tunnel(struct rg_worker *w, struct rg_exchange *x);

/*
 * A success that is no WebSocket, for a client of HTTP/2 that asked for one: it would take it for one (RFC 8441 5, RFC
 * 9110 9.3.6), and all that follows for its frames.
 */
static inline bool rg_exchange_would_mislead(const struct rg_exchange *x, uint16_t status)
{
    return RG_UNLIKELY(x->websocket) && rg_client_is_h2(x->client) && status >= 200 && status < 300;
}

/*
 * exchange_splice.c. A large body goes on through a pipe, from here on and as long as it can: true. The receive that
 * would fill a block is not armed then.
 */
bool rg_exchange_is_for_pipe(const struct rg_worker *w, const struct rg_pump *p); /* so much is left of it */
bool rg_exchange_begin_splice(struct rg_worker *w, struct rg_exchange *x, struct rg_pump *p, struct rg_socket *from,
                              struct rg_socket *to);
/* Moves what can be moved. false: the exchange has ended. */
bool rg_exchange_run_splice(struct rg_worker *w, struct rg_exchange *x);
void rg_exchange_end_splice(struct rg_worker *w, struct rg_exchange *x);

/* exchange_end.c. After each of them the exchange may be gone. */
void rg_exchange_finish(struct rg_worker *w, struct rg_exchange *x);
/* Once all of the response is in the client's output: its connection is closed after it, and need not linger. */
bool rg_exchange_ends_connection(const struct rg_worker *w, const struct rg_exchange *x);
void rg_exchange_answer(struct rg_worker *w, struct rg_exchange *x, uint16_t status, struct rg_str type,
                        struct rg_str body);
void rg_exchange_redirect(struct rg_worker *w, struct rg_exchange *x, uint16_t status, struct rg_str location);
void rg_exchange_let_go_of_replica(struct rg_worker *w, struct rg_exchange *x, bool keep);
void rg_exchange_fail(struct rg_worker *w, struct rg_exchange *x, enum rg_reason reason);

/* exchange_leave.c: in the tunnel of one that is being left. */
void rg_exchange_say_goodbye(struct rg_worker *w, struct rg_exchange *x);
bool rg_exchange_waits_for_replica(const struct rg_exchange *x);
uint64_t rg_exchange_leave_due_ms(const struct rg_exchange *x);

/*
 * exchange_route.c. Looks for the route of a request that the gateway does not answer itself, where there are routes:
 * x->route, pinned with x->snapshot.
 */
void rg_exchange_find_route(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request *req,
                            struct rg_str host, struct rg_str path);
/* Where x->route leads, and what is written differently for it. NONE: all is well; NO_ROUTE: nowhere. */
enum rg_reason rg_exchange_follow_route(struct rg_worker *w, struct rg_exchange *x, struct rg_forward *f);
void rg_exchange_answer_no_route(struct rg_worker *w, struct rg_exchange *x);
void rg_exchange_leave_route(struct rg_worker *w, struct rg_exchange *x);   /* x->snapshot is unpinned */
void rg_exchange_outlive_route(struct rg_worker *w, struct rg_exchange *x); /* likewise, when a tunnel begins */

/*
 * exchange_policy.c. The policies of x->route see the request: what they make of it is in *req and *f. ANSWER:
 * rg_exchange_answer_by_policy is what follows, before anything else begins.
 */
enum rg_policy_verdict rg_exchange_police_request(struct rg_worker *w, struct rg_exchange *x,
                                                  const struct rg_h1_request **req, struct rg_str host,
                                                  struct rg_forward *f);
void rg_exchange_answer_by_policy(struct rg_worker *w, struct rg_exchange *x);
/* ... and the response, of the upstream or of the gateway itself, where x->policed. */
void rg_exchange_police_response(struct rg_worker *w, struct rg_exchange *x, struct rg_h1_response *res);
void rg_exchange_police_own_response(struct rg_exchange *x, struct rg_own_response *own);

/* exchange_time.c: time limits are looked at soon. */
void rg_exchange_check_soon(struct rg_worker *w, struct rg_exchange *x);

/* exchange_record.c. Keeps what the access record needs of the request while its bytes are there. */
void rg_exchange_note_request(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request *req,
                              struct rg_str host);
void rg_exchange_note_refused_head(struct rg_worker *w, struct rg_exchange *x);
/* Counters and the access record of an exchange that has ended. */
void rg_exchange_record(struct rg_worker *w, struct rg_exchange *x);

#endif
