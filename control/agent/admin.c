#include "control/agent/admin.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/agent/descriptors.h"
#include "control/agent/listen.h"
#include "datapath/base/log.h"
#include "datapath/http/h1_write.h"

#define HEAD_MAX  8192
#define RETRY_MS  100  /* after an accept that failed */
#define LINGER_MS 1000 /* after the last answer: time for the client to read it before the connection is reset */

enum phase {
    READING,  /* a request is awaited or incomplete */
    WRITING,  /* an answer goes out */
    LINGERING /* the last answer is out, what still comes in is thrown away */
};

struct rg_admin_connection {
    struct rg_admin *admin;
    unsigned slot;
    struct rg_watch socket;
    struct rg_alarm timeout;
    enum phase phase;
    bool keep_alive;
    char *output; /* the answer: head and body */
    size_t output_len, sent;
    size_t received;
    struct rg_h1_resume resume;
    struct rg_field fields[RG_ADMIN_FIELDS_MAX];
    char input[RG_ADMIN_INPUT_MAX];
    char trailers[RG_TRAILER_MAX];
};

/* ---- A connection's life ---- */

static void connection_destroy(struct rg_admin_connection *c)
{
    struct rg_admin *a = c->admin;
    rg_loop_clear_alarm(a->loop, &c->timeout);
    rg_loop_unwatch(a->loop, &c->socket);
    close(c->socket.fd);
    a->connections[c->slot] = NULL;
    a->n_connections--;
    free(c->output);
    free(c);
}

static void timed_out(struct rg_alarm *alarm)
{
    connection_destroy(RG_OWNER(alarm, struct rg_admin_connection, timeout));
}

/* The time of a phase runs from its start: a peer that moves a byte now and then does not get more of it. */
static void enter(struct rg_admin_connection *c, enum phase phase, uint64_t timeout_ms)
{
    c->phase = phase;
    rg_loop_rewatch(c->admin->loop, &c->socket, phase == WRITING ? EPOLLOUT : EPOLLIN);
    rg_loop_set_alarm(c->admin->loop, &c->timeout, timeout_ms);
}

/* ---- Answers ---- */

static const char *error_text(uint16_t status)
{
    switch (status) {
    case 413:
        return "The request is too large for the admin endpoint.";
    case 500:
        return "The answer could not be made.";
    default:
        return "The request can't be served.";
    }
}

/* body may be NULL. Takes nothing over. Negative errno without memory. */
static int compose(struct rg_admin_connection *c, const struct rg_admin_answer *answer, const char *body,
                   size_t body_len, bool head_only)
{
    char date[RG_DATE_LEN];
    rg_http_date(date, (int64_t)time(NULL));
    struct rg_str phrase = rg_status_phrase(answer->status);
    char *out = malloc(HEAD_MAX + body_len);
    if (!out)
        return -ENOMEM;
    int n = snprintf(out, HEAD_MAX,
                     "HTTP/1.1 %u %.*s\r\nDate: %.*s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                     "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s%s%s%s\r\n",
                     answer->status, (int)phrase.len, phrase.ptr, RG_DATE_LEN, date, answer->content_type, body_len,
                     answer->allow ? "Allow: " : "", answer->allow ? answer->allow : "", answer->allow ? "\r\n" : "",
                     c->keep_alive ? "" : "Connection: close\r\n");
    size_t head_len = (size_t)n;
    if (!head_only && body_len)
        memcpy(out + head_len, body, body_len);
    c->output = out;
    c->output_len = head_len + (head_only ? 0 : body_len);
    c->sent = 0;
    return 0;
}

static void answer_error(struct rg_admin_connection *c, uint16_t status, const char *reason, const char *text)
{
    char body[512];
    struct rg_admin_answer answer = {.status = status, .content_type = "application/json"};
    c->keep_alive = false;
    int n =
        snprintf(body, sizeof(body), "{\"status\":%u,\"reason\":\"%s\",\"message\":\"%s\"}\n", status, reason, text);
    compose(c, &answer, body, (size_t)n, false);
}

static void answer_refusal(struct rg_admin_connection *c, enum rg_reason reason)
{
    const struct rg_reason_info *info = rg_reason_info(reason);
    if (info->status != 0)
        answer_error(c, info->status, info->name.ptr, info->text.ptr);
}

static void answer_request(struct rg_admin_connection *c, const struct rg_h1_request *head, struct rg_str body)
{
    struct rg_admin *a = c->admin;
    struct rg_h1_request seen = *head;
    bool head_only = head->method_id == RG_METHOD_HEAD;
    if (head_only) {
        seen.method_id = RG_METHOD_GET;
        seen.method = RG_STR("GET");
    }
    struct rg_admin_request req = {.head = &seen, .path = head->path, .query = head->query, .body = body};
    struct rg_admin_answer answer = {.status = 200, .content_type = "application/json"};
    char *text = NULL;
    size_t len = 0;
    if (a->requests)
        ++*a->requests;
    answer.body = open_memstream(&text, &len);
    if (answer.body) {
        a->answer(a, &req, &answer);
        bool bad = ferror(answer.body) != 0;
        if ((fclose(answer.body) == 0) && !bad)
            compose(c, &answer, text, len, head_only);
        free(text);
    }
    if (!c->output)
        answer_error(c, 500, "no-memory", error_text(500));
}

/* ---- Requests ---- */

static const struct rg_h1_limits limits = {
    .head_bytes = HEAD_MAX,
    .field_bytes = 4096,
    .target_bytes = 2048,
    .fields = RG_ADMIN_FIELDS_MAX,
    .allow_underscore = true,
};

enum outcome { INCOMPLETE, ANSWERED, CLOSE };

/* Decodes a chunked body in place: data only ever moves towards the front. used says where the body ended. */
static enum outcome read_chunked(struct rg_admin_connection *c, size_t head_len, size_t *used, struct rg_str *body)
{
    struct rg_chunked chunked;
    char *start = c->input + head_len;
    size_t at = 0, left = c->received - head_len;
    char decoded[RG_ADMIN_INPUT_MAX];
    size_t len = 0;
    rg_chunked_init(&chunked, RG_CHUNKED_DATA);
    for (;;) {
        size_t taken = 0;
        struct rg_str span = RG_STR_NONE;
        enum rg_chunked_event event = rg_chunked_step(&chunked, start + at, left - at, &taken, &span);
        if (event == RG_CHUNKED_NEED_TRAILER) {
            chunked.trailer_space = c->trailers;
            at += taken;
            continue;
        }
        if (event == RG_CHUNKED_BAD) {
            answer_refusal(c, (enum rg_reason)chunked.reason);
            return c->output ? ANSWERED : CLOSE;
        }
        if (span.len)
            memcpy(decoded + len, span.ptr, span.len);
        len += span.len;
        at += taken;
        if (event == RG_CHUNKED_MORE)
            return INCOMPLETE; /* decoded from the start again when more has come: bodies are a word or two */
        if (event == RG_CHUNKED_END)
            break;
    }
    *used = head_len + at;
    memcpy(start, decoded, len);
    *body = (struct rg_str){start, len};
    return ANSWERED;
}

static enum outcome read_body(struct rg_admin_connection *c, const struct rg_framing *framing, size_t head_len,
                              size_t *used, struct rg_str *body)
{
    *used = head_len;
    *body = RG_STR_NONE;
    if (framing->kind == RG_BODY_CHUNKED)
        return read_chunked(c, head_len, used, body);
    if (framing->kind != RG_BODY_LENGTH)
        return ANSWERED;
    if (framing->length > RG_ADMIN_INPUT_MAX - head_len) {
        answer_error(c, 413, "body-too-large", error_text(413));
        return ANSWERED;
    }
    if (c->received - head_len < framing->length)
        return INCOMPLETE;
    *body = (struct rg_str){c->input + head_len, (size_t)framing->length};
    *used = head_len + (size_t)framing->length;
    return ANSWERED;
}

static void consume(struct rg_admin_connection *c, size_t used)
{
    memmove(c->input, c->input + used, c->received - used);
    c->received -= used;
    c->resume = (struct rg_h1_resume){0, 0};
}

/* A client that waits for leave to send its body gets it at once, outside of the answer's bookkeeping: 25 bytes. */
static void send_continue(struct rg_admin_connection *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    (void)!send(c->socket.fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static enum outcome refuse(struct rg_admin_connection *c, enum rg_reason reason)
{
    c->keep_alive = false;
    answer_refusal(c, reason);
    return c->output ? ANSWERED : CLOSE;
}

/* Makes the next answer from what has come in. */
static enum outcome take_request(struct rg_admin_connection *c)
{
    struct rg_h1_request head;
    struct rg_framing framing;
    struct rg_framing_options options = {0};
    enum rg_reason reason = RG_REASON_NONE;
    if (c->received == 0)
        return INCOMPLETE;
    int32_t head_len = rg_h1_parse_request(&c->resume, c->input, c->received, &limits, c->fields, &head, &reason);
    if (head_len < 0)
        return refuse(c, reason);
    if (head_len == 0)
        return c->received < sizeof(c->input) ? INCOMPLETE : refuse(c, RG_REASON_HEAD_TOO_LARGE);
    reason = rg_h1_frame_request(&head, &options, &framing);
    if (reason != RG_REASON_NONE)
        return refuse(c, reason);

    size_t used;
    struct rg_str body;
    c->keep_alive = framing.persistent;
    enum outcome outcome = read_body(c, &framing, (size_t)head_len, &used, &body);
    if (outcome == INCOMPLETE && c->received == sizeof(c->input)) {
        answer_error(c, 413, "body-too-large", error_text(413));
        return ANSWERED;
    }
    if (outcome == INCOMPLETE) {
        if (framing.expect_continue && c->received == (size_t)head_len)
            send_continue(c);
        c->resume = (struct rg_h1_resume){0, 0}; /* the head is parsed again with the body behind it */
        return INCOMPLETE;
    }
    if (outcome == ANSWERED && !c->output) {
        answer_request(c, &head, body);
        consume(c, used);
    }
    return outcome;
}

/* ---- Readiness ---- */

static void advance(struct rg_admin_connection *c);

static void write_more(struct rg_admin_connection *c)
{
    while (c->sent < c->output_len) {
        ssize_t n = send(c->socket.fd, c->output + c->sent, c->output_len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            connection_destroy(c);
            return;
        }
        c->sent += (size_t)n;
    }
    free(c->output);
    c->output = NULL;
    if (c->keep_alive) {
        advance(c);
        return;
    }
    shutdown(c->socket.fd, SHUT_WR);
    enter(c, LINGERING, LINGER_MS);
}

/* Answers one request after the other; a client that pipelines many gets them one answer a turn at most. */
static void advance(struct rg_admin_connection *c)
{
    switch (take_request(c)) {
    case INCOMPLETE:
        if (c->phase != READING)
            enter(c, READING, RG_ADMIN_TIMEOUT_MS);
        break;
    case ANSWERED:
        enter(c, WRITING, RG_ADMIN_TIMEOUT_MS);
        break;
    case CLOSE:
        connection_destroy(c);
        break;
    }
}

static void read_more(struct rg_admin_connection *c)
{
    char waste[4096];
    bool keep = c->phase == READING;
    ssize_t n = recv(c->socket.fd, keep ? c->input + c->received : waste,
                     keep ? sizeof(c->input) - c->received : sizeof(waste), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        connection_destroy(c);
        return;
    }
    if (keep) {
        c->received += (size_t)n;
        advance(c);
    }
}

static void connection_ready(struct rg_watch *watch, uint32_t events)
{
    (void)events;
    struct rg_admin_connection *c = RG_OWNER(watch, struct rg_admin_connection, socket);
    if (c->phase == WRITING)
        write_more(c);
    else
        read_more(c);
}

/* ---- Accepting ---- */

static int connection_create(struct rg_admin *a, int fd)
{
    struct rg_admin_connection *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    while (a->connections[c->slot])
        c->slot++;
    c->admin = a;
    c->socket = (struct rg_watch){.fd = fd, .ready = connection_ready};
    c->timeout.due = timed_out;
    int r = rg_loop_watch(a->loop, &c->socket, EPOLLIN);
    if (r < 0) {
        free(c);
        return r;
    }
    a->connections[c->slot] = c;
    a->n_connections++;
    rg_loop_set_alarm(a->loop, &c->timeout, RG_ADMIN_TIMEOUT_MS);
    return 0;
}

/* What an answer and a probe need beside the connections: a log or a file that is read, a directory, a socket. */
#define RESERVE_FOR_OTHERS 3

static bool may_take_reserve(const struct rg_admin *a)
{
    uint32_t from = rg_descriptors_of_datapath(), held = 0;
    for (unsigned i = 0; i < RG_ADMIN_CONNECTIONS; i++)
        held += a->connections[i] && (uint32_t)a->connections[i]->socket.fd >= from;
    return held + RESERVE_FOR_OTHERS < rg_descriptors_limit() - from;
}

/* When clients of the gateway hold all descriptors, with one of the reserve. EMFILE: there is none for us. */
static int accept_client(const struct rg_admin *a)
{
    int fd = accept4(a->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 || errno != EMFILE || !may_take_reserve(a))
        return fd;
    rg_descriptors_lift();
    fd = accept4(a->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    rg_descriptors_lower();
    return fd;
}

/* Connections that ask for nothing don't use up the reserve. false: there is none. */
static bool shed_idle(struct rg_admin *a)
{
    struct rg_admin_connection *oldest = NULL;
    for (unsigned i = 0; i < RG_ADMIN_CONNECTIONS; i++) {
        struct rg_admin_connection *c = a->connections[i];
        if (c && c->phase == READING && c->received == 0 && (!oldest || c->timeout.at_ms < oldest->timeout.at_ms))
            oldest = c;
    }
    if (oldest)
        connection_destroy(oldest);
    return oldest != NULL;
}

static void listener_ready(struct rg_watch *watch, uint32_t events)
{
    (void)events;
    struct rg_admin *a = RG_OWNER(watch, struct rg_admin, listener);
    int fd = accept_client(a);
    if (fd < 0 && errno == EMFILE && shed_idle(a))
        return; /* the next turn takes its place */
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* Short of descriptors or memory: the connection keeps waiting, and would wake the loop without end. */
        rg_loop_unwatch(a->loop, &a->listener);
        rg_loop_set_alarm(a->loop, &a->retry, RETRY_MS);
    }
    if (fd < 0)
        return;
    if (a->n_connections < RG_ADMIN_CONNECTIONS && connection_create(a, fd) == 0)
        return;
    if (a->refused)
        ++*a->refused;
    close(fd);
}

static void retry_due(struct rg_alarm *alarm)
{
    struct rg_admin *a = RG_OWNER(alarm, struct rg_admin, retry);
    if (rg_loop_watch(a->loop, &a->listener, EPOLLIN) < 0)
        rg_loop_set_alarm(a->loop, &a->retry, RETRY_MS);
}

void rg_admin_init(struct rg_admin *a, struct rg_loop *loop)
{
    *a = (struct rg_admin){.loop = loop, .listener = {.fd = -1, .ready = listener_ready}, .retry.due = retry_due};
}

int rg_admin_open(struct rg_admin *a, const struct rg_address *address, char *why, size_t why_len)
{
    int fd = rg_listen_single(address, why, why_len);
    if (fd < 0)
        return fd;
    a->listener.fd = fd;
    a->address = *address;
    a->owns_file = address->sa.sa_family == AF_UNIX && address->un.sun_path[0] != '\0';
    socklen_t len = sizeof(a->address.un);
    if (!a->owns_file && getsockname(fd, &a->address.sa, &len) == 0) { /* a port of 0 has become one */
        a->address.len = len;
        rg_address_format(&a->address, a->address.text, sizeof(a->address.text));
    }
    return 0;
}

int rg_admin_start(struct rg_admin *a)
{
    return a->listener.fd < 0 ? 0 : rg_loop_watch(a->loop, &a->listener, EPOLLIN);
}

static void close_listener(struct rg_admin *a)
{
    if (a->listener.fd < 0)
        return;
    if (a->owns_file)
        unlink(a->address.un.sun_path);
    rg_loop_clear_alarm(a->loop, &a->retry);
    rg_loop_unwatch(a->loop, &a->listener);
    close(a->listener.fd);
    a->listener.fd = -1;
}

bool rg_admin_finish(struct rg_admin *a)
{
    bool busy = false;
    close_listener(a);
    for (unsigned i = 0; i < RG_ADMIN_CONNECTIONS; i++)
        busy = busy || (a->connections[i] && a->connections[i]->phase == WRITING);
    return busy;
}

void rg_admin_fini(struct rg_admin *a)
{
    for (unsigned i = 0; i < RG_ADMIN_CONNECTIONS; i++)
        if (a->connections[i])
            connection_destroy(a->connections[i]);
    close_listener(a);
}
