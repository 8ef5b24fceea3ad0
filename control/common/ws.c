/*
 * Why: one implementation of RFC 6455 for both ends of the control connection. wslay knows the layout of frames; which
 * frame may follow which, how long a message may get, and when the conversation ends is here, because a peer that
 * breaks a rule must be told which. See ws.h for owner and thread.
 */
#include "control/common/ws.h"

#include <stdlib.h>
#include <sys/random.h>
#include <wslay/wslay.h>

#include "control/common/outbuf.h"
#include "control/common/utf8.h"
#include "datapath/base/assert.h"

#define FRAME_HEAD_MAX 14                      /* bytes before the payload, masking key included */
#define REASON_MAX     (RG_WS_CONTROL_MAX - 2) /* the code takes two */
#define KEEP_MAX       16384                   /* a larger buffer is given back when it is empty */

struct message {
    uint8_t opcode; /* 0: none is being put together */
    char *bytes;
    size_t len, cap;
};

struct rg_ws {
    enum rg_ws_role role;
    struct rg_ws_limits limits;
    const struct rg_ws_handler *handler; /* NULL: nobody listens any more */
    void *owner;
    void (*wake)(void *carrier);
    void *carrier;
    wslay_frame_context_ptr frames;

    struct rg_str input;    /* what is being received now */
    struct message message; /* fragments so far */
    bool in_frame;          /* of the present frame more payload is to come */
    uint8_t opcode;         /* of the present frame */
    bool is_last;           /* ... it ends its message */
    uint64_t left;          /* ... payload bytes */
    uint8_t control_len;    /* ... payload so far, of a control frame */
    char control[RG_WS_CONTROL_MAX];

    struct rg_outbuf output;

    bool said_close, got_close, failed; /* failed: nothing more is read */
    bool ended;                         /* the handler was told */
    uint16_t code;                      /* with which we closed */
    uint8_t reason_len;
    char reason[REASON_MAX];

    unsigned busy; /* calls on the stack that need the object after a callback */
    bool doomed;   /* destroyed meanwhile */
};

/* ---- Calling back ---- */

static void enter(struct rg_ws *ws)
{
    ws->busy++;
}

static void leave(struct rg_ws *ws)
{
    if (--ws->busy > 0 || !ws->doomed)
        return;
    wslay_frame_context_free(ws->frames);
    free(ws->message.bytes);
    rg_outbuf_fini(&ws->output);
    free(ws);
}

static void wake(const struct rg_ws *ws)
{
    if (ws->wake && !ws->doomed)
        ws->wake(ws->carrier);
}

static void tell_end(struct rg_ws *ws, uint16_t code, struct rg_str reason)
{
    const struct rg_ws_handler *h = ws->handler;
    if (ws->ended)
        return;
    ws->ended = true;
    if (h && h->ended)
        h->ended(ws->owner, ws, code, reason);
}

static bool is_listening(const struct rg_ws *ws)
{
    return ws->handler && !ws->ended && !ws->doomed && !ws->said_close;
}

/* ---- Output ---- */

static ssize_t append(const uint8_t *data, size_t len, int flags, void *arg)
{
    struct rg_ws *ws = arg;
    (void)flags;
    /* It was reserved. */
    return rg_outbuf_append(&ws->output, (struct rg_str){(const char *)data, len}) ? (ssize_t)len : -1;
}

static int new_mask(uint8_t *buf, size_t len, void *arg)
{
    (void)arg;
    return getrandom(buf, len, 0) == (ssize_t)len ? 0 : -1;
}

size_t rg_ws_output_bytes(const struct rg_ws *ws)
{
    return rg_outbuf_pending(&ws->output).len;
}

/* One whole frame at the end of the output. false: no memory, or no randomness. */
static bool write_frame(struct rg_ws *ws, uint8_t opcode, struct rg_str payload)
{
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = opcode,
                                     .mask = ws->role == RG_WS_CLIENT,
                                     .payload_length = payload.len,
                                     .data = (const uint8_t *)(payload.len > 0 ? payload.ptr : ""),
                                     .data_length = payload.len};
    bool was_empty = rg_ws_output_bytes(ws) == 0;
    if (!rg_outbuf_reserve(&ws->output, payload.len + FRAME_HEAD_MAX))
        return false;
    do {
        ssize_t n = wslay_frame_send(ws->frames, &frame);
        if (n < 0)
            return false;
        frame.data += n;
        frame.data_length -= (size_t)n;
    } while (frame.data_length > 0);
    if (was_empty)
        wake(ws);
    return true;
}

/* ---- The end ---- */

/* As much of the text as fits, without half a character. */
static size_t cut(struct rg_str text, size_t max)
{
    size_t end = 0;
    while (end < text.len) {
        size_t n = rg_utf8_sequence(text.ptr + end, text.len - end);
        if (n == 0 || end + n > max)
            break;
        end += n;
    }
    return end;
}

/* Without memory even for this, the peer just sees the connection end. */
static void say_close(struct rg_ws *ws, uint16_t code, struct rg_str reason)
{
    char payload[RG_WS_CONTROL_MAX] = {(char)(code >> 8), (char)(code & 0xff)};
    size_t len = code == RG_WS_NO_STATUS ? 0 : 2 + cut(reason, REASON_MAX);
    if (ws->said_close)
        return;
    ws->said_close = true;
    ws->code = code;
    ws->reason_len = (uint8_t)(len > 2 ? len - 2 : 0);
    for (size_t i = 0; i < ws->reason_len; i++)
        payload[2 + i] = ws->reason[i] = reason.ptr[i];
    if (!write_frame(ws, WSLAY_CONNECTION_CLOSE, (struct rg_str){payload, len}))
        ws->failed = true;
}

/* We were the first to close, or found something wrong. */
static void tell_our_end(struct rg_ws *ws)
{
    tell_end(ws, ws->code, (struct rg_str){ws->reason, ws->reason_len});
}

/* The peer broke a rule, or we can't go on: says so, and reads nothing more. */
static void give_up(struct rg_ws *ws, uint16_t code, const char *why)
{
    say_close(ws, code, rg_str_of(why));
    ws->failed = true;
    wake(ws);
}

static void fail(struct rg_ws *ws, uint16_t code, const char *why)
{
    give_up(ws, code, why);
    tell_our_end(ws);
}

/* 7.4: those that may stand in a frame. */
static bool is_good_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void take_close(struct rg_ws *ws, struct rg_str payload)
{
    unsigned code = RG_WS_NO_STATUS;
    struct rg_str reason = RG_STR_NONE;
    if (payload.len == 1) {
        fail(ws, RG_WS_PROTOCOL_ERROR, "a Close with half a status code");
        return;
    }
    if (payload.len >= 2) {
        code = (unsigned)(unsigned char)payload.ptr[0] << 8 | (unsigned char)payload.ptr[1];
        reason = (struct rg_str){payload.ptr + 2, payload.len - 2};
        if (!is_good_code(code)) {
            fail(ws, RG_WS_PROTOCOL_ERROR, "a Close with a status code that must not be sent");
            return;
        }
        if (!rg_utf8_is_valid(reason)) {
            fail(ws, RG_WS_BAD_DATA, "a Close with a reason that is not UTF-8");
            return;
        }
    }
    ws->got_close = true;
    if (ws->said_close) {
        wake(ws);
        tell_our_end(ws);
        return;
    }
    say_close(ws, (uint16_t)code, RG_STR_NONE);
    wake(ws);
    tell_end(ws, (uint16_t)code, reason);
}

/* ---- Input ---- */

static void take_ping(struct rg_ws *ws, struct rg_str payload)
{
    if (ws->said_close)
        return;
    if (rg_ws_output_bytes(ws) + payload.len + FRAME_HEAD_MAX > ws->limits.output_bytes) {
        fail(ws, RG_WS_POLICY, "pings whose pongs are not read");
        return;
    }
    if (!write_frame(ws, WSLAY_PONG, payload)) {
        fail(ws, RG_WS_INTERNAL, "no memory");
        return;
    }
    if (is_listening(ws) && ws->handler->ping)
        ws->handler->ping(ws->owner, ws, payload);
}

static void take_control(struct rg_ws *ws)
{
    struct rg_str payload = {ws->control, ws->control_len};
    switch (ws->opcode) {
    case WSLAY_CONNECTION_CLOSE:
        take_close(ws, payload);
        break;
    case WSLAY_PING:
        take_ping(ws, payload);
        break;
    default:
        if (is_listening(ws) && ws->handler->pong)
            ws->handler->pong(ws->owner, ws, payload);
    }
}

/* A message is complete; `bytes` are valid until this returns. */
static void take_message(struct rg_ws *ws, uint8_t opcode, struct rg_str bytes)
{
    bool is_text = opcode == WSLAY_TEXT_FRAME;
    ws->message.opcode = 0;
    ws->message.len = 0;
    if (is_text && !rg_utf8_is_valid(bytes)) {
        fail(ws, RG_WS_BAD_DATA, "a text that is not UTF-8");
        return;
    }
    if (!is_listening(ws))
        return;
    if (is_text)
        ws->handler->text(ws->owner, ws, bytes);
    else if (ws->handler->binary)
        ws->handler->binary(ws->owner, ws, bytes);
    else
        fail(ws, RG_WS_UNSUPPORTED, "only text is understood here");
}

static bool keep_fragment(struct rg_ws *ws, const uint8_t *bytes, size_t n)
{
    struct message *m = &ws->message;
    if (m->cap - m->len < n) {
        size_t cap = m->cap * 2 > m->len + n ? m->cap * 2 : m->len + n;
        char *grown = realloc(m->bytes, cap);
        if (!grown) {
            fail(ws, RG_WS_INTERNAL, "no memory");
            return false;
        }
        m->bytes = grown;
        m->cap = cap;
    }
    if (n > 0)
        memcpy(m->bytes + m->len, bytes, n);
    m->len += n;
    return true;
}

/* Keeps an idle connection small. */
static void give_back(struct message *m)
{
    if (m->opcode == 0 && m->cap > KEEP_MAX) {
        free(m->bytes);
        *m = (struct message){0};
    }
}

/* The rules that a frame can break by itself, or by when it comes. NULL: none. */
static const char *wrong_with(const struct rg_ws *ws, const struct wslay_frame_iocb *f)
{
    bool is_known = f->opcode <= WSLAY_BINARY_FRAME || (f->opcode >= WSLAY_CONNECTION_CLOSE && f->opcode <= WSLAY_PONG);
    if (f->rsv != 0)
        return "a reserved bit without an extension";
    if (!is_known)
        return "a reserved opcode";
    if (f->mask && ws->role == RG_WS_CLIENT)
        return "a masked frame from a server";
    if (!f->mask && ws->role == RG_WS_SERVER)
        return "an unmasked frame from a client";
    if (wslay_is_ctrl_frame(f->opcode))
        return !f->fin                                 ? "a control frame in fragments"
               : f->payload_length > RG_WS_CONTROL_MAX ? "a control frame of more than 125 bytes"
                                                       : NULL;
    if (f->opcode == WSLAY_CONTINUATION_FRAME && ws->message.opcode == 0)
        return "a continuation of nothing";
    if (f->opcode != WSLAY_CONTINUATION_FRAME && ws->message.opcode != 0)
        return "a new message within another";
    return NULL;
}

static bool begin_frame(struct rg_ws *ws, const struct wslay_frame_iocb *f)
{
    const char *wrong = wrong_with(ws, f);
    if (wrong) {
        fail(ws, RG_WS_PROTOCOL_ERROR, wrong);
        return false;
    }
    if (!wslay_is_ctrl_frame(f->opcode)) {
        if (f->payload_length > ws->limits.message_bytes - ws->message.len) {
            fail(ws, RG_WS_TOO_BIG, "the message is too large");
            return false;
        }
        if (ws->message.opcode == 0)
            ws->message.opcode = f->opcode;
    }
    ws->in_frame = true;
    ws->opcode = f->opcode;
    ws->is_last = f->fin;
    ws->left = f->payload_length;
    ws->control_len = 0;
    return true;
}

static void take_payload(struct rg_ws *ws, const struct wslay_frame_iocb *f)
{
    bool is_control = wslay_is_ctrl_frame(ws->opcode);
    size_t n = f->data_length;
    if (is_control) {
        memcpy(ws->control + ws->control_len, n > 0 ? f->data : (const uint8_t *)"", n);
        ws->control_len = (uint8_t)(ws->control_len + n);
    } else if (ws->is_last && ws->message.len == 0 && n == ws->left) {
        ws->in_frame = false; /* all there is, and all of it here */
        take_message(ws, ws->message.opcode, (struct rg_str){n > 0 ? (const char *)f->data : "", n});
        return;
    } else if (!keep_fragment(ws, f->data, n)) {
        return;
    }
    ws->left -= n;
    if (ws->left > 0)
        return;
    ws->in_frame = false;
    if (is_control)
        take_control(ws);
    else if (ws->is_last)
        take_message(ws, ws->message.opcode, (struct rg_str){ws->message.bytes, ws->message.len});
}

static ssize_t take_input(uint8_t *buf, size_t len, int flags, void *arg)
{
    struct rg_ws *ws = arg;
    size_t n = ws->input.len < len ? ws->input.len : len;
    (void)flags;
    if (n == 0)
        return -1; /* no more for now */
    memcpy(buf, ws->input.ptr, n);
    ws->input.ptr += n;
    ws->input.len -= n;
    return (ssize_t)n;
}

static bool is_reading(const struct rg_ws *ws)
{
    return !ws->got_close && !ws->failed && !ws->doomed;
}

void rg_ws_receive(struct rg_ws *ws, const char *bytes, size_t len)
{
    enter(ws);
    ws->input = (struct rg_str){bytes, len};
    while (is_reading(ws)) {
        struct wslay_frame_iocb frame = {0};
        ssize_t n = wslay_frame_recv(ws->frames, &frame);
        if (n == WSLAY_ERR_WANT_READ)
            break;
        if (n < 0)
            fail(ws, RG_WS_PROTOCOL_ERROR, "a malformed frame");
        else if (ws->in_frame || begin_frame(ws, &frame))
            take_payload(ws, &frame);
    }
    ws->input = RG_STR_NONE;
    give_back(&ws->message);
    leave(ws);
}

/* ---- For who speaks ---- */

static bool send_frame(struct rg_ws *ws, uint8_t opcode, struct rg_str payload)
{
    if (ws->said_close || ws->failed || ws->doomed)
        return false;
    if (rg_ws_output_bytes(ws) + payload.len + FRAME_HEAD_MAX > ws->limits.output_bytes) {
        give_up(ws, RG_WS_POLICY, "the peer does not read");
        return false;
    }
    if (write_frame(ws, opcode, payload))
        return true;
    give_up(ws, RG_WS_INTERNAL, "no memory");
    return false;
}

bool rg_ws_send_text(struct rg_ws *ws, struct rg_str message)
{
    return send_frame(ws, WSLAY_TEXT_FRAME, message);
}

bool rg_ws_send_binary(struct rg_ws *ws, struct rg_str message)
{
    return send_frame(ws, WSLAY_BINARY_FRAME, message);
}

bool rg_ws_send_ping(struct rg_ws *ws, struct rg_str payload)
{
    RG_ASSERT(payload.len <= RG_WS_CONTROL_MAX);
    return send_frame(ws, WSLAY_PING, payload);
}

void rg_ws_close(struct rg_ws *ws, uint16_t code, struct rg_str reason)
{
    if (ws->doomed)
        return;
    say_close(ws, code, reason);
    if (ws->failed)
        wake(ws);
}

void rg_ws_disown(struct rg_ws *ws)
{
    ws->handler = NULL;
    rg_ws_close(ws, RG_WS_GOING_AWAY, RG_STR_NONE);
}

/* ---- For who carries ---- */

struct rg_str rg_ws_output(const struct rg_ws *ws)
{
    return rg_outbuf_pending(&ws->output);
}

void rg_ws_sent(struct rg_ws *ws, size_t n)
{
    rg_outbuf_sent(&ws->output, n);
}

void rg_ws_on_wake(struct rg_ws *ws, void (*wake_carrier)(void *carrier), void *carrier)
{
    ws->wake = wake_carrier;
    ws->carrier = carrier;
}

static void tell_lost(struct rg_ws *ws)
{
    ws->failed = true;
    ws->wake = NULL;
    if (ws->said_close)
        tell_our_end(ws);
    else
        tell_end(ws, RG_WS_LOST, RG_STR_NONE);
}

void rg_ws_lost(struct rg_ws *ws)
{
    enter(ws);
    tell_lost(ws);
    leave(ws);
}

bool rg_ws_is_over(const struct rg_ws *ws)
{
    return ws->failed || (ws->said_close && ws->got_close);
}

bool rg_ws_is_closing(const struct rg_ws *ws)
{
    return ws->said_close && !rg_ws_is_over(ws);
}

struct rg_ws *rg_ws_create(enum rg_ws_role role, const struct rg_ws_limits *limits, const struct rg_ws_handler *handler,
                           void *owner)
{
    const struct wslay_frame_callbacks callbacks = {append, take_input, new_mask};
    struct rg_ws *ws = calloc(1, sizeof(*ws));
    if (!ws)
        return NULL;
    ws->role = role;
    ws->limits = limits ? *limits : (struct rg_ws_limits){0};
    if (ws->limits.message_bytes == 0)
        ws->limits.message_bytes = RG_WS_MESSAGE_MAX;
    if (ws->limits.output_bytes == 0)
        ws->limits.output_bytes = RG_WS_OUTPUT_MAX;
    ws->handler = handler;
    ws->owner = owner;
    if (wslay_frame_context_init(&ws->frames, &callbacks, ws) != 0) {
        free(ws);
        return NULL;
    }
    return ws;
}

void rg_ws_destroy(struct rg_ws *ws)
{
    if (!ws || ws->doomed)
        return;
    enter(ws);
    ws->doomed = true;
    tell_lost(ws);
    leave(ws);
}
