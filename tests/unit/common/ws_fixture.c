/* See ws_fixture.h. */
#include "ws_fixture.h"

#include <stdio.h>
#include <stdlib.h>

struct rg_ws *ws;
char events[8192];
unsigned wakes;
void (*during_text)(void);

static void note(const char *what, struct rg_str bytes)
{
    size_t n = strlen(events);
    snprintf(events + n, sizeof(events) - n, "%s(%.*s) ", what, (int)bytes.len, bytes.len ? bytes.ptr : "");
}

static void on_text(void *owner, struct rg_ws *w, struct rg_str message)
{
    assert_ptr_equal(owner, &ws);
    assert_ptr_equal(w, ws);
    note("text", message);
    if (during_text)
        during_text();
}

static void on_binary(void *owner, struct rg_ws *w, struct rg_str message)
{
    (void)owner, (void)w;
    note("binary", message);
}

static void on_ping(void *owner, struct rg_ws *w, struct rg_str payload)
{
    (void)owner, (void)w;
    note("ping", payload);
}

static void on_pong(void *owner, struct rg_ws *w, struct rg_str payload)
{
    (void)owner, (void)w;
    note("pong", payload);
}

static void on_ended(void *owner, struct rg_ws *w, uint16_t code, struct rg_str reason)
{
    char text[256];
    assert_ptr_equal(owner, &ws);
    (void)w;
    snprintf(text, sizeof(text), "%u %.*s", code, (int)reason.len, reason.len ? reason.ptr : "");
    note("ended", rg_str_of(text));
}

const struct rg_ws_handler all = {on_text, on_binary, on_ping, on_pong, on_ended};
const struct rg_ws_handler text_only = {.text = on_text, .ended = on_ended};

static void woken(void *carrier)
{
    assert_ptr_equal(carrier, &wakes);
    wakes++;
}

void begin(enum rg_ws_role role, const struct rg_ws_limits *limits, const struct rg_ws_handler *handler)
{
    events[0] = '\0';
    wakes = 0;
    during_text = NULL;
    ws = rg_ws_create(role, limits, handler, &ws);
    assert_non_null(ws);
    rg_ws_on_wake(ws, woken, &wakes);
}

void end(void)
{
    rg_ws_destroy(ws);
    ws = NULL;
}

/* ---- What a peer sends ---- */

static char sent[1 << 20];
static size_t sent_len;

void put(const void *bytes, size_t n)
{
    assert_true(sent_len + n <= sizeof(sent));
    if (n > 0)
        memcpy(sent + sent_len, bytes, n);
    sent_len += n;
}

#define MASK 0x80

void put_frame(unsigned first, bool masked, const char *payload, size_t len)
{
    static const unsigned char key[4] = {0x12, 0x34, 0x56, 0x78};
    unsigned char head[4] = {(unsigned char)first, (unsigned char)(len < 126 ? len : 126)};
    head[2] = (unsigned char)(len >> 8);
    head[3] = (unsigned char)len;
    assert_true(len < 65536);
    head[1] = (unsigned char)(head[1] | (masked ? MASK : 0));
    put(head, len < 126 ? 2 : 4);
    if (masked)
        put(key, 4);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)((unsigned char)payload[i] ^ (masked ? key[i % 4] : 0));
        put(&c, 1);
    }
}

bool by_the_byte;

void deliver(void)
{
    for (size_t i = 0; i < sent_len; i += by_the_byte ? 1 : sent_len) {
        char *copy = malloc(by_the_byte ? 1 : sent_len); /* exact, so that a read beyond is seen */
        memcpy(copy, sent + i, by_the_byte ? 1 : sent_len);
        rg_ws_receive(ws, copy, by_the_byte ? 1 : sent_len);
        free(copy);
    }
    sent_len = 0;
}

/* ---- What we answer ---- */

void read_output(enum rg_ws_role role, char *ret, size_t cap)
{
    struct rg_str out = rg_ws_output(ws);
    size_t at = 0, n = 0;
    *ret = '\0';
    while (at < out.len) {
        const unsigned char *p = (const unsigned char *)out.ptr + at;
        size_t len = p[1] & 0x7f, head = 2;
        assert_true(p[0] & FIN);
        if (len == 126) {
            len = (size_t)p[2] << 8 | p[3];
            head = 4;
        } else if (len == 127) {
            len = (size_t)p[7] << 16 | (size_t)p[8] << 8 | p[9];
            head = 10;
        }
        bool masked = p[1] & MASK;
        assert_int_equal(masked, role == RG_WS_CLIENT);
        const unsigned char *key = p + head;
        head += masked ? 4 : 0;
        n += (size_t)snprintf(ret + n, cap - n, "%u(", p[0] & 0x0f);
        for (size_t i = 0; i < len && n + 16 < cap; i++) {
            unsigned char c = (unsigned char)(p[head + i] ^ (masked ? key[i % 4] : 0));
            if ((p[0] & 0x0f) == 8 && i == 0)
                n += (size_t)snprintf(ret + n, cap - n, "%u ",
                                      c << 8 | (unsigned char)(p[head + 1] ^ (masked ? key[1] : 0)));
            else if ((p[0] & 0x0f) != 8 || i > 1)
                ret[n++] = (char)c;
        }
        n += (size_t)snprintf(ret + n, cap - n, ") ");
        at += head + len;
    }
    rg_ws_sent(ws, out.len);
}

/* ---- Both ways of delivering ---- */

static int bytewise(void **state)
{
    (void)state;
    by_the_byte = true;
    return 0;
}

static int whole(void **state)
{
    (void)state;
    by_the_byte = false;
    return 0;
}

int run_both_ways(const char *name, const struct CMUnitTest *tests, size_t n)
{
    char group[64];
    snprintf(group, sizeof(group), "%s in whole pieces", name);
    int failed = _cmocka_run_group_tests(group, tests, n, whole, NULL);
    snprintf(group, sizeof(group), "%s byte by byte", name);
    return failed + _cmocka_run_group_tests(group, tests, n, bytewise, NULL);
}
