/*
 * libcurl on the control thread's loop: its sockets are watched and its timer is an alarm, so that no transfer ever
 * waits. Owner: the agent. Thread: the control thread.
 */
#ifndef RG_AGENT_TRANSFERS_H
#define RG_AGENT_TRANSFERS_H

#include <curl/curl.h>

#include "control/common/loop.h"

struct rg_transfer { /* embedded in who waits for it */
    CURL *easy;
    /* Once, when it has ended by itself. The handle is still in the set, for those that only wanted a connection. */
    void (*ended)(struct rg_transfer *t, CURLcode result);
    char error[CURL_ERROR_SIZE]; /* what libcurl says of a failure; may be "" */
};

struct rg_transfers {
    struct rg_loop *loop;
    CURLM *multi; /* NULL: not made */
    struct rg_alarm timer;
};

int rg_transfers_init(struct rg_transfers *set, struct rg_loop *loop); /* -ENOMEM */
void rg_transfers_fini(struct rg_transfers *set);                      /* all transfers have been removed */

/* The handle is prepared by the caller but for what hangs it up here. false: no memory. */
bool rg_transfers_add(struct rg_transfers *set, struct rg_transfer *t);
/* Ended or not; destroys the handle, and with it a connection of its own. NULL handle: nothing is done. */
void rg_transfers_remove(struct rg_transfers *set, struct rg_transfer *t);

#endif
