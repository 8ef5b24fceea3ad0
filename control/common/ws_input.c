/*
 * What comes in: which frame may follow which, how long a message may get, and messages put together of fragments. A
 * peer that breaks a rule is told which. See ws.h for owner and thread.
 */
#include "control/common/ws_parts.h"

#include <stdlib.h>

#include "control/common/utf8.h"

#define KEEP_MAX 16384 /* a larger buffer is given back when it is empty */

static void take_ping(struct rg_ws *ws, struct rg_str payload)
{
    if (ws->said_close)
        return;
    if (rg_ws_output_bytes(ws) + payload.len + RG_WS_FRAME_HEAD_MAX > ws->limits.output_bytes) {
        rg_ws_fail(ws, RG_WS_POLICY, "pings whose pongs are not read");
        return;
    }
    if (!rg_ws_write_frame(ws, WSLAY_PONG, payload)) {
        rg_ws_fail(ws, RG_WS_INTERNAL, "no memory");
        return;
    }
    if (rg_ws_is_listening(ws) && ws->handler->ping)
        ws->handler->ping(ws->owner, ws, payload);
}

static void take_control(struct rg_ws *ws)
{
    struct rg_str payload = {ws->control, ws->control_len};
    switch (ws->opcode) {
    case WSLAY_CONNECTION_CLOSE:
        rg_ws_take_close(ws, payload);
        break;
    case WSLAY_PING:
        take_ping(ws, payload);
        break;
    default:
        if (rg_ws_is_listening(ws) && ws->handler->pong)
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
        rg_ws_fail(ws, RG_WS_BAD_DATA, "a text that is not UTF-8");
        return;
    }
    if (!rg_ws_is_listening(ws))
        return;
    if (is_text)
        ws->handler->text(ws->owner, ws, bytes);
    else if (ws->handler->binary)
        ws->handler->binary(ws->owner, ws, bytes);
    else
        rg_ws_fail(ws, RG_WS_UNSUPPORTED, "only text is understood here");
}

static bool keep_fragment(struct rg_ws *ws, const uint8_t *bytes, size_t n)
{
    struct rg_ws_message *m = &ws->message;
    if (m->cap - m->len < n) {
        size_t cap = m->cap * 2 > m->len + n ? m->cap * 2 : m->len + n;
        char *grown = realloc(m->bytes, cap);
        if (!grown) {
            rg_ws_fail(ws, RG_WS_INTERNAL, "no memory");
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
static void give_back(struct rg_ws_message *m)
{
    if (m->opcode == 0 && m->cap > KEEP_MAX) {
        free(m->bytes);
        *m = (struct rg_ws_message){0};
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
        rg_ws_fail(ws, RG_WS_PROTOCOL_ERROR, wrong);
        return false;
    }
    if (!wslay_is_ctrl_frame(f->opcode)) {
        if (f->payload_length > ws->limits.message_bytes - ws->message.len) {
            rg_ws_fail(ws, RG_WS_TOO_BIG, "the message is too large");
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

ssize_t rg_ws_take_input(uint8_t *buf, size_t len, int flags, void *arg)
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
    rg_ws_enter(ws);
    ws->input = (struct rg_str){bytes, len};
    while (is_reading(ws)) {
        struct wslay_frame_iocb frame = {0};
        ssize_t n = wslay_frame_recv(ws->frames, &frame);
        if (n == WSLAY_ERR_WANT_READ)
            break;
        if (n < 0)
            rg_ws_fail(ws, RG_WS_PROTOCOL_ERROR, "a malformed frame");
        else if (ws->in_frame || begin_frame(ws, &frame))
            take_payload(ws, &frame);
    }
    ws->input = RG_STR_NONE;
    give_back(&ws->message);
    rg_ws_leave(ws);
}
