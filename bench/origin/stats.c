/*
 * What the origin has seen: counts and the last request lines, by which tests prove that nothing reached it. Every
 * thread counts for itself under its own lock; /stats adds the threads up. The control paths are never counted, and
 * requests for the replica's status only as such, because a gateway asks all the time.
 */
#include "bench/origin/origin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void rg_tally_add(struct rg_thread *t, uint64_t *counter, int64_t by)
{
    pthread_mutex_lock(&t->tally.lock);
    *counter += (uint64_t)by;
    pthread_mutex_unlock(&t->tally.lock);
}

/* Under the lock. */
static struct rg_recent *record(struct rg_client *c, struct rg_view line)
{
    struct rg_tally *y = &c->thread->tally;
    struct rg_recent *r = &y->recent[y->next++ % RG_RECENT];
    r->seq = atomic_fetch_add(&c->thread->server->next_seq, 1);
    r->connection = c->id;
    r->nth = c->nth;
    r->body = 0;
    r->complete = r->malformed = false;
    r->n = (uint16_t)(line.n < RG_RECENT_LINE ? line.n : RG_RECENT_LINE);
    memcpy(r->line, line.p, r->n);
    return r;
}

void rg_tally_request(struct rg_client *c)
{
    struct rg_tally *y = &c->thread->tally;
    struct rg_task *t = &c->task;
    if (t->route->control)
        return;
    pthread_mutex_lock(&y->lock);
    if (t->route->handler == rg_status_handle) {
        y->status_requests++;
    } else {
        y->requests++;
        y->by_route[rg_route_index(t->route)]++;
        struct rg_recent *r = record(c, t->req.line);
        r->complete = t->body_done;
        t->seq = r->seq;
    }
    pthread_mutex_unlock(&y->lock);
}

/* A request without a body was complete from the start. */
void rg_tally_finish(struct rg_client *c, bool complete)
{
    struct rg_tally *y = &c->thread->tally;
    const struct rg_task *t = &c->task;
    if (t->seq == 0 || t->req.framing == RG_FRAMING_NONE)
        return;
    pthread_mutex_lock(&y->lock);
    for (unsigned i = 0; i < RG_RECENT; i++) {
        struct rg_recent *r = &y->recent[i];
        if (r->seq != t->seq)
            continue;
        r->body = t->body_seen;
        r->complete = complete || t->body_done;
    }
    pthread_mutex_unlock(&y->lock);
}

void rg_tally_malformed(struct rg_client *c, struct rg_view line)
{
    struct rg_tally *y = &c->thread->tally;
    const char *end = memchr(line.p, '\r', line.n);
    if (end)
        line.n = (size_t)(end - line.p);
    pthread_mutex_lock(&y->lock);
    y->malformed++;
    record(c, line)->malformed = true;
    pthread_mutex_unlock(&y->lock);
}

/* ---- /stats ---- */

struct sums {
    uint64_t requests, status_requests, malformed, truncated, aborted, accepted, open, by_route[RG_ROUTES_MAX];
    struct rg_recent *recent;
    size_t n_recent;
};

static void add_thread(struct sums *s, struct rg_tally *y)
{
    pthread_mutex_lock(&y->lock);
    s->requests += y->requests;
    s->status_requests += y->status_requests;
    s->malformed += y->malformed;
    s->truncated += y->truncated;
    s->aborted += y->aborted;
    s->accepted += y->accepted;
    s->open += y->open;
    for (unsigned i = 0; i < rg_route_count(); i++)
        s->by_route[i] += y->by_route[i];
    for (unsigned i = 0; i < RG_RECENT; i++)
        if (y->recent[i].seq != 0)
            s->recent[s->n_recent++] = y->recent[i];
    pthread_mutex_unlock(&y->lock);
}

static int by_seq(const void *a, const void *b)
{
    uint64_t x = ((const struct rg_recent *)a)->seq, y = ((const struct rg_recent *)b)->seq;
    return (x > y) - (x < y);
}

static void write_recent(FILE *out, const struct sums *s)
{
    size_t first = s->n_recent > RG_RECENT ? s->n_recent - RG_RECENT : 0;
    fputs(", \"recent\": [", out);
    for (size_t i = first; i < s->n_recent; i++) {
        const struct rg_recent *r = &s->recent[i];
        fprintf(out, "%s\n  {\"seq\": %" PRIu64 ", \"connection\": %" PRIu64 ", \"nth\": %" PRIu64 ", \"line\": ",
                i > first ? "," : "", r->seq, r->connection, r->nth);
        rg_json_string(out, (struct rg_view){r->line, r->n});
        fprintf(out, ", \"body_bytes\": %" PRIu64 ", \"complete\": %s, \"malformed\": %s}", r->body,
                r->complete ? "true" : "false", r->malformed ? "true" : "false");
    }
    fputs("]", out);
}

static void write_stats(FILE *out, const struct sums *s, int health)
{
    fprintf(out,
            "{\"requests\": %" PRIu64 ", \"status_requests\": %" PRIu64 ", \"malformed\": %" PRIu64
            ", \"truncated\": %" PRIu64 ", \"aborted\": %" PRIu64 ",\n",
            s->requests, s->status_requests, s->malformed, s->truncated, s->aborted);
    fprintf(out, " \"connections\": {\"accepted\": %" PRIu64 ", \"open\": %" PRIu64 "}, \"health\": \"%s\",\n",
            s->accepted, s->open, rg_health_name(health));
    fputs(" \"prefixes\": {", out);
    bool first = true;
    for (unsigned i = 0; i < rg_route_count(); i++) {
        const struct rg_route *route = rg_route_at(i);
        if (route->control || route->handler == rg_status_handle)
            continue;
        fprintf(out, "%s\"%s\": %" PRIu64, first ? "" : ", ", route->prefix[0] ? route->prefix : "other",
                s->by_route[i]);
        first = false;
    }
    fputs("}", out);
    write_recent(out, s);
    fputs("}\n", out);
}

static enum rg_step show(struct rg_client *c)
{
    struct rg_server *s = c->thread->server;
    struct sums sums = {0};
    char *text = NULL;
    size_t n = 0;
    sums.recent = calloc((size_t)s->n_threads * RG_RECENT, sizeof(struct rg_recent));
    FILE *out = sums.recent ? open_memstream(&text, &n) : NULL;
    if (!out) {
        free(sums.recent);
        return RG_STEP_RESET;
    }
    for (unsigned i = 0; i < s->n_threads; i++)
        add_thread(&sums, &s->threads[i].tally);
    qsort(sums.recent, sums.n_recent, sizeof(struct rg_recent), by_seq);
    write_stats(out, &sums, s->health);
    fclose(out);
    free(sums.recent);
    return rg_send_text(c, 200, "application/json", text, n);
}

/* Connections that are open stay counted as open. */
static void reset(struct rg_tally *y)
{
    pthread_mutex_lock(&y->lock);
    y->requests = y->status_requests = y->malformed = y->truncated = y->aborted = y->accepted = 0;
    memset(y->by_route, 0, sizeof(y->by_route));
    for (unsigned i = 0; i < RG_RECENT; i++)
        y->recent[i].seq = 0;
    pthread_mutex_unlock(&y->lock);
}

enum rg_step rg_stats_handle(struct rg_client *c)
{
    struct rg_server *s = c->thread->server;
    const struct rg_request *req = &c->task.req;
    if (rg_view_is(req->method, "GET") || req->is_head)
        return show(c);
    if (!rg_view_is(req->method, "DELETE"))
        return rg_send_short(c, 405, "GET shows, DELETE resets\n");
    for (unsigned i = 0; i < s->n_threads; i++)
        reset(&s->threads[i].tally);
    return rg_send_short(c, 200, "reset\n");
}
