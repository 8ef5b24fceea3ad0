/* Server-Sent Events (WHATWG HTML 9.2): what happens in an organization, as it happens. See platform.h. */
#include <stdlib.h>
#include <string.h>

#include "control/platform/platform.h"

#define PING_MS 15000 /* a comment, so that nobody on the way takes the stream for dead */

struct stream {
    struct rg_hub_member member;
    struct rg_http_call *call;
    struct rg_platform *platform;
    struct rg_list link; /* platform->streams */
    int64_t expires_ms;  /* of the token that it came with; 0: never */
};

static void end(struct stream *s)
{
    rg_hub_remove(s->platform->hub, &s->member);
    rg_list_remove(&s->link);
    rg_http_stream_end(s->call);
    free(s);
}

static void gone(struct rg_http_call *call, void *owner)
{
    (void)call;
    end(owner);
}

/* What a token lets in lasts no longer than the token. */
static bool has_expired(const struct stream *s)
{
    return s->expires_ms > 0 && s->expires_ms <= rg_wall_ms();
}

/* One event of one line: JSON has no line ends. After it the stream may be gone. */
static void tell(struct rg_hub_member *member, struct rg_str text)
{
    struct stream *s = RG_CONTAINER(member, struct stream, member);
    if (has_expired(s) || !rg_http_stream_write(s->call, RG_STR("data: ")) || !rg_http_stream_write(s->call, text) ||
        !rg_http_stream_write(s->call, RG_STR("\n\n")))
        end(s);
}

static void close_stream(struct rg_hub_member *member, const char *reason)
{
    (void)reason;
    end(RG_CONTAINER(member, struct stream, member));
}

void rg_platform_stream(struct rg_platform *p, struct rg_http_call *call, const struct rg_api_answer *who)
{
    static const struct rg_http_header headers[] = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}};
    if (rg_http_call_is_gone(call) || p->draining) {
        rg_platform_refuse(call, 503, "SERVICE_UNAVAILABLE", "The platform is ending; try again when it has started.");
        return;
    }
    struct stream *s = calloc(1, sizeof(*s));
    if (!s) {
        rg_platform_refuse_memory(call);
        return;
    }
    s->platform = p;
    s->call = call;
    s->member.send = tell;
    s->member.close = close_stream;
    rg_list_init(&s->member.link);
    s->member.stream = true;
    memcpy(s->member.key, who->organization, sizeof(s->member.key));
    memcpy(s->member.token, who->token, sizeof(s->member.token));
    s->expires_ms = who->expires_ms;
    if (rg_hub_add(p->hub, &s->member) != RG_HUB_ADDED) {
        rg_platform_refuse(
            call, 503, "SERVICE_UNAVAILABLE",
            "%u streams of events are open, the most that the platform's events.streams allows; end one, or "
            "raise it.",
            p->settings.streams);
        free(s);
        return;
    }
    rg_list_append(&p->streams, &s->link);
    rg_http_call_keep(call, s, gone);
    rg_http_stream_begin(call, &(struct rg_http_reply){.status = 200,
                                                       .content_type = "text/event-stream",
                                                       .body = RG_STR(": connected\n\n"),
                                                       .headers = headers,
                                                       .n_headers = 2});
    if (rg_http_call_is_gone(call)) { /* nobody reads on: the head alone was asked for */
        end(s);
        return;
    }
    if (!p->stream_pings.set)
        rg_loop_set_alarm(&p->front.loop, &p->stream_pings, PING_MS);
}

static void pings_due(struct rg_alarm *a)
{
    struct rg_platform *p = RG_OWNER(a, struct rg_platform, stream_pings);
    for (struct rg_list *l = p->streams.next, *next; l != &p->streams; l = next) {
        struct stream *s = RG_CONTAINER(l, struct stream, link);
        next = l->next;
        if (has_expired(s) || !rg_http_stream_write(s->call, RG_STR(":\n\n")))
            end(s);
    }
    if (!rg_list_empty(&p->streams))
        rg_loop_set_alarm(&p->front.loop, &p->stream_pings, PING_MS);
}

void rg_platform_init_streams(struct rg_platform *p)
{
    rg_list_init(&p->streams);
    p->stream_pings.due = pings_due;
}

void rg_platform_end_streams(struct rg_platform *p)
{
    for (struct rg_list *l = p->streams.next, *next; l != &p->streams; l = next) {
        next = l->next;
        end(RG_CONTAINER(l, struct stream, link));
    }
}
