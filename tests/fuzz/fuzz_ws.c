/*
 * Any bytes to a WebSocket connection, in either role: delivered whole and in pieces they mean the same; messages are
 * within their limit and texts are UTF-8; the end is told once; what we answer is understood by our other role without
 * complaint. The first byte chooses role, limits and what the speaker does; with its highest bit set, the rest is a
 * server's answer to a client's handshake instead.
 */
#include <stdint.h>

#include "control/common/utf8.h"
#include "control/common/ws.h"
#include "datapath/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum choice {
    IS_CLIENT = 0x01,
    TAKES_BINARY = 0x02,
    SMALL_MESSAGES = 0x04,
    SMALL_OUTPUT = 0x08,
    SPEAKS_BACK = 0x10, /* echoes texts */
    CLOSES_AT_TEXT = 0x20,
    SENDS = 0x40, /* the carrier sends after each piece */
    IS_ANSWER = 0x80
};

#define SMALL 64

struct story { /* what happened on one connection */
    unsigned choices;
    uint64_t hash; /* of all events, in order */
    unsigned ended;
    size_t limit;
    struct rg_ws *other; /* reads what we send */
};

static void note(struct story *s, unsigned char what, struct rg_str bytes)
{
    s->hash = (s->hash ^ what) * 1099511628211u;
    for (size_t i = 0; i < bytes.len; i++)
        s->hash = (s->hash ^ (unsigned char)bytes.ptr[i]) * 1099511628211u;
}

static void on_text(void *owner, struct rg_ws *ws, struct rg_str message)
{
    struct story *s = owner;
    RG_ASSERT(s->ended == 0 && message.len <= s->limit && rg_utf8_is_valid(message));
    note(s, 't', message);
    if (s->choices & SPEAKS_BACK)
        rg_ws_send_text(ws, message);
    if (s->choices & CLOSES_AT_TEXT)
        rg_ws_close(ws, RG_WS_NORMAL, message);
}

static void on_binary(void *owner, struct rg_ws *ws, struct rg_str message)
{
    struct story *s = owner;
    (void)ws;
    RG_ASSERT(s->ended == 0 && message.len <= s->limit);
    note(s, 'b', message);
}

static void on_ping(void *owner, struct rg_ws *ws, struct rg_str payload)
{
    struct story *s = owner;
    (void)ws;
    RG_ASSERT(s->ended == 0 && payload.len <= RG_WS_CONTROL_MAX);
    note(s, 'i', payload);
}

static void on_pong(void *owner, struct rg_ws *ws, struct rg_str payload)
{
    struct story *s = owner;
    (void)ws;
    RG_ASSERT(s->ended == 0 && payload.len <= RG_WS_CONTROL_MAX);
    note(s, 'o', payload);
}

static void on_ended(void *owner, struct rg_ws *ws, uint16_t code, struct rg_str reason)
{
    struct story *s = owner;
    char text[2] = {(char)(code >> 8), (char)(code & 0xff)};
    (void)ws;
    RG_ASSERT(s->ended++ == 0 && rg_utf8_is_valid(reason));
    note(s, 'e', (struct rg_str){text, 2});
    note(s, 'r', reason);
}

static const struct rg_ws_handler with_binary = {on_text, on_binary, on_ping, on_pong, on_ended};
static const struct rg_ws_handler without_binary = {on_text, NULL, on_ping, on_pong, on_ended};

/* The other end must find nothing wrong with us. */
static void other_text(void *owner, struct rg_ws *ws, struct rg_str message)
{
    (void)owner, (void)ws, (void)message;
}

static const struct rg_ws_handler other_handler = {.text = other_text};

static void send_all(struct story *s, struct rg_ws *ws)
{
    struct rg_str out = rg_ws_output(ws);
    rg_ws_receive(s->other, out.ptr, out.len);
    rg_ws_sent(ws, out.len);
    RG_ASSERT(rg_ws_output(ws).len == 0);
}

/* Whether what the other has to say is anything but pongs and its part of the close handshake. */
static void check_other(const struct story *s)
{
    struct rg_str out = rg_ws_output(s->other);
    for (size_t at = 0; at < out.len;) {
        const unsigned char *p = (const unsigned char *)out.ptr + at;
        size_t len = p[1] & 0x7fu, head = p[1] & 0x80u ? 6 : 2;
        unsigned opcode = p[0] & 0x0fu;
        RG_ASSERT(len <= RG_WS_CONTROL_MAX && (opcode == 0x8 || opcode == 0xa));
        RG_ASSERT(opcode != 0x8 || len == 0 || len == 2); /* it repeats our code; a complaint would have a reason */
        at += head + len;
    }
}

/* Pieces of 1 to 16 bytes, or one piece. */
static uint64_t tell(const uint8_t *data, size_t size, unsigned choices, bool in_pieces)
{
    bool is_client = choices & IS_CLIENT;
    struct rg_ws_limits limits = {.message_bytes = choices & SMALL_MESSAGES ? SMALL : 0,
                                  .output_bytes = choices & SMALL_OUTPUT ? 4 * SMALL : 0};
    struct story s = {.choices = choices, .hash = 14695981039346656037u, .limit = limits.message_bytes};
    s.limit = s.limit ? s.limit : RG_WS_MESSAGE_MAX;
    struct rg_ws *ws = rg_ws_create(is_client ? RG_WS_CLIENT : RG_WS_SERVER, &limits,
                                    choices & TAKES_BINARY ? &with_binary : &without_binary, &s);
    s.other = rg_ws_create(is_client ? RG_WS_SERVER : RG_WS_CLIENT, NULL, &other_handler, &s);
    RG_ASSERT(ws && s.other);
    for (size_t at = 0; at < size;) {
        size_t n = in_pieces ? 1 + at % 16 : size;
        n = n < size - at ? n : size - at;
        rg_ws_receive(ws, (const char *)data + at, n);
        at += n;
        RG_ASSERT(!rg_ws_is_over(ws) || s.ended == 1 || (choices & (SPEAKS_BACK | CLOSES_AT_TEXT)));
        if (choices & SENDS)
            send_all(&s, ws);
    }
    if (choices & SMALL_OUTPUT)
        RG_ASSERT(rg_ws_output_bytes(ws) <= 4 * SMALL + 2 + 4 + RG_WS_CONTROL_MAX);
    send_all(&s, ws);
    check_other(&s);
    rg_ws_destroy(ws);
    RG_ASSERT(s.ended == 1);
    rg_ws_destroy(s.other);
    return s.hash;
}

/* What has been said of a beginning stays true of the whole. */
static void read_answer(const char *bytes, size_t len)
{
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
    struct rg_ws_answer whole, part;
    int32_t n = rg_ws_read_answer(bytes, len, key, &whole);
    RG_ASSERT(n <= (int32_t)len && (whole.accepted ? whole.status == 101 : n == 0 || whole.wrong));
    for (size_t cut = 0; cut < len && cut < 200; cut++) {
        int32_t m = rg_ws_read_answer(bytes, len - cut, key, &part);
        RG_ASSERT(m == 0 || (m == n && part.status == whole.status && part.accepted == whole.accepted));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & IS_ANSWER) {
        read_answer((const char *)data + 1, size - 1);
        return 0;
    }
    uint64_t whole = tell(data + 1, size - 1, data[0], false);
    uint64_t pieces = tell(data + 1, size - 1, data[0], true);
    /* With a small output it matters when it is sent. */
    RG_ASSERT(whole == pieces || ((data[0] & SMALL_OUTPUT) && (data[0] & SENDS)));
    return 0;
}
