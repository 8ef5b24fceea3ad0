/*
 * Gateways' connections: from the request to connect to the last word. See platform.h.
 *
 *   connect   the store looks at the token                      connect_run, connect_done
 *   open      greeted, in the hub, pinged now and then          upgrade, pings_due
 *   ended     its WebSocket has gone; the store is told         ended
 *   free      no job of it is under way                         release
 */
#include <errno.h>
#include <stdlib.h>

#include "control/platform/platform.h"
#include "datapath/base/log.h"

#define MESSAGE_MAX 65536u     /* an acknowledgement is far smaller */
#define JOBS_MAX    256u       /* of one connection at the store: more are not read before some are done */
#define BYTES_MAX   (1u << 20) /* the same, of their messages */
#define RETRY_MS    100        /* when the store takes no more jobs */
#define TRY_LATER   1013       /* WebSocket close code, IANA registry */

struct link {
    struct rg_hub_member member;
    struct rg_platform *platform;
    struct rg_ws *ws; /* NULL: it has ended */
    struct rg_session session;
    struct rg_list node; /* platform->links while open, platform->unended while it waits for its last job */
    uint64_t ping_ms;    /* when it is asked for a sign of life */
    uint64_t heard_ms;   /* when it last gave one */
    unsigned jobs;       /* under way, */
    size_t job_bytes;    /* and the messages that they hold */
    struct rg_store_job end;
    struct rg_effects end_effects;
};

struct attempt {
    struct rg_store_job job;
    struct rg_platform *platform;
    struct rg_http_call *call;
    struct rg_str api_key, instance, peer; /* views of the call's request */
    struct rg_session session;
    struct rg_api_answer answer;
    struct rg_effects effects;
};

struct message {
    struct rg_store_job job;
    struct link *link;
    struct rg_effects effects;
    size_t len;
    char text[];
};

/* ---- The end ---- */

static int end_run(struct rg_store *store, struct rg_store_job *job)
{
    struct link *l = RG_CONTAINER(job, struct link, end);
    rg_effects_fini(&l->end_effects);
    rg_effects_init(&l->end_effects);
    return rg_session_end(store, &l->session, &l->end_effects);
}

static void end_done(struct rg_store_job *job)
{
    struct link *l = RG_CONTAINER(job, struct link, end);
    if (job->result < 0)
        rg_warn("the end of a gateway's connection could not be kept gateway=%s error=\"%s\"", l->session.gateway,
                strerror(-job->result));
    else
        rg_platform_apply(l->platform, &l->end_effects);
    rg_effects_fini(&l->end_effects);
    free(l);
}

/* Once its WebSocket has gone and its messages are dealt with. */
static void release(struct link *l)
{
    if (l->ws || l->jobs > 0)
        return;
    rg_list_remove(&l->node);
    rg_effects_init(&l->end_effects);
    l->end = (struct rg_store_job){.run = end_run, .done = end_done};
    if (rg_store_thread_submit(l->platform->thread, &l->end) == 0)
        return;
    rg_list_append(&l->platform->unended, &l->node);
    rg_loop_set_alarm(&l->platform->front.loop, &l->platform->pings, RETRY_MS);
}

static void ended(void *owner, struct rg_ws *ws, uint16_t code, struct rg_str reason)
{
    struct link *l = owner;
    (void)ws;
    rg_info("gateway disconnected gateway=%s connection=%s code=%u reason=\"%.*s\"", l->session.gateway,
            l->session.connection, code, (int)reason.len, reason.ptr);
    rg_hub_remove(l->platform->hub, &l->member);
    l->ws = NULL;
    release(l);
}

/* ---- What gateways say ---- */

static int message_run(struct rg_store *store, struct rg_store_job *job)
{
    struct message *m = RG_CONTAINER(job, struct message, job);
    rg_effects_fini(&m->effects);
    rg_effects_init(&m->effects);
    int r = rg_session_receive(store, &m->link->session, (struct rg_str){m->text, m->len}, &m->effects);
    return r == 0 && m->effects.lost ? -ENOMEM : r;
}

/* Nobody gets more of the store's queue than a share, however fast it speaks. */
static void pause_or_go_on(struct link *l)
{
    if (l->ws)
        rg_ws_pause(l->ws, l->jobs >= JOBS_MAX || l->job_bytes >= BYTES_MAX);
}

/* What could not be kept has to be said again: a gateway that connects anew says what it has. */
static void message_done(struct rg_store_job *job)
{
    struct message *m = RG_CONTAINER(job, struct message, job);
    struct link *l = m->link;
    if (job->result < 0) {
        rg_error("a message of a gateway could not be kept, it is told to connect again gateway=%s error=\"%s\"",
                 l->session.gateway, strerror(-job->result));
        if (l->ws)
            rg_ws_close(l->ws, TRY_LATER, RG_STR("try again later"));
    } else {
        rg_platform_apply(l->platform, &m->effects);
    }
    rg_effects_fini(&m->effects);
    l->jobs--;
    l->job_bytes -= m->len;
    free(m);
    pause_or_go_on(l);
    release(l);
}

static void text(void *owner, struct rg_ws *ws, struct rg_str what)
{
    struct link *l = owner;
    l->heard_ms = rg_now_ms();
    struct message *m = malloc(sizeof(*m) + what.len);
    if (!m) {
        rg_ws_close(ws, TRY_LATER, RG_STR("out of memory"));
        return;
    }
    *m = (struct message){.job = {.run = message_run, .done = message_done}, .link = l, .len = what.len};
    if (what.len > 0)
        memcpy(m->text, what.ptr, what.len);
    rg_effects_init(&m->effects);
    if (rg_store_thread_submit(l->platform->thread, &m->job) < 0) {
        free(m);
        rg_ws_close(ws, TRY_LATER, RG_STR("too much to do"));
        return;
    }
    l->jobs++;
    l->job_bytes += m->len;
    pause_or_go_on(l);
}

static void pong(void *owner, struct rg_ws *ws, struct rg_str payload)
{
    struct link *l = owner;
    (void)ws;
    (void)payload;
    l->heard_ms = rg_now_ms();
}

static void ping(void *owner, struct rg_ws *ws, struct rg_str payload)
{
    pong(owner, ws, payload);
}

static const struct rg_ws_handler handler = {.text = text, .ping = ping, .pong = pong, .ended = ended};

/* ---- What they are told ---- */

static void tell(struct rg_hub_member *member, struct rg_str what)
{
    struct link *l = RG_CONTAINER(member, struct link, member);
    if (l->ws)
        rg_ws_send_text(l->ws, what);
}

static void close_link(struct rg_hub_member *member, const char *reason)
{
    struct link *l = RG_CONTAINER(member, struct link, member);
    if (l->ws)
        rg_ws_close(l->ws, RG_WS_POLICY, rg_str_of(reason));
}

/* ---- Connecting ---- */

static int connect_run(struct rg_store *store, struct rg_store_job *job)
{
    struct attempt *a = RG_CONTAINER(job, struct attempt, job);
    rg_api_answer_fini(&a->answer);
    rg_effects_fini(&a->effects);
    a->answer = (struct rg_api_answer){0};
    rg_effects_init(&a->effects);
    int r = rg_session_begin(store, a->api_key, a->instance, a->peer, &a->session, &a->answer, &a->effects);
    return r == 0 && a->effects.lost ? -ENOMEM : r;
}

static struct link *create(struct rg_platform *p, const struct rg_session *session)
{
    struct link *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->platform = p;
    l->session = *session;
    l->member.send = tell;
    l->member.close = close_link;
    rg_list_init(&l->member.link);
    rg_list_init(&l->node);
    memcpy(l->member.key, session->gateway, sizeof(l->member.key));
    memcpy(l->member.token, session->token, sizeof(l->member.token));
    l->heard_ms = rg_now_ms();
    l->ping_ms = l->heard_ms + p->settings.ping_ms;
    return l;
}

/* What a gateway is told that may not stay, as gateways of this protocol know it: a message, then a Close frame. */
static const struct farewell {
    const char *message, *close;
    const char *option; /* sets the limit that was reached; NULL: none was */
    size_t limit;       /* ... its place in rg_platform_settings, a uint32_t */
} farewells[RG_TURNED_AWAY_REASONS] = {
    [RG_TURNED_AWAY_FULL] = {"maximum connection limit reached", "connection limit reached", "websocket.connections",
                             offsetof(struct rg_platform_settings, connections)},
    [RG_TURNED_AWAY_GATEWAY_FULL] = {"maximum connection limit of this gateway reached",
                                     "connection limit of the gateway reached", "websocket.connections_per_gateway",
                                     offsetof(struct rg_platform_settings, connections_per_gateway)},
    [RG_TURNED_AWAY_ENDING] = {"the platform is ending", "server shutdown", NULL, 0},
};

static void turn_away(struct rg_platform *p, struct rg_ws *ws, enum rg_turned_away why)
{
    const struct farewell *f = &farewells[why];
    char remedy[128] = "", message[256];
    uint32_t limit;
    p->turned_away[why]++;
    if (f->option) {
        memcpy(&limit, (const char *)&p->settings + f->limit, sizeof(limit));
        snprintf(remedy, sizeof(remedy), " (%u); %s of the platform's options raises it", limit, f->option);
    }
    snprintf(message, sizeof(message), "{\"type\":\"error\",\"message\":\"%s%s\"}", f->message, remedy);
    rg_ws_send_text(ws, rg_str_of(message));
    rg_ws_close(ws, TRY_LATER, rg_str_of(f->close));
}

/* false: turned away. */
static bool join(struct rg_platform *p, struct link *l)
{
    if (p->draining) {
        turn_away(p, l->ws, RG_TURNED_AWAY_ENDING);
        return false;
    }
    switch (rg_hub_add(p->hub, &l->member)) {
    case RG_HUB_ADDED:
        return true;
    case RG_HUB_FULL:
        turn_away(p, l->ws, RG_TURNED_AWAY_FULL);
        break;
    case RG_HUB_GATEWAY_FULL:
        turn_away(p, l->ws, RG_TURNED_AWAY_GATEWAY_FULL);
        break;
    }
    return false;
}

static void upgrade(struct rg_platform *p, struct rg_http_call *call, const struct rg_session *session)
{
    static const struct rg_ws_limits limits = {.message_bytes = MESSAGE_MAX};
    struct link *l = create(p, session);
    if (!l) {
        rg_platform_refuse_memory(call);
        return;
    }
    l->ws = rg_http_upgrade(call, &limits, &handler, l);
    if (!l->ws) { /* left in the meantime; the store thinks that it is there */
        release(l);
        return;
    }
    if (!join(p, l))
        return;
    rg_ws_send_text(l->ws, rg_str_of(session->greeting));
    rg_list_append(&p->links, &l->node);
    if (!p->pings.set)
        rg_loop_set_alarm(&p->front.loop, &p->pings, p->settings.ping_ms);
    rg_info("gateway connected gateway=%s connection=%s instance=%s", session->gateway, session->connection,
            session->instance);
}

static void connect_done(struct rg_store_job *job)
{
    struct attempt *a = RG_CONTAINER(job, struct attempt, job);
    if (job->result == 0) {
        upgrade(a->platform, a->call, &a->session);
        rg_platform_apply(a->platform, &a->effects);
    } else if (job->result == -EACCES) {
        rg_platform_reply(a->call, &a->answer);
    } else {
        rg_error("a gateway could not be let in error=\"%s\"", strerror(-job->result));
        rg_platform_refuse(a->call, 503, "SERVICE_UNAVAILABLE",
                           "The database could not note the connection; the platform's log has the reason.");
    }
    rg_api_answer_fini(&a->answer);
    rg_effects_fini(&a->effects);
    free(a);
}

void rg_platform_connect(struct rg_platform *p, struct rg_http_call *call, const struct rg_http_request *req)
{
    if (!req->websocket) {
        rg_platform_refuse(call, 426, "UPGRADE_REQUIRED",
                           "Got no Upgrade: websocket; gateways connect here over WebSocket (RFC 6455).");
        return;
    }
    if (!rg_hub_admits(p->hub, req->client, rg_now_ms())) {
        p->turned_away[RG_TURNED_AWAY_RATE]++;
        rg_platform_refuse(
            call, 429, "TOO_MANY_REQUESTS",
            "This address has tried to connect more than %u times in a minute, the most that the platform's "
            "websocket.connects_per_minute allows; try later.",
            p->settings.connects_per_minute);
        return;
    }
    struct attempt *a = calloc(1, sizeof(*a));
    if (!a) {
        rg_platform_refuse_memory(call);
        return;
    }
    a->platform = p;
    a->call = call;
    a->api_key = rg_http_named_field(req, "api-key");
    a->instance = rg_http_named_field(req, "gateway-instance");
    a->peer = req->client;
    a->job.run = connect_run;
    a->job.done = connect_done;
    rg_effects_init(&a->effects);
    if (rg_store_thread_submit(p->thread, &a->job) < 0) {
        rg_platform_refuse_busy(call);
        free(a);
    }
}

/* ---- Signs of life ---- */

/* After it the link may be gone. */
static void ask(struct rg_platform *p, struct link *l, uint64_t now_ms)
{
    rg_list_remove(&l->node);
    if (now_ms - l->heard_ms > p->settings.pong_ms) {
        p->pings_lost++;
        rg_warn("gateway is silent, disconnecting it gateway=%s connection=%s silent_ms=%u", l->session.gateway,
                l->session.connection, (unsigned)(now_ms - l->heard_ms));
        rg_ws_close(l->ws, RG_WS_NORMAL, RG_STR("normal closure"));
    } else {
        l->ping_ms = now_ms + p->settings.ping_ms;
        rg_list_append(&p->links, &l->node);
        rg_ws_send_ping(l->ws, RG_STR_NONE);
    }
}

static void pings_due(struct rg_alarm *a)
{
    struct rg_platform *p = RG_OWNER(a, struct rg_platform, pings);
    uint64_t now_ms = rg_now_ms();
    struct rg_list unended;
    rg_list_init(&unended);
    while (!rg_list_empty(&p->unended)) {
        struct rg_list *node = p->unended.next;
        rg_list_remove(node);
        rg_list_append(&unended, node);
    }
    while (!rg_list_empty(&unended))
        release(RG_CONTAINER(unended.next, struct link, node));
    while (!rg_list_empty(&p->links)) {
        struct link *first = RG_CONTAINER(p->links.next, struct link, node);
        if (first->ping_ms > now_ms)
            break;
        ask(p, first, now_ms);
    }
    if (!p->pings.set && !rg_list_empty(&p->links)) {
        uint64_t due_ms = RG_CONTAINER(p->links.next, struct link, node)->ping_ms;
        rg_loop_set_alarm(&p->front.loop, &p->pings, due_ms > now_ms ? due_ms - now_ms : 1);
    }
}

void rg_platform_init_links(struct rg_platform *p)
{
    rg_list_init(&p->links);
    rg_list_init(&p->unended);
    p->pings.due = pings_due;
}

void rg_platform_end_links(struct rg_platform *p)
{
    for (struct rg_list *node = p->links.next, *next; node != &p->links; node = next) {
        struct link *l = RG_CONTAINER(node, struct link, node);
        next = node->next;
        if (l->ws)
            rg_ws_close(l->ws, RG_WS_NORMAL, RG_STR("server shutdown"));
    }
}

void rg_platform_forget_links(struct rg_platform *p)
{
    for (struct rg_list *node = p->unended.next, *next; node && node != &p->unended; node = next) {
        next = node->next;
        free(RG_CONTAINER(node, struct link, node));
    }
    rg_list_init(&p->unended);
}
