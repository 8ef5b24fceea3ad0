/* When to dial, when to wait, when to give a connection up. The bytes are in link_carry.c. */
#include "control/agent/link.h"

#include <inttypes.h>
#include <openssl/crypto.h>

#include "control/agent/retry.h"
#include "datapath/base/log.h"

#define GREETING_MS 5000
#define UPGRADE_MS  10000 /* TCP and TLS have libcurl's own limit */
#define SILENCE_MS  35000 /* the control plane pings every 20 s */
#define LOOK_MS     5000  /* how often silence is looked for */
#define STEADY_MS   10000 /* a connection that lasted so long was a good one */

static void dial(struct rg_link *l);

const char *rg_link_state_name(enum rg_link_state state)
{
    static const char *const names[] = {"off", "waiting", "connecting", "upgrading", "greeting", "connected"};
    return names[state];
}

/* ---- Pauses ---- */

static uint64_t pause_ms(struct rg_link *l, bool was_steady)
{
    uint64_t ms = was_steady ? 0 : rg_retry_delay(l->failures ? l->failures - 1 : 0, l->initial_ms, l->most_ms);
    if (l->refused)
        ms = rg_retry_jitter(l->most_ms);
    if (l->pause_most_ms > ms)
        ms = l->pause_most_ms < l->most_ms ? l->pause_most_ms : l->most_ms;
    return ms;
}

static void pause_until_next(struct rg_link *l, bool was_steady)
{
    uint64_t ms = pause_ms(l, was_steady);
    l->state = RG_LINK_PAUSING;
    l->pause_most_ms = 0;
    l->next_try_ms = rg_now_ms() + ms;
    rg_loop_set_alarm(l->loop, &l->due, ms);
}

/* ---- The end of a connection, or of a try ---- */

static void tell_end(const struct rg_link *l, enum rg_link_state was, uint64_t lasted_ms)
{
    uint64_t pause = l->next_try_ms - rg_now_ms();
    if (was == RG_LINK_UP)
        rg_warn("control: disconnected reason=\"%s\" lasted_ms=%" PRIu64 " next_try_ms=%" PRIu64, l->why, lasted_ms,
                pause);
    else if (l->refused)
        rg_error("control: the control plane refuses this gateway, which goes on serving what it has reason=\"%s\" "
                 "next_try_ms=%" PRIu64,
                 l->why, pause);
    else if (l->failures <= 3 || l->failures % 10 == 0)
        rg_warn("control: can't connect reason=\"%s\" tries=%u next_try_ms=%" PRIu64, l->why, l->failures, pause);
    else
        rg_debug("control: can't connect reason=\"%s\" tries=%u next_try_ms=%" PRIu64, l->why, l->failures, pause);
}

static void give_up(struct rg_link *l)
{
    enum rg_link_state was = l->state;
    uint64_t lasted = was == RG_LINK_UP ? rg_now_ms() - l->up_since_ms : 0;
    bool steady = lasted >= STEADY_MS;
    l->ending = false;
    rg_link_carry_end(l);
    rg_loop_clear_alarm(l->loop, &l->due);
    rg_loop_clear_alarm(l->loop, &l->silence);
    rg_loop_clear_alarm(l->loop, &l->later);
    if (was != RG_LINK_UP)
        ++*l->failed;
    l->failures = steady ? 0 : l->failures + 1;
    pause_until_next(l, steady);
    tell_end(l, was, lasted);
    if (was == RG_LINK_UP)
        l->handler->down(l->owner);
}

void rg_link_break(struct rg_link *l, const char *why)
{
    if (l->ending || l->state < RG_LINK_CONNECTING)
        return;
    snprintf(l->why, sizeof(l->why), "%s", why);
    l->ending = true; /* a callback of the connection may be running */
    rg_loop_set_alarm(l->loop, &l->later, 0);
}

/* ---- Patience ---- */

static void due(struct rg_alarm *a)
{
    struct rg_link *l = RG_OWNER(a, struct rg_link, due);
    switch (l->state) {
    case RG_LINK_PAUSING:
        dial(l);
        break;
    case RG_LINK_UPGRADING:
        rg_link_break(l, "the request for a WebSocket was not answered within 10 s");
        break;
    case RG_LINK_GREETING:
        rg_link_break(l, "no connection.ack came within 5 s");
        break;
    case RG_LINK_OFF:
    case RG_LINK_CONNECTING:
    case RG_LINK_UP:
        break;
    }
}

static void silence_due(struct rg_alarm *a)
{
    struct rg_link *l = RG_OWNER(a, struct rg_link, silence);
    uint64_t quiet = rg_now_ms() - l->last_ping_ms;
    char why[96];
    if (quiet > l->silence_ms) {
        snprintf(why, sizeof(why), "no ping came for %" PRIu64 " ms", quiet);
        rg_link_break(l, why);
        return;
    }
    rg_loop_set_alarm(l->loop, &l->silence, l->silence_ms < LOOK_MS ? l->silence_ms : LOOK_MS);
}

void rg_link_note_ping(struct rg_link *l)
{
    l->last_ping_ms = rg_now_ms();
}

/* ---- Dialling ---- */

/* What to do, for those who read the log; libcurl's words say what happened. */
static const char *remedy(CURLcode result)
{
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return "; name its authority in control.ca_file, or use the host that the certificate is for";
    case CURLE_SSL_CONNECT_ERROR:
        return "; does control.url name a port of https?";
    default:
        return "";
    }
}

static void dialled(struct rg_transfer *t, CURLcode result)
{
    struct rg_link *l = RG_OWNER(t, struct rg_link, dial);
    if (result != CURLE_OK) {
        snprintf(l->why, sizeof(l->why), "%.300s%s", t->error[0] ? t->error : curl_easy_strerror(result),
                 remedy(result));
        give_up(l);
        return;
    }
    l->state = RG_LINK_UPGRADING;
    if (rg_link_carry_begin(l) < 0)
        give_up(l);
    else
        rg_loop_set_alarm(l->loop, &l->due, UPGRADE_MS);
}

static bool set_up(struct rg_link *l)
{
    CURL *easy = l->dial.easy;
    bool ok = easy && rg_remote_prepare(l->remote, easy);
    ok = ok && curl_easy_setopt(easy, CURLOPT_URL, l->remote->base) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK;
    return ok && curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
}

static void dial(struct rg_link *l)
{
    l->refused = false;
    char why[RG_TOKEN_WHY_MAX];
    if (rg_token_read(l->remote->token_file, l->remote->token, why) < 0) {
        snprintf(l->why, sizeof(l->why), "control.token_file: got %.300s", why);
        l->refused = l->has_no_token = true;
        give_up(l);
        return;
    }
    l->has_no_token = false;
    l->state = RG_LINK_CONNECTING;
    l->dial.easy = curl_easy_init();
    if (!set_up(l) || !rg_transfers_add(l->transfers, &l->dial)) {
        snprintf(l->why, sizeof(l->why), "no memory");
        give_up(l);
    }
}

void rg_link_look_at_token(struct rg_link *l)
{
    char token[RG_TOKEN_MAX + 1], why[RG_TOKEN_WHY_MAX];
    if (l->state != RG_LINK_PAUSING || !l->refused || rg_token_read(l->remote->token_file, token, why) < 0)
        return;
    bool is_new = l->has_no_token || strcmp(token, l->remote->token) != 0;
    OPENSSL_cleanse(token, sizeof(token));
    if (!is_new)
        return;
    rg_info("control: the token was replaced, connecting");
    rg_loop_clear_alarm(l->loop, &l->due);
    dial(l);
}

/* ---- What comes ---- */

/* Statuses that the same request will get again, until somebody changes something. */
static bool is_lasting(unsigned status)
{
    return status == 401 || status == 403 || status == 404 || status == 409 || status == 422;
}

static const char *likely_cause(const struct rg_link *l, unsigned status)
{
    switch (status) {
    case 400:
        return l->remote->tls ? "" : ": does the port of control.url speak https? Then it is wss://";
    case 401:
    case 403:
        return ": the token in control.token_file is not known there, or not any more";
    case 404:
        return ": is there a control plane at control.url?";
    default:
        return "";
    }
}

void rg_link_answered(struct rg_link *l, const struct rg_ws_answer *answer)
{
    unsigned status = answer->status;
    uint64_t seconds = 0;
    char why[RG_LINK_WHY_MAX];
    for (size_t i = 0; i < answer->retry_after.len && i < 6; i++) {
        char c = answer->retry_after.ptr[i];
        if (c < '0' || c > '9')
            break;
        seconds = seconds * 10 + (uint64_t)(c - '0');
    }
    l->pause_most_ms = seconds * 1000;
    l->refused = is_lasting(status);
    *l->refusals += l->refused;
    if (status == 101)
        snprintf(why, sizeof(why), "the answer to the request for a WebSocket is wrong: %s", answer->wrong);
    else
        snprintf(why, sizeof(why), "the control plane answered %u to the request for a WebSocket%s", status,
                 likely_cause(l, status));
    rg_link_break(l, why);
}

void rg_link_upgraded(struct rg_link *l)
{
    l->state = RG_LINK_GREETING;
    rg_loop_set_alarm(l->loop, &l->due, l->greeting_ms);
}

static void greeted(struct rg_link *l, const struct rg_event *event)
{
    memcpy(l->gateway_id, event->gateway_id, sizeof(l->gateway_id));
    l->state = RG_LINK_UP;
    l->up_since_ms = l->last_ping_ms = rg_now_ms();
    l->why[0] = '\0';
    rg_loop_clear_alarm(l->loop, &l->due);
    rg_loop_set_alarm(l->loop, &l->silence, l->silence_ms < LOOK_MS ? l->silence_ms : LOOK_MS);
    ++*l->connects;
    rg_info("control: connected url=%s%s gateway=%s", l->remote->base, l->remote->path, l->gateway_id);
    l->handler->up(l->owner);
}

/* An event may come before connection.ack, if the control plane is careless: what it brings, the sync brings, too. */
void rg_link_take_message(struct rg_link *l, struct rg_str text)
{
    struct rg_event event;
    char why[RG_EVENT_WHY_MAX];
    if (l->ending)
        return;
    if (rg_event_parse(text, &event, why) < 0) {
        rg_warn("control: a message can't be read, ignoring it reason=\"%s\"", why);
        return;
    }
    if (event.type == RG_EVENT_REFUSED)
        rg_link_break(l, why[0] ? why : "the control plane ended the connection");
    else if (event.type == RG_EVENT_CONNECTED && l->state == RG_LINK_GREETING)
        greeted(l, &event);
    else if (l->state == RG_LINK_UP)
        l->handler->event(l->owner, &event);
    rg_event_fini(&event);
}

/* ---- From outside ---- */

static void later_due(struct rg_alarm *a);

void rg_link_init(struct rg_link *l, struct rg_loop *loop, struct rg_remote *remote, struct rg_transfers *transfers,
                  const struct rg_control_settings *s)
{
    static uint64_t nowhere;
    *l = (struct rg_link){
        .loop = loop,
        .remote = remote,
        .transfers = transfers,
        .initial_ms = s->reconnect_initial_ms,
        .most_ms = s->reconnect_max_ms,
        .greeting_ms = GREETING_MS,
        .silence_ms = SILENCE_MS,
        .state_dir = s->state_dir,
        .dial.ended = dialled,
        .socket.fd = -1,
        .due.due = due,
        .silence.due = silence_due,
        .later.due = later_due,
        .connects = &nowhere,
        .failed = &nowhere,
        .refusals = &nowhere,
    };
}

static void later_due(struct rg_alarm *a)
{
    struct rg_link *l = RG_OWNER(a, struct rg_link, later);
    if (!l->ending)
        rg_link_carry_on(l);
    if (l->ending)
        give_up(l);
}

void rg_link_start(struct rg_link *l)
{
    dial(l);
}

void rg_link_fini(struct rg_link *l)
{
    if (l->state == RG_LINK_OFF)
        return;
    rg_link_carry_end(l);
    rg_loop_clear_alarm(l->loop, &l->due);
    rg_loop_clear_alarm(l->loop, &l->silence);
    rg_loop_clear_alarm(l->loop, &l->later);
    l->state = RG_LINK_OFF;
}
