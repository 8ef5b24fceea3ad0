/* What the admin endpoint says of the gateway. Thread: the control thread; workers' counters are read while they run.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>

#include "control/gateway/gateway.h"
#include "datapath/base/assert.h"
#include "datapath/base/log.h"
#include "datapath/sys.h"

typedef void (*answer_fn)(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret);

__attribute__((format(printf, 3, 4))) static void refuse(struct rg_admin_answer *ret, uint16_t status,
                                                         const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ret->status = status;
    fprintf(ret->body, "{\"status\":%u,\"message\":", status);
    rg_json_string(ret->body, rg_str_of(text));
    fputs("}\n", ret->body);
}

/* For a message. */
static int cut(struct rg_str text)
{
    return (int)(text.len < 60 ? text.len : 60);
}

/* ---- Health of the gateway ---- */

static void answer_live(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    (void)req;
    bool live = !rg_gateway_is_hung(g);
    ret->status = live ? 200 : 503;
    fprintf(ret->body, "{\"live\":%s}\n", live ? "true" : "false");
}

static const char *replica_state(const struct rg_gateway *g)
{
    switch ((enum rg_replica_state)__atomic_load_n(&g->replica.state, __ATOMIC_RELAXED)) {
    case RG_REPLICA_HEALTHY:
        return "healthy";
    case RG_REPLICA_DOWN:
        return "down";
    case RG_REPLICA_UNKNOWN:
        break;
    }
    return "unknown";
}

static void answer_ready(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    (void)req;
    const char *replica = replica_state(g), *separator = "";
    unsigned unready = rg_gateway_unready(g);
    bool replica_fails = unready & (RG_UNREADY_REPLICA_UNKNOWN | RG_UNREADY_REPLICA_DOWN);
    ret->status = unready ? 503 : 200;
    fprintf(ret->body, "{\"ready\":%s,\"reasons\":[", unready ? "false" : "true");
    for (unsigned i = 0; i < RG_UNREADY_COUNT; i++) {
        if (!(unready & 1u << i))
            continue;
        fprintf(ret->body, "%s\"%s\"", separator, rg_gateway_unready_name(i));
        separator = ",";
    }
    fprintf(ret->body, "],\"replica\":\"%s\",\"detail\":", replica);
    rg_json_string(ret->body, replica_fails ? rg_str_of(g->prober.why) : RG_STR_NONE);
    fprintf(ret->body, ",\"draining\":%s,\"generation\":%" PRIu64 "}\n",
            unready & RG_UNREADY_DRAINING ? "true" : "false", rg_gateway_settings(g)->generation);
}

/* ---- Metrics ---- */

static void collect_routes(struct rg_gateway *g)
{
    uint64_t *values = g->metrics.values;
    const struct rg_snapshot *routes = rg_gateway_current_routes(g);
    struct rg_unit *const *units = NULL;
    values[RG_CM_ROUTES_GENERATION] = routes ? rg_snapshot_generation(routes) : 0;
    values[RG_CM_ROUTES_LIVE] = rg_gateway_routes_are_live(g);
    values[RG_CM_ROUTES] = routes ? rg_snapshot_routes(routes) : 0;
    values[RG_CM_UNITS] = routes ? rg_snapshot_units(routes, &units) : 0;
    values[RG_CM_SNAPSHOTS] = rg_gateway_retired_routes(g) + (routes != NULL);
}

static void collect(struct rg_gateway *g)
{
    uint64_t *values = g->metrics.values;
    values[RG_CM_DRAINING] = g->phase >= RG_PHASE_DRAINING;
    values[RG_CM_CONFIG_GENERATION] = rg_gateway_settings(g)->generation;
    values[RG_CM_CERTIFICATE_EXPIRY] = rg_tls_store_expiry(rg_gateway_settings(g)->tls);
    values[RG_CM_REPLICA_UP] = __atomic_load_n(&g->replica.state, __ATOMIC_RELAXED) == RG_REPLICA_HEALTHY;
    collect_routes(g);
    rg_gateway_count_endpoints(g);
    values[RG_CM_SOCKMAP_ACTIVE] = rg_gateway_settings(g)->sockmap;
    if (g->sockmap) {
#define RG_SOCKMAP_X(id, family, labels, help) values[RG_CM_SOCKMAP_##id] = rg_sockmap_get(g->sockmap, RG_SOCKMAP_##id);
        RG_SOCKMAP_COUNTS(RG_SOCKMAP_X)
#undef RG_SOCKMAP_X
    }
    if (!g->steer)
        return;
#define RG_STEER_X(id, name, help) values[RG_CM_VERDICT_##id] = rg_steer_verdict_count(g->steer, RG_STEER_##id);
    RG_STEER_VERDICTS(RG_STEER_X)
#undef RG_STEER_X
}

static void answer_metrics(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    const struct rg_metrics *workers[RG_WORKERS_MAX];
    bool open = rg_metrics_wants_open(rg_http_named_field(req, "accept"));
    collect(g);
    for (uint16_t i = 0; i < g->n_workers; i++)
        workers[i] = rg_worker_metrics(g->workers[i].worker);
    struct rg_metrics_view view = {.workers = workers, .n_workers = g->n_workers, .control = &g->metrics};
    view.routes = rg_gateway_current_routes(g);
    uint64_t more[RG_PROGRAM_ROWS_MAX];
    if (g->program) {
        RG_ASSERT(g->program->n_rows <= RG_PROGRAM_ROWS_MAX);
        g->program->read_rows(g->program->owner, more);
        view.more = g->program->rows;
        view.more_values = more;
        view.n_more = g->program->n_rows;
    }
    ret->content_type = open ? RG_METRICS_TYPE_OPEN_METRICS : RG_METRICS_TYPE_PROMETHEUS;
    rg_metrics_write(&view, open, ret->body);
}

static void answer_config(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    (void)req;
    rg_options_begin_json(rg_gateway_settings(g), ret->body);
    fputs(",\"routes\":", ret->body);
    rg_gateway_write_routes(g, ret->body);
    fputs(",\"endpoints\":", ret->body);
    rg_gateway_write_endpoints(g, ret->body);
    fputs("}\n", ret->body);
}

static void answer_control(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    (void)req;
    if (g->agent)
        rg_agent_write_json(g->agent, ret->body);
    else
        fputs("{\"enabled\":false}\n", ret->body);
}

/* ---- Workers ---- */

static void write_counter(FILE *out, const char **separator, const char *family, const char *labels, uint64_t value)
{
    char name[128];
    if (labels[0])
        snprintf(name, sizeof(name), "%s{%s}", family, labels);
    else
        snprintf(name, sizeof(name), "%s", family);
    fputs(*separator, out);
    rg_json_string(out, rg_str_of(name));
    fprintf(out, ":%" PRIu64, value);
    *separator = ",";
}

static void write_counters(const struct rg_metrics *m, FILE *out)
{
    const char *separator = "";
#define RG_COUNTER(id, family, labels, help) \
    write_counter(out, &separator, family, labels, rg_metric_get(m, RG_M_##id));
#define RG_GAUGE(id, family, labels, help) RG_COUNTER(id, family, labels, help)
#define RG_HISTOGRAM(id, family, help)
    fputs("\"counters\":{", out);
#include "datapath/base/metrics.def"
    fputs("}", out);
#undef RG_COUNTER
#undef RG_GAUGE
#undef RG_HISTOGRAM
}

static void write_worker(const struct rg_gateway *g, uint16_t id, FILE *out)
{
    const struct rg_gateway_worker *w = &g->workers[id];
    const struct rg_steer_worker *row = rg_worker_steer(w->worker);
    uint64_t now = rg_sys_now_ns(), since = __atomic_load_n(&row->busy_since, __ATOMIC_RELAXED);
    fprintf(out,
            "{\"worker\":%u,\"generation\":%" PRIu64 ",\"routes_generation\":%" PRIu64
            ",\"ended\":%s,\"hung\":%s,\"busy_us\":%" PRIu64 ",\"steering\":{\"active\":%s,\"open\":%" PRIu64
            ",\"requests\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"assigned\":%" PRIu64 ",\"retired\":%s},",
            id, rg_worker_generation(w->worker), rg_worker_routes_generation(w->worker),
            rg_worker_has_ended(w->worker) ? "true" : "false", w->stalled_turn ? "true" : "false",
            since && now > since ? (now - since) / 1000 : 0, g->steer ? "true" : "false",
            __atomic_load_n(&row->open, __ATOMIC_RELAXED), __atomic_load_n(&row->requests, __ATOMIC_RELAXED),
            __atomic_load_n(&row->accepted, __ATOMIC_RELAXED), __atomic_load_n(&row->assigned, __ATOMIC_RELAXED),
            __atomic_load_n(&row->retired, __ATOMIC_RELAXED) ? "true" : "false");
    if (rg_gateway_settings(g)->tls)
        fprintf(out, "\"tls\":{\"records\":\"user space\",\"kernel_has_tls\":%s},",
                rg_gateway_kernel_has_tls() ? "true" : "false");
    write_counters(rg_worker_metrics(w->worker), out);
    fputs("}", out);
}

static uint64_t sockmap_count(const struct rg_gateway *g, enum rg_sockmap_count what)
{
    return g->sockmap ? rg_sockmap_get(g->sockmap, what) : 0;
}

static void answer_workers(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    (void)req;
    fputs("{\"workers\":[", ret->body);
    for (uint16_t i = 0; i < g->n_workers; i++) {
        if (i > 0)
            fputs(",", ret->body);
        write_worker(g, i, ret->body);
    }
    fprintf(ret->body,
            "],\"sockmap\":{\"active\":%s,\"connections\":%" PRIu64 ",\"redirected\":%" PRIu64 ",\"tcp\":%" PRIu64
            "}}\n",
            rg_gateway_settings(g)->sockmap ? "true" : "false", sockmap_count(g, RG_SOCKMAP_CONNECTIONS),
            sockmap_count(g, RG_SOCKMAP_REDIRECTED), sockmap_count(g, RG_SOCKMAP_BY_TCP));
}

/* ---- Orders ---- */

static void answer_drain(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    (void)req;
    rg_gateway_begin_drain(g, "admin");
    ret->status = 202; /* it begins now and ends with the process */
    fprintf(ret->body, "{\"draining\":true,\"timeout_ms\":%u}\n", rg_gateway_settings(g)->drain_ms);
}

static void answer_reload(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    (void)req;
    int r = rg_gateway_reload(g, ret->body);
    if (r == -EBUSY || r == -ENOENT)
        ret->status = 409;
    else if (r < 0)
        ret->status = 422;
}

static struct rg_str word_of(struct rg_str s)
{
    while (s.len && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r' || s.ptr[s.len - 1] == ' '))
        s.len--;
    return s;
}

static void answer_log_level(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    (void)g;
    enum rg_log_level level;
    if (req->head->method_id == RG_METHOD_PUT) {
        struct rg_str word = word_of(req->body);
        if (!rg_log_level_parse(word, &level)) {
            refuse(ret, 422, "got \"%.*s\" as the body, wanted error, warn, info or debug", cut(word), word.ptr);
            return;
        }
        rg_log_set_level(level);
        rg_info("log level set level=%s", rg_log_level_name(level));
    }
    fprintf(ret->body, "{\"level\":\"%s\"}\n", rg_log_level_name(rg_log_get_level()));
}

#ifdef RG_DEBUG_SWITCHES
static bool number_parameter(const struct rg_http_request *req, const char *name, uint32_t max, uint32_t *ret)
{
    struct rg_str text;
    uint32_t value = 0;
    if (!rg_http_parameter(req, name, &text) || text.len == 0 || text.len > 8)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret = value;
    return value <= max;
}

static void answer_stall(struct rg_gateway *g, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    uint32_t worker, ms;
    if (!number_parameter(req, "worker", g->n_workers - 1u, &worker) || !number_parameter(req, "ms", 60000, &ms)) {
        refuse(ret, 422, "got another query, wanted ?worker=N&ms=M with a worker below %u and at most 60000 ms",
               g->n_workers);
        return;
    }
    rg_warn("stalling a worker on request worker=%u ms=%u", worker, ms);
    rg_worker_stall(g->workers[worker].worker, ms);
    fprintf(ret->body, "{\"stalled\":%u,\"ms\":%u}\n", worker, ms);
}
#endif

/* ---- Routes ---- */

static const struct route {
    const char *path;
    const char *allow;
    enum rg_method methods[2]; /* HEAD is answered as GET; OTHER: none */
    answer_fn answer;
} routes[] = {
    {"/live", "GET, HEAD", {RG_METHOD_GET}, answer_live},
    {"/ready", "GET, HEAD", {RG_METHOD_GET}, answer_ready},
    {"/metrics", "GET, HEAD", {RG_METHOD_GET}, answer_metrics},
    {"/config", "GET, HEAD", {RG_METHOD_GET}, answer_config},
    {"/workers", "GET, HEAD", {RG_METHOD_GET}, answer_workers},
    {"/control", "GET, HEAD", {RG_METHOD_GET}, answer_control},
    {"/drain", "POST", {RG_METHOD_POST}, answer_drain},
    {"/reload", "POST", {RG_METHOD_POST}, answer_reload},
    {"/log-level", "GET, HEAD, PUT", {RG_METHOD_GET, RG_METHOD_PUT}, answer_log_level},
#ifdef RG_DEBUG_SWITCHES
    {"/debug/stall", "POST", {RG_METHOD_POST}, answer_stall},
#endif
};

static const struct route *find_route(struct rg_str path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (rg_str_eq(path, rg_str_of(routes[i].path)))
            return &routes[i];
    return NULL;
}

static void refuse_path(struct rg_str path, struct rg_admin_answer *ret)
{
    char known[256] = "";
    for (size_t i = 0, n = 0; i < sizeof(routes) / sizeof(routes[0]) && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i > 0 ? ", " : "", routes[i].path);
    refuse(ret, 404, "got %.*s, wanted one of %s", cut(path), path.ptr, known);
}

/* A web page must not give orders through the browser of somebody who may reach this address. */
static bool is_cross_site(const struct rg_http_request *req)
{
    return req->head->method_id != RG_METHOD_GET && rg_http_field(req, RG_FIELD_ORIGIN).ptr != NULL;
}

void rg_gateway_answer(struct rg_admin *admin, const struct rg_http_request *req, struct rg_admin_answer *ret)
{
    struct rg_gateway *g = RG_OWNER(admin, struct rg_gateway, admin);
    const struct route *route = find_route(req->path);
    uint8_t method = req->head->method_id;
    if (!route) {
        refuse_path(req->path, ret);
    } else if (method == RG_METHOD_OTHER || (method != route->methods[0] && method != route->methods[1])) {
        ret->allow = route->allow;
        refuse(ret, 405, "got %.*s, wanted %s for %s", cut(req->head->method), req->head->method.ptr, route->allow,
               route->path);
    } else if (is_cross_site(req)) {
        refuse(ret, 403, "got an Origin, %.*s: orders from web pages are refused; send it without",
               cut(rg_http_field(req, RG_FIELD_ORIGIN)), rg_http_field(req, RG_FIELD_ORIGIN).ptr);
    } else {
        route->answer(g, req, ret);
    }
}
