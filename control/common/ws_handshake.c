/* Why: how a WebSocket begins (RFC 6455 section 4), for both roles. Pure but for the random key. See ws.h. */
#include <stdio.h>
#include <sys/random.h>

#include "control/common/ws.h"
#include "datapath/base/assert.h"
#include "datapath/http/h1_framing.h"

void rg_ws_new_key(char ret[RG_WS_KEY_LEN + 1])
{
    uint8_t nonce[RG_WS_NONCE_LEN];
    RG_ASSERT(getrandom(nonce, sizeof(nonce), 0) == sizeof(nonce)); /* so few bytes always come whole */
    rg_ws_key_of(nonce, ret);
}

int rg_ws_write_request(char *out, size_t cap, const char *host, const char *target, const char *key,
                        const char *fields)
{
    int n = snprintf(out, cap,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                     target, host, key, fields);
    return n < 0 || (size_t)n >= cap ? -1 : n;
}

/* ---- The answer ---- */

static const struct rg_h1_limits limits = {
    .head_bytes = 16384, .field_bytes = 8192, .fields = 100, .allow_underscore = true};

static size_t count_fields(const struct rg_h1_response *res, struct rg_str name, struct rg_str *ret_last)
{
    size_t n = 0;
    for (uint16_t i = 0; i < res->n_fields; i++)
        if (rg_str_eq_nocase(rg_field_name(&res->fields[i]), name)) {
            *ret_last = rg_field_value(&res->fields[i]);
            n++;
        }
    return n;
}

/* What is wrong with a 101; NULL: nothing. */
static const char *check_switch(const struct rg_h1_response *res, const char *key)
{
    struct rg_framing framing;
    struct rg_str value = RG_STR_NONE;
    if (rg_h1_frame_response(res, RG_METHOD_GET, true, &framing) != RG_REASON_NONE)
        return "the server switches to another protocol than was asked for";
    if (!rg_ws_is_accepted(res, rg_str_of(key)))
        return "the server's Sec-WebSocket-Accept does not match the key";
    if (count_fields(res, RG_STR("sec-websocket-extensions"), &value) > 0)
        return "the server uses an extension that was not asked for";
    if (count_fields(res, RG_STR("sec-websocket-protocol"), &value) > 0)
        return "the server uses a subprotocol that was not asked for";
    return NULL;
}

static void judge(const struct rg_h1_response *res, const char *key, struct rg_ws_answer *ret)
{
    ret->status = res->status;
    count_fields(res, RG_STR("retry-after"), &ret->retry_after);
    ret->wrong = res->status == 101 ? check_switch(res, key) : "the server does not switch to a WebSocket";
    ret->accepted = ret->wrong == NULL;
}

int32_t rg_ws_read_answer(const char *bytes, size_t len, const char *key, struct rg_ws_answer *ret)
{
    struct rg_field fields[100];
    struct rg_h1_response res;
    enum rg_reason reason;
    *ret = (struct rg_ws_answer){0};
    for (size_t at = 0;;) {
        struct rg_h1_resume resume = {0, 0};
        int32_t head = rg_h1_parse_response(&resume, bytes + at, len - at, &limits, fields, &res, &reason);
        if (head < 0 || at > limits.head_bytes) {
            ret->wrong = "the server's answer is not HTTP";
            return -1;
        }
        if (head == 0)
            return 0;
        at += (size_t)head;
        if (res.status >= 200 || res.status == 101) { /* others announce: the answer is still to come */
            judge(&res, key, ret);
            return (int32_t)at;
        }
    }
}
