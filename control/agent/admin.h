/*
 * The admin endpoint: a small HTTP/1.1 server on the control loop, for loopback or a UNIX socket. This part is the
 * server: connections, parsing, time-outs, writing. What it says is up to the answer function of its owner.
 *
 * Ownership: the listening socket and all connections are the endpoint's. Thread: the control thread. A slow or silent
 * client holds one of a fixed number of slots until its time is up, never the loop.
 */
#ifndef RG_AGENT_ADMIN_H
#define RG_AGENT_ADMIN_H

#include <stdio.h>

#include "control/common/json.h"
#include "control/common/loop.h"
#include "datapath/http/h1_framing.h"
#include "datapath/settings.h"

#define RG_ADMIN_CONNECTIONS 32
#define RG_ADMIN_TIMEOUT_MS  10000 /* without progress: idle, a slow request, a slow reader */
#define RG_ADMIN_INPUT_MAX   16384 /* a request with its body */
#define RG_ADMIN_FIELDS_MAX  64

struct rg_admin_request {
    const struct rg_h1_request *head; /* the method is GET where a client asked HEAD */
    struct rg_str path, query;
    struct rg_str body;
};

struct rg_admin_answer {
    uint16_t status;          /* preset to 200 */
    const char *content_type; /* preset to application/json */
    const char *allow;        /* of a 405 */
    FILE *body;               /* write it here */
};

struct rg_admin_connection;

struct rg_admin {
    struct rg_loop *loop;
    struct rg_watch listener; /* fd -1: off */
    struct rg_alarm retry;    /* accepting again after a failure */
    struct rg_address address;
    bool owns_file;
    uint64_t *requests, *refused; /* counters, may be NULL */
    void (*answer)(struct rg_admin *admin, const struct rg_admin_request *req, struct rg_admin_answer *ret);
    unsigned n_connections;
    struct rg_admin_connection *connections[RG_ADMIN_CONNECTIONS];
};

void rg_admin_init(struct rg_admin *a, struct rg_loop *loop);

/* Binds and listens. Negative errno; `why` then says what and a remedy. */
int rg_admin_open(struct rg_admin *a, const struct rg_address *address, char *why, size_t why_len);
int rg_admin_start(struct rg_admin *a); /* answers from now on */
void rg_admin_fini(struct rg_admin *a); /* closes everything; an endpoint that was never opened is fine */

/* No new connections; true while an answer is still on its way to a client. */
bool rg_admin_finish(struct rg_admin *a);

/* The first field of that kind, or an empty view. */
struct rg_str rg_admin_field(const struct rg_admin_request *req, enum rg_field_id id);

struct rg_str rg_admin_named_field(const struct rg_admin_request *req, const char *name); /* one without an id */

/* Of a query "?a=1&b=2", without decoding. false: absent. */
bool rg_admin_parameter(const struct rg_admin_request *req, const char *name, struct rg_str *ret);

#endif
