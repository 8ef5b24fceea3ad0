/*
 * Why: one implementation of RFC 6455 for both ends of the control connection. wslay knows the layout of frames; when
 * the conversation ends, and what is said then, is here. What comes in is ws_input.c's. See ws.h for owner and thread.
 */
#include "control/common/ws_parts.h"

#include <stdlib.h>
#include <sys/random.h>

#include "control/common/utf8.h"
#include "datapath/base/assert.h"

/* ---- Calling back ---- */

void rg_ws_enter(struct rg_ws *ws)
{
    ws->busy++;
}

void rg_ws_leave(struct rg_ws *ws)
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

bool rg_ws_is_listening(const struct rg_ws *ws)
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

bool rg_ws_write_frame(struct rg_ws *ws, uint8_t opcode, struct rg_str payload)
{
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = opcode,
                                     .mask = ws->role == RG_WS_CLIENT,
                                     .payload_length = payload.len,
                                     .data = (const uint8_t *)(payload.len > 0 ? payload.ptr : ""),
                                     .data_length = payload.len};
    bool was_empty = rg_ws_output_bytes(ws) == 0;
    if (!rg_outbuf_reserve(&ws->output, payload.len + RG_WS_FRAME_HEAD_MAX))
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
    size_t len = code == RG_WS_NO_STATUS ? 0 : 2 + cut(reason, RG_WS_REASON_MAX);
    if (ws->said_close)
        return;
    ws->said_close = true;
    ws->code = code;
    ws->reason_len = (uint8_t)(len > 2 ? len - 2 : 0);
    for (size_t i = 0; i < ws->reason_len; i++)
        payload[2 + i] = ws->reason[i] = reason.ptr[i];
    if (!rg_ws_write_frame(ws, WSLAY_CONNECTION_CLOSE, (struct rg_str){payload, len}))
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

void rg_ws_fail(struct rg_ws *ws, uint16_t code, const char *why)
{
    give_up(ws, code, why);
    tell_our_end(ws);
}

/* 7.4: those that may stand in a frame. */
static bool is_good_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

void rg_ws_take_close(struct rg_ws *ws, struct rg_str payload)
{
    unsigned code = RG_WS_NO_STATUS;
    struct rg_str reason = RG_STR_NONE;
    if (payload.len == 1) {
        rg_ws_fail(ws, RG_WS_PROTOCOL_ERROR, "a Close with half a status code");
        return;
    }
    if (payload.len >= 2) {
        code = (unsigned)(unsigned char)payload.ptr[0] << 8 | (unsigned char)payload.ptr[1];
        reason = (struct rg_str){payload.ptr + 2, payload.len - 2};
        if (!is_good_code(code)) {
            rg_ws_fail(ws, RG_WS_PROTOCOL_ERROR, "a Close with a status code that must not be sent");
            return;
        }
        if (!rg_utf8_is_valid(reason)) {
            rg_ws_fail(ws, RG_WS_BAD_DATA, "a Close with a reason that is not UTF-8");
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

/* ---- For who speaks ---- */

static bool send_frame(struct rg_ws *ws, uint8_t opcode, struct rg_str payload)
{
    if (ws->said_close || ws->failed || ws->doomed)
        return false;
    if (rg_ws_output_bytes(ws) + payload.len + RG_WS_FRAME_HEAD_MAX > ws->limits.output_bytes) {
        give_up(ws, RG_WS_POLICY, "the peer does not read");
        return false;
    }
    if (rg_ws_write_frame(ws, opcode, payload))
        return true;
    give_up(ws, RG_WS_INTERNAL, "no memory");
    return false;
}

bool rg_ws_send_text(struct rg_ws *ws, struct rg_str message)
{
    return send_frame(ws, WSLAY_TEXT_FRAME, message);
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
    wake(ws); /* also where it waits behind other output: it is the carrier who gives the peer no more than its time */
}

void rg_ws_pause(struct rg_ws *ws, bool paused)
{
    if (ws->paused == paused)
        return;
    ws->paused = paused;
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

bool rg_ws_is_over(const struct rg_ws *ws)
{
    return ws->failed || (ws->said_close && ws->got_close);
}

/* The peer's Close is waited for in any case. */
bool rg_ws_is_paused(const struct rg_ws *ws)
{
    return ws->paused && !ws->said_close;
}

bool rg_ws_is_closing(const struct rg_ws *ws)
{
    return ws->said_close && !rg_ws_is_over(ws);
}

struct rg_ws *rg_ws_create(enum rg_ws_role role, const struct rg_ws_limits *limits, const struct rg_ws_handler *handler,
                           void *owner)
{
    const struct wslay_frame_callbacks callbacks = {append, rg_ws_take_input, new_mask};
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
    rg_ws_enter(ws);
    ws->doomed = ws->failed = true;
    ws->wake = NULL;
    if (ws->said_close)
        tell_our_end(ws);
    else
        tell_end(ws, RG_WS_LOST, RG_STR_NONE);
    rg_ws_leave(ws);
}
