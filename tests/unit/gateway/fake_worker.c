#include "fake_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "datapath/route/snapshot.h"

struct fake_worker_rules fake_worker_rules;

struct fake_worker *fake_worker_of(struct rg_worker *w)
{
    return (struct fake_worker *)(void *)w;
}

static const struct fake_worker *fake_of(const struct rg_worker *w)
{
    return (const struct fake_worker *)(const void *)w;
}

uint32_t rg_worker_clients_of(uint64_t descriptors)
{
    return (uint32_t)descriptors;
}

int rg_worker_create(struct rg_worker **ret, const struct rg_worker_init *init)
{
    if (fake_worker_rules.create_error)
        return fake_worker_rules.create_error;
    struct fake_worker *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);
    if (!f)
        return -ENOMEM;
    memset(f, 0, sizeof(*f));
    f->init = *init;
    f->published = init->settings;
    f->generation = init->settings->generation;
    f->routes = init->routes;
    f->routes_generation = init->routes ? rg_snapshot_generation(init->routes) : 0;
    fake_worker_rules.alive++;
    *ret = (struct rg_worker *)(void *)f;
    return 0;
}

int rg_worker_start(struct rg_worker *w)
{
    fake_worker_of(w)->started = true;
    return 0;
}

void rg_worker_publish(struct rg_worker *w, const struct rg_settings *settings)
{
    fake_worker_of(w)->published = settings;
    if (!fake_worker_rules.keep_generation)
        fake_worker_of(w)->generation = settings->generation;
}

uint64_t rg_worker_generation(const struct rg_worker *w)
{
    return fake_of(w)->generation;
}

void rg_worker_look_at_endpoints(struct rg_worker *w, uint64_t epoch)
{
    fake_worker_of(w)->endpoints_epoch = epoch;
}

uint64_t rg_worker_endpoints_epoch(const struct rg_worker *w)
{
    return fake_of(w)->endpoints_epoch;
}

void rg_worker_publish_routes(struct rg_worker *w, struct rg_snapshot *snapshot)
{
    fake_worker_of(w)->routes = snapshot;
    if (!fake_worker_rules.keep_routes)
        fake_worker_switch_routes(w);
}

void fake_worker_switch_routes(struct rg_worker *w)
{
    struct fake_worker *f = fake_worker_of(w);
    uint64_t one = 1;
    f->routes_generation = rg_snapshot_generation(f->routes);
    if (write(f->init.switched_fd, &one, sizeof(one)) != sizeof(one))
        abort();
}

uint64_t rg_worker_routes_generation(const struct rg_worker *w)
{
    return fake_of(w)->routes_generation;
}

void rg_worker_drain(struct rg_worker *w)
{
    fake_worker_of(w)->draining = true;
    if (!fake_worker_rules.keep_running)
        fake_worker_of(w)->ended = true;
}

void rg_worker_stop(struct rg_worker *w, bool at_once)
{
    (void)at_once;
    fake_worker_of(w)->stopped = true;
    if (!fake_worker_rules.hang)
        fake_worker_of(w)->ended = true;
}

bool rg_worker_has_ended(const struct rg_worker *w)
{
    return fake_of(w)->ended;
}

void rg_worker_destroy(struct rg_worker *w)
{
    if (!w)
        return;
    struct fake_worker *f = fake_worker_of(w);
    for (uint16_t i = 0; i < f->init.n_listen_fds; i++)
        close(f->init.listen_fds[i]);
    fake_worker_rules.alive--;
    free(f);
}

void rg_worker_abandon_listeners(struct rg_worker *w)
{
    fake_worker_of(w)->abandoned = true;
    for (uint16_t i = 0; i < fake_of(w)->init.n_listen_fds; i++)
        shutdown(fake_of(w)->init.listen_fds[i], SHUT_RDWR);
}

void rg_worker_stall(struct rg_worker *w, uint32_t ms)
{
    fake_worker_of(w)->stalled_ms = ms;
}

const struct rg_metrics *rg_worker_metrics(const struct rg_worker *w)
{
    return &fake_of(w)->metrics;
}

const struct rg_steer_worker *rg_worker_steer(const struct rg_worker *w)
{
    return fake_of(w)->init.steer;
}
