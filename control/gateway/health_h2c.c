/* See health_h2c.h. */
#include "control/gateway/health_h2c.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "control/gateway/health.h"
#include "datapath/http/h2_head.h"

#define TYPE_AT 3 /* in the header of a frame */

struct rg_probe_h2c {
    nghttp2_session *session;
    const uint8_t *out; /* the library's, until it is asked for more */
    size_t out_left;
    struct rg_h2_head head;
    char *input;
    size_t cap, len; /* text in input */
    bool final;      /* the head of the answer is there */
    bool malformed, too_long, complete;
    bool begun;   /* something has come */
    bool foreign; /* this is not HTTP/2 */
};

static const struct rg_h1_limits limits = {
    .head_bytes = RG_HEALTH_HEAD_MAX,
    .field_bytes = RG_HEALTH_HEAD_MAX,
    .fields = 100,
};

/* ---- what comes in ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_probe_h2c *h = arg;
    (void)session;
    (void)frame;
    rg_h2_head_init(&h->head, h->input + h->len, (uint32_t)(h->cap - h->len));
    return 0;
}

static void note(struct rg_probe_h2c *h, enum rg_h2_head_result r)
{
    h->malformed |= r == RG_H2_HEAD_MALFORMED;
    h->too_long |= r == RG_H2_HEAD_FULL || h->head.reason != RG_REASON_NONE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct rg_probe_h2c *h = arg;
    (void)session;
    (void)frame;
    (void)flags;
    if (!h->final && !h->malformed && !h->too_long)
        note(h, rg_h2_head_add_response(&h->head, (struct rg_str){(const char *)name, name_len},
                                        (struct rg_str){(const char *)value, value_len}, &limits));
    return 0;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                             const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct rg_probe_h2c *h = arg;
    (void)session;
    (void)frame;
    (void)name;
    (void)name_len;
    (void)value;
    (void)value_len;
    (void)flags;
    h->malformed = true;
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_probe_h2c *h = arg;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS && !h->final && !h->malformed && !h->too_long) {
        note(h, rg_h2_head_end_response(&h->head, ends));
        h->len += h->head.len;
        h->final = h->head.status >= 200;
    }
    if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)
        h->complete |= ends;
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *arg)
{
    struct rg_probe_h2c *h = arg;
    (void)session;
    (void)flags;
    (void)id;
    if (n > h->cap - h->len) {
        h->too_long = true;
        return 0;
    }
    memcpy(h->input + h->len, data, n);
    h->len += n;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *arg)
{
    struct rg_probe_h2c *h = arg;
    (void)session;
    (void)id;
    (void)error_code;
    h->malformed |= !h->complete;
    return 0;
}

/* ---- begin and end ---- */

/* The library says goodbye to what is not HTTP/2. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_probe_h2c *h = arg;
    (void)session;
    h->foreign |= frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR;
    return 0;
}

static int make_session(struct rg_probe_h2c *h)
{
    nghttp2_session_callbacks *c;
    int err = nghttp2_session_callbacks_new(&c);
    if (err != 0)
        return err;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    err = nghttp2_session_client_new(&h->session, c, h);
    nghttp2_session_callbacks_del(c);
    return err;
}

static nghttp2_nv field(const char *name, const char *value)
{
    union { /* the library's type lacks a const that it keeps */
        const char *in;
        uint8_t *out;
    } n = {.in = name}, v = {.in = value};
    return (nghttp2_nv){.name = n.out, .namelen = strlen(name), .value = v.out, .valuelen = strlen(value)};
}

static int ask(struct rg_probe_h2c *h, const char *authority, const char *path)
{
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    const nghttp2_nv fields[] = {
        field(":method", "GET"),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", authority),
        field("user-agent", "ringgate/" RG_VERSION " (health)"),
        field("accept", "*/*"),
    };
    int err = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, 1);
    if (err != 0)
        return err;
    int32_t id = nghttp2_submit_request(h->session, NULL, fields, sizeof fields / sizeof *fields, NULL, NULL);
    return id > 0 ? 0 : id;
}

struct rg_probe_h2c *rg_probe_h2c_create(const char *authority, const char *path, char *input, size_t input_cap)
{
    struct rg_probe_h2c *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->input = input;
    h->cap = input_cap;
    if (make_session(h) == 0 && ask(h, authority, path) == 0)
        return h;
    rg_probe_h2c_destroy(h);
    return NULL;
}

void rg_probe_h2c_destroy(struct rg_probe_h2c *h)
{
    if (!h)
        return;
    nghttp2_session_del(h->session);
    free(h);
}

/* ---- bytes ---- */

int rg_probe_h2c_send(struct rg_probe_h2c *h, int fd)
{
    for (;;) {
        if (h->out_left == 0) {
            ssize_t n = nghttp2_session_mem_send(h->session, &h->out);
            if (n <= 0)
                return n == 0 ? 1 : -ENOMEM;
            h->out_left = (size_t)n;
        }
        ssize_t sent = send(fd, h->out, h->out_left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        h->out += sent;
        h->out_left -= (size_t)sent;
    }
}

void rg_probe_h2c_receive(struct rg_probe_h2c *h, const void *bytes, size_t n)
{
    /* A server begins with SETTINGS. The library knows, but says so by a frame that need not get out any more. */
    if (!h->begun && n > TYPE_AT)
        h->foreign = ((const uint8_t *)bytes)[TYPE_AT] != NGHTTP2_SETTINGS;
    h->begun = true;
    h->foreign |= nghttp2_session_mem_recv(h->session, bytes, n) != (ssize_t)n;
}

const char *rg_probe_h2c_fault(const struct rg_probe_h2c *h)
{
    if (h->foreign)
        return "the replica does not speak HTTP/2 in the clear, as replica.protocol says it would";
    if (h->too_long)
        return "the answer is too long";
    return h->malformed ? "the answer over HTTP/2 is malformed, or was broken off" : NULL;
}

size_t rg_probe_h2c_text_len(const struct rg_probe_h2c *h)
{
    return h->len;
}

bool rg_probe_h2c_is_complete(const struct rg_probe_h2c *h)
{
    return h->complete;
}
