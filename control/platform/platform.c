/*
 * The platform from start to exit: what is opened in which order, what ends it. See platform.h.
 */
#include "control/platform/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/artifact/artifact.h"
#include "control/common/ids.h"
#include "control/platform/api.h"
#include "control/platform/metrics.h"
#include "datapath/base/log.h"

#define INSIDE_BACKLOG     4096
#define INSIDE_CONNECTIONS 100000 /* the front limits what comes in */
#define INSIDE_TIMEOUT_MS  60000

/* ---- Effects ---- */

void rg_platform_apply(struct rg_platform *p, struct rg_effects *effects)
{
    if (rg_hub_apply(p->hub, effects) && !p->sweep.set && !p->sweeping)
        rg_loop_set_alarm(&p->front.loop, &p->sweep, p->settings.sweep_ms);
    rg_effects_fini(effects);
    rg_effects_init(effects);
}

/* ---- What was not acknowledged in time ---- */

struct sweep {
    struct rg_store_job job;
    struct rg_platform *platform;
    struct rg_effects effects;
    uint64_t next_ms;
};

static int sweep_run(struct rg_store *store, struct rg_store_job *job)
{
    struct sweep *s = RG_CONTAINER(job, struct sweep, job);
    rg_effects_fini(&s->effects);
    rg_effects_init(&s->effects);
    int r = rg_store_sweep(store, &s->effects, &s->next_ms);
    return r == 0 && s->effects.lost ? -ENOMEM : r;
}

static void sweep_done(struct rg_store_job *job)
{
    struct sweep *s = RG_CONTAINER(job, struct sweep, job);
    struct rg_platform *p = s->platform;
    p->sweeping = false;
    if (job->result < 0)
        rg_error("can't look for deployments that wait too long error=\"%s\"", strerror(-job->result));
    else
        rg_platform_apply(p, &s->effects);
    if ((job->result < 0 || s->next_ms != UINT64_MAX) && !p->sweep.set)
        rg_loop_set_alarm(&p->front.loop, &p->sweep, p->settings.sweep_ms);
    rg_effects_fini(&s->effects);
    free(s);
}

static void sweep_due(struct rg_alarm *a)
{
    struct rg_platform *p = RG_OWNER(a, struct rg_platform, sweep);
    struct sweep *s = calloc(1, sizeof(*s));
    if (s) {
        s->platform = p;
        s->job.run = sweep_run;
        s->job.done = sweep_done;
        rg_effects_init(&s->effects);
    }
    p->sweeping = s && rg_store_thread_submit(p->thread, &s->job) == 0;
    if (p->sweeping)
        return;
    free(s);
    rg_loop_set_alarm(&p->front.loop, &p->sweep, p->settings.sweep_ms);
}

/* ---- As the gateway's program ---- */

static void draining(void *owner)
{
    struct rg_platform *p = owner;
    p->draining = true;
    rg_platform_end_streams(p);
    rg_platform_end_links(p);
}

static void settle(struct rg_platform *p, struct rg_settings *front)
{
    front->replica = p->inside;
}

/* The front tells of its own. */
static void report_kept(const struct rg_platform_settings *running, const struct rg_platform_settings *next)
{
    for (size_t i = 0; i < rg_platform_options_table.count; i++) {
        const struct rg_conf_option *o = &rg_platform_options_table.options[i];
        char was[RG_CONF_TEXT_MAX], wanted[RG_CONF_TEXT_MAX];
        if (!o->fixed || o->offset < sizeof(running->front) || rg_conf_equal(o, running, next))
            continue;
        rg_conf_format(o, running, was, sizeof(was));
        rg_conf_format(o, next, wanted, sizeof(wanted));
        rg_warn("reload: this option needs a restart option=%s running=%s wanted=%s", o->path, was, wanted);
    }
}

static int reload(void *owner, const struct rg_options_outside *outside, struct rg_settings *ret, FILE *err)
{
    struct rg_platform *p = owner;
    struct rg_platform_settings *next = malloc(sizeof(*next));
    if (!next)
        return -ENOMEM;
    int r = rg_platform_options_load(p->flags, outside, next, err);
    if (r == 0) {
        report_kept(&p->settings, next);
        settle(p, &next->front);
        *ret = next->front;
    }
    free(next);
    return r;
}

static void read_rows(void *owner, uint64_t *values)
{
    struct rg_platform *p = owner;
    values[RG_PLATFORM_ROW_REQUESTS] = p->requests;
    values[RG_PLATFORM_ROW_REFUSED] = p->refused;
    values[RG_PLATFORM_ROW_GATEWAYS] = rg_hub_connections(p->hub);
    values[RG_PLATFORM_ROW_STREAMS] = rg_hub_streams(p->hub);
    values[RG_PLATFORM_ROW_SILENT] = p->pings_lost;
    for (unsigned i = 0; i < RG_TURNED_AWAY_REASONS; i++)
        values[RG_PLATFORM_ROW_TURNED_AWAY + i] = p->turned_away[i];
    for (int i = 0; i < RG_STORE_COUNTERS; i++)
        values[RG_PLATFORM_ROW_STORE + i] = rg_store_count(p->store, (enum rg_store_counter)i);
}

/* ---- Start ---- */

/* As a gateway reads it, so that most mistakes are found before they are deployed. */
static int check_artifact(const char *yaml, size_t len, struct rg_problems *problems, void *arg)
{
    struct rg_artifact *artifact = NULL;
    (void)arg;
    int r = rg_artifact_decode(yaml, len, &artifact, problems);
    rg_artifact_destroy(artifact);
    return r;
}

static int open_store(struct rg_platform *p)
{
    char why[512] = "";
    const struct rg_store_config config = {
        .dir = p->settings.data,
        .timeout_mode = (enum rg_timeout_mode)p->settings.timeout_mode,
        .timeout_ms = p->settings.timeout_ms,
        .max_per_gateway = p->settings.kept,
        .check = check_artifact,
    };
    int r = rg_store_open(&p->store, &config, why, sizeof(why));
    if (r < 0)
        rg_error("can't open the database: %s", why);
    return r;
}

/* A name that nobody else can have taken before. */
static void name_inside(struct rg_address *a)
{
    char name[RG_TOKEN_LEN + 1];
    *a = (struct rg_address){.un.sun_family = AF_UNIX};
    rg_token_make(name);
    int n = snprintf(a->un.sun_path + 1, sizeof(a->un.sun_path) - 1, "ringgate-platform-%s", name);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    snprintf(a->text, sizeof(a->text), "the platform itself");
}

static int open_inside(struct rg_platform *p)
{
    const struct rg_http_options options = {
        .connections = INSIDE_CONNECTIONS,
        .body_bytes = 2 * RG_API_BODY_MAX,                 /* so that the API says what is too large */
        .head_bytes = p->settings.front.head_bytes + 4096, /* what the front adds */
        .timeout_ms = INSIDE_TIMEOUT_MS,
        .same_process = true,
        .trusts_forwarding = true,
    };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, &p->inside.sa, p->inside.len) < 0 || listen(fd, INSIDE_BACKLOG) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    rg_http_server_init(&p->http, &p->front.loop, &options);
    p->http.owner = p;
    p->http.handle = rg_platform_handle;
    p->http.requests = &p->requests;
    p->http.refused = &p->refused;
    int r = rg_http_server_start(&p->http, fd);
    if (r < 0)
        close(fd);
    return r;
}

static void jobs_ready(struct rg_watch *watch, uint32_t events)
{
    (void)events;
    rg_store_thread_collect(RG_OWNER(watch, struct rg_platform, jobs)->thread);
}

static int start_thread(struct rg_platform *p)
{
    int r = rg_store_thread_create(&p->thread, p->store);
    if (r < 0)
        return r;
    p->jobs = (struct rg_watch){.fd = rg_store_thread_fd(p->thread), .ready = jobs_ready};
    return rg_loop_watch(&p->front.loop, &p->jobs, EPOLLIN);
}

static int start_hub(struct rg_platform *p)
{
    const struct rg_hub_limits limits = {.connections = p->settings.connections,
                                         .of_gateway = p->settings.connections_per_gateway,
                                         .streams = p->settings.streams,
                                         .connects_per_minute = p->settings.connects_per_minute};
    rg_platform_init_links(p);
    rg_platform_init_streams(p);
    p->sweep.due = sweep_due;
    return rg_hub_create(&p->hub, &limits);
}

static int make_certificate(const struct rg_platform *p)
{
    const struct rg_settings *front = &p->settings.front;
    char why[400] = "";
    for (unsigned i = 0; i < front->n_listeners; i++) {
        const struct rg_certificate_settings *own = &front->listeners[i].tls.certificates[0];
        if (front->listeners[i].tls.n_certificates == 0 || !rg_platform_is_own_certificate(&p->settings, own->cert))
            continue;
        int r = rg_platform_make_certificate(own->cert, own->key, why, sizeof(why));
        if (r < 0) {
            rg_error("%s", why);
            return r;
        }
    }
    return 0;
}

/* The store first: what it refuses, and what it creates, is what everything else stands on. */
static int start(struct rg_platform *p, const struct rg_flags *front_flags)
{
    if (rg_gateway_init(&p->front, front_flags, &p->settings.front, &p->program) < 0 || start_hub(p) < 0) {
        rg_error("can't set up the control thread: no memory or no descriptor");
        return RG_EXIT_FAILED;
    }
    if (open_store(p) < 0)
        return RG_EXIT_FAILED;
    if (make_certificate(p) < 0 || rg_gateway_load_certificates(&p->front) < 0 ||
        rg_gateway_open_listeners(&p->front) < 0)
        return RG_EXIT_USAGE;
    int r = start_thread(p);
    if (r == 0)
        r = open_inside(p);
    if (r < 0) {
        rg_error("can't start what is behind the front error=\"%s\"", strerror(-r));
        return RG_EXIT_FAILED;
    }
    rg_loop_set_alarm(&p->front.loop, &p->sweep, 0); /* what an earlier process left waiting */
    if (rg_gateway_start_workers(&p->front) < 0)
        return RG_EXIT_FAILED;
    rg_info("the database is open data=%s token_file=%s/admin.token", p->settings.data, p->settings.data);
    return EXIT_SUCCESS;
}

/* ---- The end ---- */

/* Connections before the store's thread, for each has a last job; answers that come too late go nowhere. */
static void fini(struct rg_platform *p)
{
    if (p->http.loop)
        rg_http_server_fini(&p->http);
    if (p->thread)
        rg_loop_unwatch(&p->front.loop, &p->jobs);
    rg_store_thread_destroy(p->thread);
    rg_platform_forget_links(p);
    rg_hub_destroy(p->hub);
    rg_store_close(p->store);
    rg_gateway_fini(&p->front);
}

int rg_platform_run(const struct rg_platform_flags *flags, const struct rg_platform_settings *settings)
{
    static struct rg_platform platform;
    static struct rg_flags front_flags;
    struct rg_platform *p = &platform;
    *p = (struct rg_platform){.flags = flags, .settings = *settings};
    p->program = (struct rg_gateway_program){.name = "ringgate-platform",
                                             .owner = p,
                                             .load = reload,
                                             .draining = draining,
                                             .rows = rg_platform_rows,
                                             .n_rows = RG_PLATFORM_ROWS,
                                             .read_rows = read_rows};
    front_flags = (struct rg_flags){.config_path = flags->config_path,
                                    .config_given = flags->config_given,
                                    .listen = flags->listen,
                                    .admin = flags->admin};
    name_inside(&p->inside);
    settle(p, &p->settings.front);
    int status = start(p, &front_flags);
    if (status == EXIT_SUCCESS)
        status = rg_gateway_serve(&p->front);
    fini(p);
    return status;
}
