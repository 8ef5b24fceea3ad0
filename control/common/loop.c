/* See loop.h. Alarms lie in a pairing heap, descriptors with epoll. */
#include "control/common/loop.h"

#include <errno.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include "datapath/base/assert.h"

uint64_t rg_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

int rg_loop_init(struct rg_loop *loop)
{
    *loop = (struct rg_loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    return loop->epoll_fd < 0 ? -errno : 0;
}

void rg_loop_fini(struct rg_loop *loop)
{
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    loop->epoll_fd = -1;
}

static int control(struct rg_loop *loop, int op, struct rg_watch *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};
    return epoll_ctl(loop->epoll_fd, op, w->fd, &ev) < 0 ? -errno : 0;
}

int rg_loop_watch(struct rg_loop *loop, struct rg_watch *w, uint32_t events)
{
    return control(loop, EPOLL_CTL_ADD, w, events);
}

int rg_loop_rewatch(struct rg_loop *loop, struct rg_watch *w, uint32_t events)
{
    return control(loop, EPOLL_CTL_MOD, w, events);
}

void rg_loop_unwatch(struct rg_loop *loop, struct rg_watch *w)
{
    control(loop, EPOLL_CTL_DEL, w, 0);
    /* An event of this turn may still be waiting for it; its owner may be gone by then. */
    for (int i = 0; i < loop->n_batch; i++)
        if (loop->batch[i].data.ptr == w)
            loop->batch[i].data.ptr = NULL;
}

/* ---- Alarms: a pairing heap, so that thousands cost each other little ---- */

static bool is_before(const struct rg_alarm *a, const struct rg_alarm *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

/* Two heaps become one; either may be NULL. Roots have neither `next` nor `prev`. */
static struct rg_alarm *meld(struct rg_alarm *a, struct rg_alarm *b)
{
    if (!a || !b)
        return a ? a : b;
    struct rg_alarm *root = is_before(b, a) ? b : a, *below = root == a ? b : a;
    below->prev = root;
    below->next = root->child;
    if (root->child)
        root->child->prev = below;
    root->child = below;
    return root;
}

/* The children of a root that goes: first by pairs, then all together. */
static struct rg_alarm *meld_children(struct rg_alarm *first)
{
    struct rg_alarm *pairs = NULL, *root = NULL;
    while (first) {
        struct rg_alarm *a = first, *b = first->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct rg_alarm *rest = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = rest;
    }
    return root;
}

void rg_loop_set_alarm(struct rg_loop *loop, struct rg_alarm *a, uint64_t delay_ms)
{
    RG_ASSERT(a->due);
    rg_loop_clear_alarm(loop, a);
    a->at_ms = rg_now_ms() + delay_ms;
    a->order = loop->n_set++;
    a->set = true;
    loop->alarms = meld(loop->alarms, a);
}

void rg_loop_clear_alarm(struct rg_loop *loop, struct rg_alarm *a)
{
    if (!a->set)
        return;
    struct rg_alarm *children = meld_children(a->child);
    if (loop->alarms == a) {
        loop->alarms = children;
    } else {
        if (a->prev->child == a) /* the first child; `prev` of the others is their left neighbour */
            a->prev->child = a->next;
        else
            a->prev->next = a->next;
        if (a->next)
            a->next->prev = a->prev;
        loop->alarms = meld(loop->alarms, children);
    }
    a->child = a->next = a->prev = NULL;
    a->set = false;
}

static int wait_ms(const struct rg_loop *loop)
{
    if (!loop->alarms)
        return -1;
    uint64_t now = rg_now_ms();
    if (loop->alarms->at_ms <= now)
        return 0;
    uint64_t left = loop->alarms->at_ms - now;
    return left > INT_MAX ? INT_MAX : (int)left;
}

static void deliver_alarms(struct rg_loop *loop)
{
    /* Bounded: alarms that set themselves again with no delay can't keep descriptors waiting. */
    uint64_t now = rg_now_ms();
    for (unsigned turns = 0; loop->alarms && loop->alarms->at_ms <= now && turns < RG_LOOP_BATCH; turns++) {
        struct rg_alarm *a = loop->alarms;
        rg_loop_clear_alarm(loop, a);
        a->due(a);
    }
}

int rg_loop_turn(struct rg_loop *loop)
{
    int n = epoll_wait(loop->epoll_fd, loop->batch, RG_LOOP_BATCH, wait_ms(loop));
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    loop->n_batch = n;
    for (int i = 0; i < n; i++) {
        struct rg_watch *w = loop->batch[i].data.ptr;
        if (w)
            w->ready(w, loop->batch[i].events);
    }
    loop->n_batch = 0;
    deliver_alarms(loop);
    return 0;
}
