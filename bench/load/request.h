/*
 * The bytes of the request, the same for every connection and every time: made once, sent from where they lie.
 * Constant after rg_request_init; any thread may read.
 */
#ifndef RG_LOAD_REQUEST_H
#define RG_LOAD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/load/options.h"

struct rg_request {
    char *bytes;
    size_t length;
    bool is_head;
    bool is_upgrade, is_message; /* asks for a WebSocket; is sent over one */
};

int rg_request_init(struct rg_request *r, const struct rg_load_options *o); /* negative errno */
/* With --websocket: what comes first on each connection. */
int rg_request_init_upgrade(struct rg_request *r, const struct rg_load_options *o);
void rg_request_fini(struct rg_request *r);

#endif
