/*
 * /ws: a WebSocket (RFC 6455) that echoes every frame as it came, data as a stream, so frames of any size need no
 * memory; pings are answered with pongs, a close with a close. Thread: the client's.
 */
#include "bench/origin/origin.h"

#include <string.h>

enum {
    OP_CLOSE = 8,
    OP_PING = 9,
    OP_PONG = 10,
    CONTROL_MAX = 125,
    HEADER_MAX = 14,
    KEY_LENGTH = 24,
    ACCEPT_LENGTH = 28,
    CLOSE_PROTOCOL_ERROR = 1002,
};

static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static void accept_key(struct rg_view key, char ret[ACCEPT_LENGTH + 1])
{
    char text[KEY_LENGTH + sizeof(GUID)];
    uint8_t digest[20];
    memcpy(text, key.p, KEY_LENGTH);
    memcpy(text + KEY_LENGTH, GUID, sizeof(GUID) - 1);
    rg_sha1(text, KEY_LENGTH + sizeof(GUID) - 1, digest);
    rg_base64_encode(digest, sizeof(digest), ret);
}

static size_t put_header(uint8_t *out, unsigned first, uint64_t n)
{
    out[0] = (uint8_t)first;
    if (n < 126) {
        out[1] = (uint8_t)n;
        return 2;
    }
    unsigned bytes = n < 65536 ? 2 : 8;
    out[1] = bytes == 2 ? 126 : 127;
    for (unsigned i = 0; i < bytes; i++)
        out[2 + i] = (uint8_t)(n >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

static enum rg_step protocol_error(struct rg_client *c)
{
    const uint8_t frame[] = {0x80 | OP_CLOSE, 2, CLOSE_PROTOCOL_ERROR >> 8, CLOSE_PROTOCOL_ERROR & 0xff};
    if (rg_out_room(c) < sizeof(frame))
        return RG_STEP_WRITE;
    rg_out_add(c, frame, sizeof(frame));
    return RG_STEP_CLOSE;
}

struct frame {
    unsigned first, opcode;
    bool masked;
    uint64_t n;
    size_t header_n;
    const uint8_t *mask;
};

static bool parse_header(const uint8_t *p, size_t have, struct frame *f)
{
    if (have < 2)
        return false;
    unsigned length = p[1] & 0x7f, bytes = length < 126 ? 0 : length == 126 ? 2 : 8;
    f->first = p[0];
    f->opcode = p[0] & 0x0f;
    f->masked = (p[1] & 0x80) != 0;
    f->header_n = 2 + bytes + (f->masked ? 4 : 0);
    if (have < f->header_n)
        return false;
    f->n = bytes ? 0 : length;
    for (unsigned i = 0; i < bytes; i++)
        f->n = f->n << 8 | p[2 + i];
    f->mask = p + 2 + bytes;
    return true;
}

static bool is_legal(const struct frame *f)
{
    bool control = f->opcode >= OP_CLOSE;
    if (!f->masked || (f->first & 0x70) != 0 || f->n > INT64_MAX)
        return false;
    if (control)
        return f->opcode <= OP_PONG && (f->first & 0x80) != 0 && f->n <= CONTROL_MAX;
    return f->opcode <= 2;
}

/* A ping becomes a pong, a close a close; a pong nobody asked for is ignored. The payload is there already. */
static enum rg_step answer_control(struct rg_client *c, const struct frame *f, const uint8_t *payload)
{
    uint8_t out[HEADER_MAX + CONTROL_MAX];
    size_t n = put_header(out, 0x80u | (f->opcode == OP_PING ? (unsigned)OP_PONG : f->opcode), f->n);
    for (size_t i = 0; i < f->n; i++)
        out[n + i] = payload[i] ^ f->mask[i & 3];
    if (f->opcode != OP_PONG)
        rg_out_add(c, out, n + (size_t)f->n);
    return f->opcode == OP_CLOSE ? RG_STEP_CLOSE : RG_STEP_NEXT;
}

static enum rg_step frame_start(struct rg_client *c)
{
    struct rg_ws *ws = &c->task.ws;
    const uint8_t *p = (const uint8_t *)c->in + c->in_off;
    size_t have = c->in_n - c->in_off;
    struct frame f;
    uint8_t header[HEADER_MAX];

    if (!parse_header(p, have, &f))
        return RG_STEP_READ;
    if (!is_legal(&f))
        return protocol_error(c);
    if (rg_out_room(c) < HEADER_MAX + CONTROL_MAX)
        return RG_STEP_WRITE;
    if (f.opcode >= OP_CLOSE) {
        if (have < f.header_n + f.n)
            return RG_STEP_READ;
        c->in_off += f.header_n + (size_t)f.n;
        return answer_control(c, &f, p + f.header_n);
    }
    rg_out_add(c, header, put_header(header, f.first, f.n));
    memcpy(ws->mask, f.mask, sizeof(ws->mask));
    ws->left = f.n;
    ws->at = 0;
    c->in_off += f.header_n;
    return RG_STEP_NEXT;
}

static enum rg_step frame_payload(struct rg_client *c)
{
    struct rg_ws *ws = &c->task.ws;
    size_t have = c->in_n - c->in_off, room = rg_out_room(c);
    if (have == 0)
        return RG_STEP_READ;
    if (room == 0)
        return RG_STEP_WRITE;
    size_t n = have < room ? have : room;
    n = n < ws->left ? n : (size_t)ws->left;
    for (size_t i = 0; i < n; i++)
        c->out[c->out_n + i] = (char)((uint8_t)c->in[c->in_off + i] ^ ws->mask[(ws->at + i) & 3]);
    c->out_n += n;
    c->in_off += n;
    ws->at += n;
    ws->left -= n;
    return RG_STEP_NEXT;
}

static enum rg_step ws_step(struct rg_client *c)
{
    enum rg_step step = RG_STEP_NEXT;
    while (step == RG_STEP_NEXT)
        step = c->task.ws.left > 0 ? frame_payload(c) : frame_start(c);
    return step;
}

static bool wants_websocket(const struct rg_request *req, struct rg_view *ret_key)
{
    struct rg_view v;
    if (req->minor == 0 || !rg_view_is(req->method, "GET") || req->framing != RG_FRAMING_NONE)
        return false;
    if (!rg_request_field(req, "upgrade", &v) || !rg_view_has_token(v, "websocket"))
        return false;
    if (!rg_request_field(req, "connection", &v) || !rg_view_has_token(v, "upgrade"))
        return false;
    if (!rg_request_field(req, "sec-websocket-version", &v) || !rg_view_is(v, "13"))
        return false;
    return rg_request_field(req, "sec-websocket-key", ret_key) && ret_key->n == KEY_LENGTH;
}

/* reject=NNN answers that status instead of switching, as an application may. */
enum rg_step rg_ws_handle(struct rg_client *c)
{
    struct rg_task *t = &c->task;
    char accept[ACCEPT_LENGTH + 1], head[256];
    struct rg_view key;

    uint64_t reject = rg_query_number(t->req.query, "reject", 0);
    if (reject >= 200 && reject <= 999)
        return rg_send_short(c, (unsigned)reject, "no WebSocket today\n");
    if (!wants_websocket(&t->req, &key))
        return rg_send_short(c, 426, "a WebSocket handshake (version 13) is wanted here\n");
    if (rg_out_room(c) < sizeof(head))
        return RG_STEP_WRITE;
    accept_key(key, accept);
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 101 Switching Protocols\r\nServer: ringgate-origin\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    rg_out_add(c, head, (size_t)n);
    t->step = ws_step;
    return RG_STEP_NEXT;
}
