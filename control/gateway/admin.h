/*
 * The admin endpoint: the control side's HTTP server (control/common/http_server.h) on loopback or a UNIX socket. This
 * part opens it, lets it use the descriptors kept for the control thread, and turns away what a web page sent. What it
 * says is up to the answer function of its owner, which answers at once.
 *
 * Ownership: the listening socket and all connections are the endpoint's. Thread: the control thread.
 */
#ifndef RG_GATEWAY_ADMIN_H
#define RG_GATEWAY_ADMIN_H

#include <stdio.h>

#include "control/common/http_server.h"
#include "control/common/json.h"
#include "datapath/settings.h"

#define RG_ADMIN_CONNECTIONS 32
#define RG_ADMIN_TIMEOUT_MS  10000 /* without progress: idle, a slow request, a slow reader */
#define RG_ADMIN_HEAD_MAX    8192
#define RG_ADMIN_BODY_MAX    16384

struct rg_admin_answer {
    uint16_t status;          /* preset to 200 */
    const char *content_type; /* preset to application/json */
    const char *allow;        /* of a 405 */
    FILE *body;               /* write it here */
};

struct rg_admin {
    struct rg_http_server http;
    int listen_fd; /* opened, not yet started; -1: none */
    struct rg_address address;
    bool is_open;
    bool owns_file;
    uint64_t *requests, *refused; /* counters, may be NULL */
    void (*answer)(struct rg_admin *admin, const struct rg_http_request *req, struct rg_admin_answer *ret);
};

void rg_admin_init(struct rg_admin *a, struct rg_loop *loop);

/* Binds and listens. Negative errno; `why` then says what and a remedy. */
int rg_admin_open(struct rg_admin *a, const struct rg_address *address, char *why, size_t why_len);
int rg_admin_start(struct rg_admin *a); /* answers from now on; 0 for one that was never opened */
void rg_admin_fini(struct rg_admin *a); /* closes everything; an endpoint that was never opened is fine */

/* No new connections; true while an answer is still on its way to a client. */
bool rg_admin_finish(struct rg_admin *a);

/*
 * Whether a browser may have sent this Host on behalf of a web page: a name that the page's owner makes resolve to this
 * machine (DNS rebinding). Addresses and localhost can't be such a name.
 */
bool rg_admin_is_foreign_host(struct rg_str host);

#endif
