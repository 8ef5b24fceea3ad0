/*
 * What the connections of HTTP/2 of one worker share, to clients and to the replica: memory, how the library is set up,
 * and the list of those that have something to send. Lifetime: embedded in the worker. Thread: the worker's, but for
 * init and fini.
 */
#ifndef RG_H2_SHARED_H
#define RG_H2_SHARED_H

#include "datapath/h2/h2_mem.h"

struct rg_worker;

struct rg_h2_shared {
    struct rg_h2_mem mem;
    struct rg_pool connections, streams;              /* struct rg_h2, struct rg_h2_stream */
    struct rg_list dirty;                             /* struct rg_h2: may have something to send this turn */
    struct rg_pool replica_sessions, replica_streams; /* struct rg_h2c, struct rg_h2c_stream */
    struct rg_list replica_dirty;                     /* struct rg_h2c, likewise */
    nghttp2_session_callbacks *callbacks, *replica_callbacks;
    nghttp2_option *option, *replica_option;
};

/* false: no memory; fini is needed nonetheless. */
bool rg_h2_shared_init(struct rg_h2_shared *shared);
void rg_h2_shared_fini(struct rg_h2_shared *shared);
void rg_h2_tick(struct rg_worker *w); /* each second */

#endif
