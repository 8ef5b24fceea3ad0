/*
 * See health.h: when to probe, over which connection, and what follows from a verdict. health_answer.c reads answers.
 */
#include "control/gateway/health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/common/address.h"
#include "control/common/descriptors.h"
#include "control/gateway/health_parts.h"
#include "control/gateway/listen.h"
#include "datapath/base/log.h"
#include "datapath/reach.h"

/* ---- Verdicts ---- */

static void count(uint64_t *counter)
{
    if (counter)
        ++*counter;
}

static enum rg_replica_state state_now(const struct rg_prober *p)
{
    return (enum rg_replica_state)__atomic_load_n(&p->replica->state, __ATOMIC_RELAXED);
}

static void set_state(struct rg_prober *p, enum rg_replica_state state)
{
    if (!rg_replica_set(p->replica, state))
        return;
    p->seen_generation++; /* not its value now: a worker's change in between is left for the next tick */
    if (state == RG_REPLICA_HEALTHY && p->settings.enabled)
        rg_info("the replica is healthy replica=%s", p->address.text);
    else if (state == RG_REPLICA_HEALTHY)
        rg_info("the replica takes connections again replica=%s", p->address.text);
    else
        rg_warn("the replica is down replica=%s path=%s reason=\"%s\"", p->address.text, p->settings.path, p->why);
}

/* A replica of which nothing is known yet is what its first probe says. */
static void succeeded(struct rg_prober *p)
{
    count(p->ok);
    p->bad = 0;
    p->good++;
    p->why[0] = '\0';
    if (state_now(p) == RG_REPLICA_UNKNOWN || p->good >= p->settings.rise)
        set_state(p, RG_REPLICA_HEALTHY);
}

static void failed(struct rg_prober *p)
{
    count(p->failed);
    p->good = 0;
    p->bad++;
    rg_debug("probe failed replica=%s reason=\"%s\"", p->address.text, p->why);
    if (state_now(p) == RG_REPLICA_UNKNOWN || p->bad >= p->settings.fall)
        set_state(p, RG_REPLICA_DOWN);
}

/* ---- The end of a probe ---- */

static void close_probe(struct rg_prober *p)
{
    rg_loop_clear_alarm(p->loop, &p->timeout);
    if (p->socket.fd >= 0) {
        rg_loop_unwatch(p->loop, &p->socket);
        close(p->socket.fd);
    }
    rg_probe_h2c_destroy(p->h2c);
    p->h2c = NULL;
    p->socket.fd = -1;
    p->state = RG_PROBE_IDLE;
}

/* The interval runs from start to start, whatever a probe takes. */
static void schedule(struct rg_prober *p)
{
    uint64_t took = rg_now_ms() - p->started_ms;
    rg_loop_set_alarm(p->loop, &p->next, took < p->settings.interval_ms ? p->settings.interval_ms - took : 0);
}

void rg_prober_finish(struct rg_prober *p, bool healthy)
{
    close_probe(p);
    if (healthy)
        succeeded(p);
    else
        failed(p);
    schedule(p);
}

void rg_prober_fail(struct rg_prober *p, const char *what, int error)
{
    snprintf(p->why, sizeof(p->why), "%s%s%s", what, error ? ": " : "", error ? strerror(error) : "");
    rg_prober_finish(p, false);
}

static void timed_out(struct rg_alarm *a)
{
    struct rg_prober *p = RG_OWNER(a, struct rg_prober, timeout);
    static const char *const at[] = {
        [RG_PROBE_IDLE] = "",
        [RG_PROBE_CONNECTING] = "connecting",
        [RG_PROBE_SENDING] = "sending the request",
        [RG_PROBE_READING] = "awaiting the answer",
    };
    snprintf(p->why, sizeof(p->why), "no answer within %u ms, still %s", p->settings.timeout_ms, at[p->state]);
    rg_prober_finish(p, false);
}

/* ---- The request ---- */

static void await_answer(struct rg_prober *p)
{
    p->state = RG_PROBE_READING;
    rg_loop_rewatch(p->loop, &p->socket, EPOLLIN);
}

static void send_h2c_request(struct rg_prober *p)
{
    int r = rg_probe_h2c_send(p->h2c, p->socket.fd);
    if (r < 0)
        rg_prober_fail(p, "can't send", -r);
    else if (r > 0)
        await_answer(p);
}

static void send_request(struct rg_prober *p)
{
    if (p->h2c) {
        send_h2c_request(p);
        return;
    }
    ssize_t n = send(p->socket.fd, p->request + p->sent, p->request_len - p->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        rg_prober_fail(p, "can't send", errno);
        return;
    }
    p->sent += n > 0 ? (size_t)n : 0;
    if (p->sent < p->request_len)
        return;
    await_answer(p);
}

/* Said once; the line after it says that probes go on. */
static void skip_probe(struct rg_prober *p, int error)
{
    if (!p->skipping)
        rg_warn("the replica can't be checked, what is known of it stays replica=%s error=\"%s\"; %s", p->address.text,
                strerror(error),
                error == EMFILE || error == ENFILE ? "raise LimitNOFILE= in the unit, or ulimit -n"
                                                   : "see to memory and local ports");
    p->skipping = true;
    close_probe(p);
    schedule(p);
}

static void connected(struct rg_prober *p)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(p->socket.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error) {
        rg_prober_fail(p, "can't connect", error);
        return;
    }
    if (!p->settings.enabled) { /* nothing to ask: a replica that takes connections is up */
        rg_prober_finish(p, true);
        return;
    }
    p->state = RG_PROBE_SENDING;
    if (p->protocol == RG_REPLICA_H2C) {
        p->h2c = rg_probe_h2c_create(p->host, p->settings.path, p->input, RG_HEALTH_INPUT);
        if (!p->h2c) {
            skip_probe(p, ENOMEM);
            return;
        }
    }
    send_request(p);
}

static void socket_ready(struct rg_watch *w, uint32_t events)
{
    (void)events;
    struct rg_prober *p = RG_OWNER(w, struct rg_prober, socket);
    if (p->state == RG_PROBE_CONNECTING)
        connected(p);
    else if (p->state == RG_PROBE_SENDING)
        send_request(p);
    else
        rg_prober_read_answer(p);
}

static int new_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 || errno != EMFILE)
        return fd;
    rg_descriptors_lift();
    fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rg_descriptors_lower();
    return fd;
}

static int open_socket(struct rg_prober *p)
{
    p->socket.fd = new_socket(p->address.sa.sa_family);
    if (p->socket.fd < 0)
        return -errno;
    if (connect(p->socket.fd, &p->address.sa, p->address.len) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(p->socket.fd);
        p->socket.fd = -1;
        return -error;
    }
    return rg_loop_watch(p->loop, &p->socket, EPOLLOUT);
}

static void start_probe(struct rg_prober *p)
{
    p->started_ms = rg_now_ms();
    p->sent = p->received = p->head_len = p->body_len = 0;
    p->resume = (struct rg_h1_resume){0, 0};
    p->content_type = RG_STR_NONE;
    int r = open_socket(p);
    if (rg_reach_is_own_shortage(-r)) {
        skip_probe(p, -r);
        return;
    }
    if (p->skipping)
        rg_info("the replica is checked again replica=%s", p->address.text);
    p->skipping = false;
    if (r < 0) {
        rg_prober_fail(p, "can't connect", -r);
        return;
    }
    p->state = RG_PROBE_CONNECTING;
    rg_loop_set_alarm(p->loop, &p->timeout, p->settings.timeout_ms);
}

/* Without a path to ask for, only a replica that was found down is tried, by a connect. */
static void next_due(struct rg_alarm *a)
{
    struct rg_prober *p = RG_OWNER(a, struct rg_prober, next);
    if (p->settings.enabled || rg_replica_is_down(p->replica))
        start_probe(p);
}

/* ---- Settings ---- */

static void make_request(struct rg_prober *p)
{
    snprintf(p->host, sizeof(p->host), "localhost");
    if (p->address.sa.sa_family != AF_UNIX)
        rg_address_format(&p->address, p->host, sizeof(p->host));
    int n = snprintf(p->request, sizeof(p->request),
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: ringgate/%s (health)\r\nAccept: */*\r\n"
                     "Connection: close\r\n\r\n",
                     p->settings.path, p->host, RG_VERSION);
    p->request_len = (size_t)n;
}

int rg_prober_init(struct rg_prober *p, struct rg_loop *loop, struct rg_replica *replica)
{
    *p = (struct rg_prober){.loop = loop, .replica = replica};
    p->socket = (struct rg_watch){.fd = -1, .ready = socket_ready};
    p->next.due = next_due;
    p->timeout.due = timed_out;
    p->input = malloc(RG_HEALTH_INPUT);
    p->trailers = malloc(RG_TRAILER_MAX);
    return p->input && p->trailers ? 0 : -ENOMEM;
}

void rg_prober_fini(struct rg_prober *p)
{
    if (p->loop) {
        close_probe(p);
        rg_loop_clear_alarm(p->loop, &p->next);
    }
    free(p->input);
    free(p->trailers);
    p->input = p->trailers = NULL;
}

static bool is_same_health(const struct rg_health_settings *a, const struct rg_health_settings *b)
{
    return a->enabled == b->enabled && strcmp(a->path, b->path) == 0 && a->interval_ms == b->interval_ms &&
           a->timeout_ms == b->timeout_ms && a->expect == b->expect && a->status_min == b->status_min &&
           a->status_max == b->status_max && a->rise == b->rise && a->fall == b->fall;
}

static bool is_same(const struct rg_prober *p, const struct rg_settings *s)
{
    return p->request_len > 0 && p->protocol == s->replica_protocol && rg_address_equal(&p->address, &s->replica) &&
           is_same_health(&p->settings, &s->health);
}

/* Nobody has looked: the log must not call the replica healthy. */
static void trust(struct rg_prober *p)
{
    if (rg_replica_set(p->replica, RG_REPLICA_HEALTHY))
        p->seen_generation++;
    if (p->settings.is_self)
        return;
    rg_info("the replica's health is not checked (replica.health.path is off), it counts as healthy until connects "
            "fail replica=%s",
            p->address.text);
}

void rg_prober_configure(struct rg_prober *p, const struct rg_settings *s)
{
    if (is_same(p, s))
        return;
    close_probe(p);
    p->address = s->replica;
    p->settings = s->health;
    p->protocol = s->replica_protocol;
    p->good = p->bad = 0;
    p->why[0] = '\0';
    make_request(p);
    if (s->health.enabled)
        rg_loop_set_alarm(p->loop, &p->next, 0);
    else
        trust(p);
}

void rg_prober_tick(struct rg_prober *p)
{
    uint64_t generation = __atomic_load_n(&p->replica->generation, __ATOMIC_ACQUIRE); /* connect_error goes with it */
    if (generation == p->seen_generation)
        return;
    p->seen_generation = generation;
    if (!rg_replica_is_down(p->replica))
        return;
    p->good = 0;
    snprintf(p->why, sizeof(p->why), "%u connects in a row failed: %s",
             __atomic_load_n(&p->replica->connect_failures, __ATOMIC_RELAXED),
             strerror(__atomic_load_n(&p->replica->connect_error, __ATOMIC_RELAXED)));
    rg_warn("the replica is down replica=%s reason=\"%s\"", p->address.text, p->why);
    if (!p->settings.enabled && p->state == RG_PROBE_IDLE)
        rg_loop_set_alarm(p->loop, &p->next, p->settings.interval_ms);
}
