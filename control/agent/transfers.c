/* See transfers.h. */
#include "control/agent/transfers.h"

#include <errno.h>
#include <stdlib.h>

struct socket_watch {
    struct rg_watch watch;
    struct rg_transfers *set;
};

/* ---- What has ended ---- */

static void deliver(struct rg_transfers *set)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(set->multi, &left));) {
        struct rg_transfer *t = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode result = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        t->ended(t, result);
    }
}

static void act(struct rg_transfers *set, curl_socket_t fd, int what)
{
    int running;
    curl_multi_socket_action(set->multi, fd, what, &running);
    deliver(set);
}

/* ---- libcurl's two callbacks ---- */

static void socket_ready(struct rg_watch *watch, uint32_t events)
{
    struct socket_watch *w = RG_OWNER(watch, struct socket_watch, watch);
    int what = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    act(w->set, watch->fd, what); /* w may be gone now */
}

static void unwatch(struct socket_watch *w)
{
    rg_loop_unwatch(w->set->loop, &w->watch);
    free(w);
}

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *owner, void *attached)
{
    (void)easy;
    struct rg_transfers *set = owner;
    struct socket_watch *w = attached;
    uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (what == CURL_POLL_REMOVE) {
        if (w)
            unwatch(w);
        curl_multi_assign(set->multi, fd, NULL);
        return 0;
    }
    if (w)
        return rg_loop_rewatch(set->loop, &w->watch, events) < 0 ? -1 : 0;
    w = calloc(1, sizeof(*w));
    if (!w)
        return -1;
    *w = (struct socket_watch){.watch = {.fd = fd, .ready = socket_ready}, .set = set};
    if (rg_loop_watch(set->loop, &w->watch, events) < 0) {
        free(w);
        return -1;
    }
    curl_multi_assign(set->multi, fd, w);
    return 0;
}

static int timer_changed(CURLM *multi, long timeout_ms, void *owner)
{
    (void)multi;
    struct rg_transfers *set = owner;
    if (timeout_ms < 0)
        rg_loop_clear_alarm(set->loop, &set->timer);
    else
        rg_loop_set_alarm(set->loop, &set->timer, (uint64_t)timeout_ms);
    return 0;
}

static void timer_due(struct rg_alarm *a)
{
    act(RG_OWNER(a, struct rg_transfers, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* ---- The set ---- */

int rg_transfers_init(struct rg_transfers *set, struct rg_loop *loop)
{
    *set = (struct rg_transfers){.loop = loop, .timer.due = timer_due};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    set->multi = curl_multi_init();
    if (!set->multi)
        return -ENOMEM;
    curl_multi_setopt(set->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    curl_multi_setopt(set->multi, CURLMOPT_SOCKETDATA, set);
    curl_multi_setopt(set->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    curl_multi_setopt(set->multi, CURLMOPT_TIMERDATA, set);
    return 0;
}

void rg_transfers_fini(struct rg_transfers *set)
{
    if (!set->multi)
        return;
    curl_multi_cleanup(set->multi); /* closes kept connections, and unwatches them */
    rg_loop_clear_alarm(set->loop, &set->timer);
    set->multi = NULL;
}

bool rg_transfers_add(struct rg_transfers *set, struct rg_transfer *t)
{
    t->error[0] = '\0';
    return curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t) == CURLE_OK &&
           curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error) == CURLE_OK &&
           curl_multi_add_handle(set->multi, t->easy) == CURLM_OK;
}

void rg_transfers_remove(struct rg_transfers *set, struct rg_transfer *t)
{
    if (!t->easy)
        return;
    curl_multi_remove_handle(set->multi, t->easy);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
}
