/*
 * A thread of the origin: its epoll loop. Events only mark clients and run them; whatever may end other clients (the
 * switch to down, timers) happens after the batch, so no event refers to a client that is gone.
 */
#include "bench/origin/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, ACCEPTS = 64 };

static void update_clock(struct rg_thread *t)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    t->now_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
    time_t wall = time(NULL);
    if (wall == t->date_s)
        return;
    struct tm tm;
    t->date_s = wall;
    gmtime_r(&wall, &tm);
    strftime(t->date, sizeof(t->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

/* Out of descriptors: take the connection with the spare one and close it, else epoll would report it for ever. */
static void shed(struct rg_thread *t, int listener)
{
    close(t->spare_fd);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    t->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_some(struct rg_thread *t, int listener)
{
    for (unsigned i = 0; i < ACCEPTS; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            rg_client_accept(t, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE)
            shed(t, listener);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

static void handle_client(struct rg_client *c, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        c->writable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->peer_gone = true;
    rg_client_run(c);
}

static void handle_event(struct rg_thread *t, const struct epoll_event *ev)
{
    struct rg_source *source = ev->data.ptr;
    uint64_t count;
    switch (source->kind) {
    case RG_SOURCE_LISTENER:
        accept_some(t, source->fd);
        break;
    case RG_SOURCE_WAKE:
        if (read(source->fd, &count, sizeof(count)) == sizeof(count))
            t->woken = true;
        break;
    case RG_SOURCE_CLIENT:
        handle_client((struct rg_client *)source, ev->events);
        break;
    }
}

/* A replica that goes down takes its connections with it; exchanges under way are cut, closings finish. */
static void close_for_down(struct rg_thread *t)
{
    struct rg_client *c, *next;
    for (c = LIST_FIRST(&t->clients); c; c = next) {
        next = LIST_NEXT(c, all);
        bool control = c->state == RG_CLIENT_BUSY && c->task.route && c->task.route->control;
        if (!control && (c->state == RG_CLIENT_IDLE || c->state == RG_CLIENT_BUSY))
            rg_client_free(c);
    }
}

static void run_queued(struct rg_thread *t)
{
    struct rg_client *c;
    /* Those that queue themselves again wait for the next turn, after new events. */
    unsigned n = 0;
    TAILQ_FOREACH(c, &t->run, run)
    n++;
    while (n-- > 0 && (c = TAILQ_FIRST(&t->run)) != NULL) {
        TAILQ_REMOVE(&t->run, c, run);
        c->in_run = false;
        rg_client_run(c);
    }
}

static void run_due(struct rg_thread *t)
{
    struct rg_client *c;
    while ((c = rg_timer_take_due(t)) != NULL)
        rg_client_timer(c);
}

static void *thread_main(void *arg)
{
    struct rg_thread *t = arg;
    struct epoll_event events[EVENTS];

    update_clock(t);
    while (!t->server->stop) {
        int wait = TAILQ_EMPTY(&t->run) ? rg_timer_wait(t) : 0;
        int n = epoll_wait(t->epoll, events, EVENTS, wait);
        update_clock(t);
        for (int i = 0; i < n; i++)
            handle_event(t, &events[i]);
        run_queued(t);
        run_due(t);
        if (t->woken && t->server->health == RG_DOWN)
            close_for_down(t);
        t->woken = false;
    }
    return NULL;
}

static int watch(struct rg_thread *t, struct rg_source *source, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = source};
    return epoll_ctl(t->epoll, EPOLL_CTL_ADD, source->fd, &ev) < 0 ? -errno : 0;
}

int rg_thread_init(struct rg_thread *t)
{
    int err;
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->wake = (struct rg_source){RG_SOURCE_WAKE, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    t->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (t->epoll < 0 || t->wake.fd < 0 || t->spare_fd < 0)
        return -errno;
    err = watch(t, &t->wake, EPOLLIN);
    for (unsigned i = 0; i < t->server->n_listen && err == 0; i++)
        err = watch(t, &t->listeners[i], EPOLLIN | EPOLLEXCLUSIVE);
    return err;
}

int rg_thread_start(struct rg_thread *t)
{
    return -pthread_create(&t->id, NULL, thread_main, t);
}

void rg_thread_fini(struct rg_thread *t)
{
    struct rg_client *c;
    while ((c = LIST_FIRST(&t->clients)) != NULL)
        rg_client_free(c);
    while ((c = LIST_FIRST(&t->spare_clients)) != NULL) {
        LIST_REMOVE(c, all);
        free(c);
    }
    for (unsigned i = 0; i < t->n_ready; i++)
        free(t->ready[i].data);
    free(t->timers);
    if (t->epoll >= 0)
        close(t->epoll);
    if (t->wake.fd >= 0)
        close(t->wake.fd);
    if (t->spare_fd >= 0)
        close(t->spare_fd);
    pthread_mutex_destroy(&t->tally.lock);
}

void rg_server_wake(struct rg_server *s)
{
    uint64_t one = 1;
    for (unsigned i = 0; i < s->n_threads; i++) {
        ssize_t n = write(s->threads[i].wake.fd, &one, sizeof(one));
        (void)n; /* full means it is awake already */
    }
}
