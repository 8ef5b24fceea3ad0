/*
 * The bytes of the connection to the control plane: from libcurl's socket to the WebSocket and back. Reading is bounded
 * per turn; with TLS there may be bytes that epoll does not know of, so it goes on by an alarm rather than by an event.
 */
#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/agent/link.h"

#define TARGET       "/api/internal/v1/ws/gateways/connect"
#define READ_BYTES   16384
#define READS_A_TURN 16
#define REQUEST_MAX  (RG_TOKEN_MAX + 2048)

/* ---- Out ---- */

/* Number of bytes, 0: not now, negative: the connection is gone. */
static ssize_t put(struct rg_link *l, const char *bytes, size_t len)
{
    size_t n = 0;
    CURLcode r = curl_easy_send(l->dial.easy, bytes, len, &n);
    if (r == CURLE_AGAIN)
        return 0;
    if (r == CURLE_OK)
        return (ssize_t)n;
    rg_link_break(l, "the connection broke while a message was sent");
    return -1;
}

static void watch_writing(struct rg_link *l, bool wants)
{
    if (wants == l->wants_write)
        return;
    l->wants_write = wants;
    rg_loop_rewatch(l->loop, &l->socket, EPOLLIN | (wants ? (uint32_t)EPOLLOUT : 0));
}

static void forget_request(struct rg_link *l)
{
    if (l->request)
        OPENSSL_cleanse(l->request, REQUEST_MAX);
    free(l->request);
    l->request = NULL;
}

static void send_request(struct rg_link *l)
{
    ssize_t n = 1;
    while (l->sent < l->request_len && n > 0) {
        n = put(l, l->request + l->sent, l->request_len - l->sent);
        if (n > 0)
            l->sent += (size_t)n;
    }
    if (l->sent == l->request_len)
        forget_request(l);
    watch_writing(l, l->request != NULL);
}

static void send_output(struct rg_link *l)
{
    ssize_t n = 1;
    for (struct rg_str out; n > 0 && (out = rg_ws_output(l->ws)).len > 0;) {
        n = put(l, out.ptr, out.len);
        if (n > 0)
            rg_ws_sent(l->ws, (size_t)n);
    }
    watch_writing(l, rg_ws_output(l->ws).len > 0);
}

static void send_more(struct rg_link *l)
{
    if (l->ending)
        return;
    if (l->request)
        send_request(l);
    else if (l->ws)
        send_output(l);
}

/* ---- The WebSocket ---- */

static void text_came(void *owner, struct rg_ws *ws, struct rg_str message)
{
    (void)ws;
    rg_link_take_message(owner, message);
}

static void ping_came(void *owner, struct rg_ws *ws, struct rg_str payload)
{
    (void)ws;
    (void)payload;
    rg_link_note_ping(owner);
}

static void has_ended(void *owner, struct rg_ws *ws, uint16_t code, struct rg_str reason)
{
    (void)ws;
    char why[RG_LINK_WHY_MAX];
    if (code == RG_WS_LOST)
        snprintf(why, sizeof(why), "the connection broke");
    else
        snprintf(why, sizeof(why), "the WebSocket was closed with %u%s%.*s", code, reason.len ? ": " : "",
                 (int)reason.len, reason.ptr ? reason.ptr : "");
    rg_link_break(owner, why);
}

static const struct rg_ws_handler handler = {.text = text_came, .ping = ping_came, .ended = has_ended};

static void output_waits(void *carrier)
{
    struct rg_link *l = carrier;
    rg_loop_set_alarm(l->loop, &l->later, 0);
}

bool rg_link_send(struct rg_link *l, struct rg_str text)
{
    return l->state == RG_LINK_UP && !l->ending && rg_ws_send_text(l->ws, text);
}

/* ---- In ---- */

/* What follows the head are frames already. */
static void take_answer(struct rg_link *l)
{
    struct rg_ws_answer answer = {0};
    int32_t head = rg_ws_read_answer(l->input, l->received, l->key, &answer);
    if (head == 0 && l->received < sizeof(l->input))
        return;
    if (head <= 0) {
        rg_link_break(l, head < 0 && answer.wrong ? answer.wrong
                                                  : "the answer to the request for a WebSocket is too long");
        return;
    }
    if (!answer.accepted) {
        rg_link_answered(l, &answer);
        return;
    }
    l->ws = rg_ws_create(RG_WS_CLIENT, NULL, &handler, l);
    if (!l->ws) {
        rg_link_break(l, "no memory");
        return;
    }
    rg_ws_on_wake(l->ws, output_waits, l);
    rg_link_upgraded(l);
    rg_ws_receive(l->ws, l->input + head, l->received - (size_t)head);
}

static void take(struct rg_link *l, const char *bytes, size_t len)
{
    if (l->ws) {
        rg_ws_receive(l->ws, bytes, len);
        return;
    }
    size_t room = sizeof(l->input) - l->received, fits = len < room ? len : room;
    memcpy(l->input + l->received, bytes, fits);
    l->received += fits;
    take_answer(l);
    if (l->ws && fits < len)
        rg_ws_receive(l->ws, bytes + fits, len - fits);
}

/* true: there may be more. */
static bool receive(struct rg_link *l)
{
    char bytes[READ_BYTES];
    size_t n = 0;
    CURLcode r = curl_easy_recv(l->dial.easy, bytes, sizeof(bytes), &n);
    if (r == CURLE_AGAIN)
        return false;
    if (r != CURLE_OK || n == 0) {
        rg_link_break(l, l->state == RG_LINK_UPGRADING ? "the connection ended before the WebSocket began"
                                                       : "the connection ended without a closing frame");
        return false;
    }
    take(l, bytes, n);
    return true;
}

void rg_link_carry_on(struct rg_link *l)
{
    bool more = true;
    for (unsigned i = 0; i < READS_A_TURN && more && !l->ending; i++)
        more = receive(l);
    if (more && !l->ending)
        rg_loop_set_alarm(l->loop, &l->later, 0);
    send_more(l);
}

static void socket_ready(struct rg_watch *watch, uint32_t events)
{
    struct rg_link *l = RG_OWNER(watch, struct rg_link, socket);
    (void)events; /* TLS may want either for either */
    rg_link_carry_on(l);
}

/* ---- Begin and end ---- */

/* By its name the platform tells instances apart, waits for each, and shows which one has failed. It outlives the
 * process: the state directory is of one gateway alone, so which directory it is says which gateway. */
static void name_instance(struct rg_link *l)
{
    char host[sizeof(l->instance) - 34] = "";
    struct stat dir = {0};
    if (gethostname(host, sizeof(host) - 1) < 0)
        host[0] = '\0';
    for (char *c = host; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.')
            *c = '-';
    stat(l->state_dir, &dir);
    snprintf(l->instance, sizeof(l->instance), "%s:%jx-%jx", host[0] ? host : "gateway", (uintmax_t)dir.st_dev,
             (uintmax_t)dir.st_ino);
}

static bool write_request(struct rg_link *l)
{
    char fields[RG_TOKEN_MAX + sizeof(l->instance) + 128], target[400];
    l->request = malloc(REQUEST_MAX);
    if (!l->request)
        return false;
    rg_ws_new_key(l->key);
    snprintf(target, sizeof(target), "%s" TARGET, l->remote->path);
    name_instance(l);
    snprintf(fields, sizeof(fields), "api-key: %s\r\nGateway-Instance: %s\r\nUser-Agent: ringgate/" RG_VERSION "\r\n",
             l->remote->token, l->instance);
    int len = rg_ws_write_request(l->request, REQUEST_MAX, l->remote->host, target, l->key, fields);
    OPENSSL_cleanse(fields, sizeof(fields));
    l->request_len = len < 0 ? 0 : (size_t)len;
    return len > 0;
}

int rg_link_carry_begin(struct rg_link *l)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    l->sent = l->received = 0;
    l->wants_write = false;
    if (curl_easy_getinfo(l->dial.easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD) {
        snprintf(l->why, sizeof(l->why), "libcurl has no connection where it made one");
        return -ENOTCONN;
    }
    l->socket = (struct rg_watch){.fd = fd, .ready = socket_ready};
    int r = rg_loop_watch(l->loop, &l->socket, EPOLLIN);
    if (r < 0)
        l->socket.fd = -1;
    if (r < 0 || !write_request(l)) {
        snprintf(l->why, sizeof(l->why), "no memory");
        return r < 0 ? r : -ENOMEM;
    }
    send_request(l);
    return 0;
}

void rg_link_carry_end(struct rg_link *l)
{
    struct rg_ws *ws = l->ws;
    l->ws = NULL;
    if (ws)
        rg_ws_disown(ws);
    if (ws && l->dial.easy) { /* one last try to say goodbye */
        struct rg_str out = rg_ws_output(ws);
        size_t n;
        if (out.len > 0)
            curl_easy_send(l->dial.easy, out.ptr, out.len, &n);
    }
    rg_ws_destroy(ws);
    if (l->socket.fd >= 0)
        rg_loop_unwatch(l->loop, &l->socket);
    l->socket.fd = -1;
    rg_transfers_remove(l->transfers, &l->dial); /* closes it */
    forget_request(l);
}
