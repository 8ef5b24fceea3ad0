/* The life of a connection of HTTP/2, and the two places that call the library: feed and flush. See h2.h. */
#include "datapath/client.h"
#include "datapath/h2/h2_parts.h"
#include "datapath/h2/h2c_parts.h"

#define ENDING_MS  5000 /* a client gets so long to take the last GOAWAY */
#define PREFACE    NGHTTP2_CLIENT_MAGIC
#define POOL_CHUNK (64u * 1024)
#define POOL_MAX   (1ull << 32) /* bounded by connections and their streams */

int rg_h2_looks_like(struct rg_str bytes)
{
    size_t n = bytes.len < NGHTTP2_CLIENT_MAGIC_LEN ? bytes.len : NGHTTP2_CLIENT_MAGIC_LEN;
    if (memcmp(bytes.ptr, PREFACE, n) != 0)
        return -1;
    return n == NGHTTP2_CLIENT_MAGIC_LEN;
}

/* ---- what all sessions of a worker share ---- */

bool rg_h2_shared_init(struct rg_h2_shared *shared)
{
    nghttp2_option *o = NULL;
    *shared = (struct rg_h2_shared){0};
    rg_list_init(&shared->dirty);
    rg_list_init(&shared->replica_dirty);
    rg_h2_mem_init(&shared->mem);
    rg_pool_init(&shared->connections, sizeof(struct rg_h2), POOL_CHUNK, POOL_MAX);
    rg_pool_init(&shared->streams, sizeof(struct rg_h2_stream), POOL_CHUNK, POOL_MAX);
    rg_pool_init(&shared->replica_sessions, sizeof(struct rg_h2c), POOL_CHUNK, POOL_MAX);
    rg_pool_init(&shared->replica_streams, sizeof(struct rg_h2c_stream), POOL_CHUNK, POOL_MAX);
    shared->callbacks = rg_h2_callbacks_create();
    shared->replica_callbacks = rg_h2c_callbacks_create();
    if (!shared->callbacks || !shared->replica_callbacks || nghttp2_option_new(&o) != 0)
        return false;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    shared->option = o;
    if (nghttp2_option_new(&shared->replica_option) != 0)
        return false;
    nghttp2_option_set_no_auto_window_update(shared->replica_option, 1);
    nghttp2_option_set_no_closed_streams(shared->replica_option, 1);
    /* Frames of types that it does not know would pass unseen, and uncounted. */
    for (unsigned type = NGHTTP2_ALTSVC; type <= UINT8_MAX; type++)
        nghttp2_option_set_user_recv_extension_type(o, (uint8_t)type);
    /* Fields of responses are not remembered: it would cost 4 KiB for each connection, and time for each response. To
     * the replica there are few connections, with much that repeats. */
    nghttp2_option_set_max_deflate_dynamic_table_size(o, 0);
    return true;
}

void rg_h2_shared_fini(struct rg_h2_shared *shared)
{
    nghttp2_session_callbacks_del(shared->callbacks);
    nghttp2_session_callbacks_del(shared->replica_callbacks);
    nghttp2_option_del(shared->option);
    nghttp2_option_del(shared->replica_option);
    rg_pool_fini(&shared->connections);
    rg_pool_fini(&shared->streams);
    rg_pool_fini(&shared->replica_sessions);
    rg_pool_fini(&shared->replica_streams);
    rg_h2_mem_fini(&shared->mem);
}

void rg_h2_tick(struct rg_worker *w)
{
    rg_pool_trim(&w->h2.connections);
    rg_pool_trim(&w->h2.streams);
    rg_pool_trim(&w->h2.replica_sessions);
    rg_pool_trim(&w->h2.replica_streams);
    rg_h2_mem_trim(&w->h2.mem);
    rg_metric_set(w->metrics, RG_M_H2_BYTES, rg_h2_mem_bytes(&w->h2.mem));
}

/* ---- begin ---- */

static bool say_hello(struct rg_h2 *h2)
{
    const struct rg_settings *s = h2->w->settings;
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, s->h2_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, RG_H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, s->head_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* RFC 8441 */
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, entries, sizeof entries / sizeof *entries) == 0 &&
           nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, RG_H2_CONNECTION_WINDOW) == 0;
}

static bool make_session(struct rg_worker *w, struct rg_h2 *h2)
{
    w->h2.mem.creating = true;
    w->h2.mem.table = NULL;
    int err = nghttp2_session_server_new3(&h2->session, w->h2.callbacks, h2, w->h2.option, &w->h2.mem.mem);
    w->h2.mem.creating = false;
    h2->table = w->h2.mem.table;
    return err == 0;
}

bool rg_h2_begin(struct rg_worker *w, struct rg_conn *c)
{
    struct rg_h2 *h2 = rg_pool_get(&w->h2.connections);
    if (!h2)
        return false;
    *h2 = (struct rg_h2){.w = w, .conn = c, .begun_ms = w->now_ms};
    rg_list_init(&h2->dirty);
    rg_list_init(&h2->streams);
    rg_list_init(&h2->touched);
    rg_h2_budget_init(h2);
    if (!make_session(w, h2)) {
        rg_pool_put(&w->h2.connections, h2);
        return false;
    }
    c->h2 = h2;
    rg_metric_add(w->metrics, RG_M_H2_CONNECTIONS, 1);
    rg_metric_add(w->metrics, RG_M_H2_OPEN, 1);
    if (!say_hello(h2)) {
        rg_h2_end(w, c, RG_REASON_OUT_OF_BUFFERS);
        return false;
    }
    rg_h2_mark(h2);
    rg_h2_event(w, c, RG_SOCKET_DATA);
    return true;
}

void rg_h2_mark(struct rg_h2 *h2)
{
    if (rg_list_empty(&h2->dirty))
        rg_list_append(&h2->w->h2.dirty, &h2->dirty);
}

/* ---- notes ---- */

static void deliver_one(struct rg_worker *w, struct rg_h2_stream *s)
{
    struct rg_exchange *x = s->client.exchange;
    uint8_t notes = s->notes;
    s->notes = 0;
    if (!x)
        return;
    if (notes & RG_H2_NOTE_GONE) {
        s->gone = true;
        rg_exchange_client_event(w, x, RG_SOCKET_ERROR);
        return;
    }
    if (notes & RG_H2_NOTE_NO_MEMORY) {
        rg_exchange_break(w, x, RG_REASON_OUT_OF_BUFFERS);
        return;
    }
    if (notes & RG_H2_NOTE_SENT)
        x->client_out_ms = w->now_ms;
    rg_exchange_client_event(w, x, notes & RG_H2_NOTE_DATA ? RG_SOCKET_DATA : RG_SOCKET_SENT);
}

/* The exchange that is told may end, and with it others: only the first of the line is sure to be there. */
static void deliver(struct rg_worker *w, struct rg_h2 *h2)
{
    while (!rg_list_empty(&h2->touched)) {
        struct rg_h2_stream *s = RG_CONTAINER(h2->touched.next, struct rg_h2_stream, touched);
        rg_list_remove(&s->touched);
        deliver_one(w, s);
    }
}

/* ---- the end ---- */

static void cut_all(struct rg_h2 *h2)
{
    for (struct rg_list *i = h2->streams.next; i != &h2->streams; i = i->next)
        rg_h2_stream_touch(RG_CONTAINER(i, struct rg_h2_stream, all), RG_H2_NOTE_GONE);
}

static void begin_ending(struct rg_h2 *h2)
{
    h2->going = true;
    h2->ending_ms = h2->w->now_ms;
    cut_all(h2); /* the work for them ends at once */
    rg_conn_check_within(h2->w, h2->conn, ENDING_MS);
    rg_h2_mark(h2);
}

void rg_h2_terminate(struct rg_h2 *h2, uint32_t code, enum rg_reason reason)
{
    if (h2->ending_ms)
        return;
    if (reason != RG_REASON_NONE)
        rg_metric_refused(h2->w->metrics, reason);
    nghttp2_session_terminate_session(h2->session, code);
    begin_ending(h2);
}

/* One that we did not ask for is the library's verdict on what the client sent. */
void rg_h2_goaway_sent(struct rg_h2 *h2, uint32_t code)
{
    rg_metric_add(h2->w->metrics, RG_M_H2_GOAWAYS, 1);
    if (code == NGHTTP2_NO_ERROR || h2->ending_ms)
        return;
    rg_metric_refused(h2->w->metrics, RG_REASON_H2_PROTOCOL);
    begin_ending(h2);
}

void rg_h2_end(struct rg_worker *w, struct rg_conn *c, enum rg_reason reason)
{
    struct rg_h2 *h2 = c->h2;
    if (!h2)
        return;
    while (!rg_list_empty(&h2->streams)) {
        struct rg_h2_stream *s = RG_CONTAINER(h2->streams.next, struct rg_h2_stream, all);
        s->gone = s->closed = true;
        rg_exchange_break(w, s->client.exchange, reason);
    }
    RG_ASSERT(h2->n_streams == 0);
    rg_list_remove(&h2->dirty);
    nghttp2_session_del(h2->session);
    rg_buf_unref(h2->head_buf);
    rg_pool_put(&w->h2.connections, h2);
    rg_metric_sub(w->metrics, RG_M_H2_OPEN, 1);
    c->h2 = NULL;
}

/* ---- in ---- */

/* Answers that the client does not take must not pile up: then nothing more is read. */
static void want(struct rg_worker *w, struct rg_h2 *h2)
{
    struct rg_socket *s = &h2->conn->sock;
    rg_socket_want(w, s, s->out.bytes >= RG_PUMP_HIGH ? RG_RECV_NONE : RG_RECV_MULTI);
}

static void feed(struct rg_worker *w, struct rg_h2 *h2)
{
    struct rg_input *in = &h2->conn->sock.in;
    h2->unanswered = in->bytes > 0 && in->bytes < RG_SOCKET_PIECE;
    while (in->bytes > 0) {
        struct rg_str front = rg_input_front(in);
        ssize_t n = nghttp2_session_mem_recv(h2->session, (const uint8_t *)front.ptr, front.len);
        if (n < 0) {
            bool flooded = n == NGHTTP2_ERR_FLOODED;
            rg_h2_terminate(h2, flooded ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_INTERNAL_ERROR,
                            flooded ? RG_REASON_H2_FLOOD : RG_REASON_H2_PROTOCOL);
            rg_input_clear(in);
            break;
        }
        rg_input_use(in, (uint32_t)n);
    }
    deliver(w, h2);
    rg_h2_mark(h2);
    want(w, h2);
}

void rg_h2_event(struct rg_worker *w, struct rg_conn *c, enum rg_socket_event event)
{
    switch (event) {
    case RG_SOCKET_DATA:
        feed(w, c->h2);
        break;
    case RG_SOCKET_SENT:
        rg_h2_mark(c->h2);
        want(w, c->h2);
        break;
    case RG_SOCKET_EOF: /* nobody ends only one side of HTTP/2: what is open is wanted no more */
    case RG_SOCKET_ERROR:
    case RG_SOCKET_UNSENDABLE:
        rg_conn_h2_over(w, c, RG_AFTER_CLOSE);
        break;
    default:
        break;
    }
}

/* ---- out ---- */

/* false: the connection has ended. */
static bool flush(struct rg_worker *w, struct rg_h2 *h2)
{
    struct rg_conn *c = h2->conn;
    struct rg_output *out = &c->sock.out;
    if (!rg_h2_fill(&w->bufs, h2->session, out)) {
        rg_metric_refused(w->metrics, RG_REASON_OUT_OF_BUFFERS);
        rg_conn_h2_over(w, c, RG_AFTER_RESET);
        return false;
    }
    if (out->bytes > 0)
        rg_socket_send_later(w, &c->sock);
    if (h2->unanswered)
        rg_conn_wants_more(c);
    h2->unanswered = false;
    deliver(w, h2);
    bool over = !nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session);
    if (over && !rg_socket_has_output(&c->sock)) {
        rg_conn_h2_over(w, c, RG_AFTER_ANNOUNCED);
        return false;
    }
    return true;
}

void rg_h2_flush_all(struct rg_worker *w)
{
    while (!rg_list_empty(&w->h2.dirty)) {
        struct rg_h2 *h2 = RG_CONTAINER(w->h2.dirty.next, struct rg_h2, dirty);
        rg_list_remove(&h2->dirty);
        flush(w, h2);
    }
}

/* ---- time ---- */

static bool longer_than(const struct rg_worker *w, uint64_t since_ms, uint32_t limit_ms)
{
    return w->now_ms >= since_ms + limit_ms;
}

/* Each is looked at once a turn; whoever ends another one makes the walk begin again. */
static void check_streams(struct rg_worker *w, struct rg_h2 *h2)
{
    struct rg_list *i = h2->streams.next;
    while (i != &h2->streams) {
        struct rg_h2_stream *s = RG_CONTAINER(i, struct rg_h2_stream, all);
        i = i->next;
        if (s->checked_us == w->now_us)
            continue;
        s->checked_us = w->now_us;
        uint16_t generation = h2->generation;
        rg_exchange_check_time(w, s->client.exchange);
        if (h2->generation != generation)
            i = h2->streams.next;
    }
}

static enum rg_reason setup_limit(const struct rg_worker *w, const struct rg_h2 *h2)
{
    uint32_t limit_ms = w->settings->client_head_ms;
    bool greeted = h2->settings_seen && h2->settings_acked;
    if (!greeted && longer_than(w, h2->begun_ms, limit_ms))
        return RG_REASON_HEAD_TIMEOUT;
    return h2->head_us && longer_than(w, h2->head_us / 1000, limit_ms) ? RG_REASON_HEAD_TIMEOUT : RG_REASON_NONE;
}

/* Second step of a drain: from here on no stream is taken, and those that are open are served. */
static void go_away(struct rg_h2 *h2)
{
    if (h2->going)
        return;
    h2->going = true;
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
    rg_h2_mark(h2);
}

static void drain_further(struct rg_worker *w, struct rg_h2 *h2)
{
    if (h2->drain_ms && longer_than(w, h2->drain_ms, w->settings->drain_idle_ms))
        go_away(h2);
}

static void check_connection(struct rg_worker *w, struct rg_h2 *h2)
{
    const struct rg_settings *s = w->settings;
    struct rg_conn *c = h2->conn;
    enum rg_reason reason = setup_limit(w, h2);
    bool stalled = rg_socket_has_output(&c->sock) && longer_than(w, c->sock.sent_ms, s->body_idle_ms);
    if ((h2->ending_ms && longer_than(w, h2->ending_ms, ENDING_MS)) || (stalled && h2->n_streams == 0)) {
        rg_conn_h2_over(w, c, RG_AFTER_CLOSE);
        return;
    }
    if (reason != RG_REASON_NONE)
        rg_h2_terminate(h2, h2->settings_acked ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_SETTINGS_TIMEOUT, reason);
    else if (h2->n_streams == 0 && longer_than(w, c->since_ms, s->client_idle_ms))
        rg_h2_terminate(h2, NGHTTP2_NO_ERROR, RG_REASON_NONE);
    drain_further(w, h2);
}

void rg_h2_check_time(struct rg_worker *w, struct rg_conn *c)
{
    struct rg_h2 *h2 = c->h2;
    uint32_t least = w->exchange_check_ms;
    check_streams(w, h2);
    rg_h2_reset_unread(h2);
    check_connection(w, h2);
    if (!c->h2)
        return;
    deliver(w, h2);
    bool quiet = h2->n_streams == 0 && h2->n_unread == 0 && !h2->ending_ms && !h2->drain_ms && h2->settings_acked &&
                 !h2->head_us && !rg_socket_has_output(&c->sock);
    if (quiet && !h2->table_given)
        h2->table_given = rg_h2_mem_give_page(h2->table);
    if (quiet) {
        uint64_t due_ms = c->since_ms + w->settings->client_idle_ms;
        least = due_ms > w->now_ms ? (uint32_t)(due_ms - w->now_ms) : 0;
    }
    if (h2->n_unread > 0 && least > RG_H2_UNREAD_MS)
        least = RG_H2_UNREAD_MS;
    rg_conn_check_within(w, c, least);
}

void rg_h2_drain(struct rg_worker *w, struct rg_conn *c)
{
    struct rg_h2 *h2 = c->h2;
    if (h2->drain_ms || h2->ending_ms)
        return;
    h2->drain_ms = w->now_ms;
    nghttp2_submit_shutdown_notice(h2->session);
    rg_h2_mark(h2);
    rg_conn_check_within(w, c, w->settings->drain_idle_ms);
}

static struct rg_h2_stream *first_to_leave(const struct rg_h2 *h2)
{
    for (struct rg_list *i = h2->streams.next; i != &h2->streams; i = i->next) {
        struct rg_h2_stream *s = RG_CONTAINER(i, struct rg_h2_stream, all);
        if (!s->client.exchange->leave_since_ms)
            return s;
    }
    return NULL;
}

bool rg_h2_leave(struct rg_worker *w, struct rg_conn *c)
{
    struct rg_h2 *h2 = c->h2;
    struct rg_h2_stream *s;
    if (h2->ending_ms)
        return false;
    go_away(h2);
    while ((s = first_to_leave(h2)))
        if (!rg_exchange_leave(w, s->client.exchange))
            rg_exchange_break(w, s->client.exchange, RG_REASON_DRAIN_DEADLINE);
    return h2->n_streams > 0;
}
