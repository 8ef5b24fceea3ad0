/* An access record as a line of JSON. Pure. Strings are made valid JSON and valid UTF-8 whatever a client sent. */
#include "control/gateway/access_writer.h"

#include "datapath/base/assert.h"
#include "datapath/http/h1_write.h"

struct line {
    char *out;
    size_t len;
};

static void add(struct line *l, const char *text, size_t len)
{
    memcpy(l->out + l->len, text, len);
    l->len += len;
}

#define ADD(l, literal) add((l), (literal), sizeof(literal) - 1)

static void add_number(struct line *l, uint64_t value)
{
    char digits[20];
    size_t n = sizeof(digits);
    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    add(l, digits + n, sizeof(digits) - n);
}

/* Exactly n digits. */
static void add_padded(struct line *l, uint64_t value, unsigned n)
{
    char digits[9];
    RG_ASSERT(n <= sizeof(digits));
    for (unsigned i = n; i > 0; i--) {
        digits[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    add(l, digits, n);
}

static void add_bool(struct line *l, bool value)
{
    if (value)
        ADD(l, "true");
    else
        ADD(l, "false");
}

static void add_seconds(struct line *l, uint64_t us)
{
    add_number(l, us / 1000000);
    ADD(l, ".");
    add_padded(l, us % 1000000, 6);
}

static void add_time(struct line *l, uint64_t unix_us)
{
    char time[RG_TIMESTAMP_LEN];
    rg_timestamp(time, unix_us);
    ADD(l, "\"");
    add(l, time, sizeof(time));
    ADD(l, "\"");
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629: shortest form, no surrogates); 0 when there is none. */
static size_t utf8_length(const unsigned char *p, size_t len)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
    if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
               (p[0] == 0xf4 && p[1] > 0x8f);
    return bad ? 0 : n;
}

/* Bytes at p that stand for themselves in a JSON string: printable ASCII but for the quote and the backslash. */
static size_t plain_length(const unsigned char *p, size_t len)
{
    size_t n = 0;
    while (n < len && p[n] >= 0x20 && p[n] < 0x7f && p[n] != '"' && p[n] != '\\')
        n++;
    return n;
}

static void add_escape(struct line *l, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    add(l, text, sizeof(text));
}

/* One character that is not plain; returns the bytes it took. */
static size_t add_special(struct line *l, const unsigned char *p, size_t len)
{
    size_t n = utf8_length(p, len);
    if (n == 0)
        ADD(l, "\\ufffd");
    else if (p[0] == '"' || p[0] == '\\')
        add(l, p[0] == '"' ? "\\\"" : "\\\\", 2);
    else if (n == 1)
        add_escape(l, p[0]);
    else
        add(l, (const char *)p, n);
    return n ? n : 1;
}

static void add_string(struct line *l, struct rg_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    ADD(l, "\"");
    for (size_t i = 0; i < s.len;) {
        size_t n = plain_length(p + i, s.len - i);
        if (n > 0)
            add(l, s.ptr + i, n);
        else
            n = add_special(l, p + i, s.len - i);
        i += n;
    }
    ADD(l, "\"");
}

/* Members that say nothing for most exchanges are left out when they are empty. */
static void add_member(struct line *l, const char *key, size_t key_len, struct rg_str value)
{
    if (value.len == 0)
        return;
    add(l, key, key_len);
    add_string(l, value);
}

#define MEMBER(l, name, value) add_member((l), ",\"" name "\":", sizeof(",\"" name "\":") - 1, (value))

static void add_outcome(struct line *l, const struct rg_access_record *r)
{
    ADD(l, ",\"status\":");
    add_number(l, r->status);
    ADD(l, ",\"reason\":");
    add_string(l, rg_reason_info(r->reason < RG_REASON_COUNT ? (enum rg_reason)r->reason : RG_REASON_NONE)->name);
    ADD(l, ",\"complete\":");
    add_bool(l, r->complete);
    ADD(l, ",\"bytes_in\":");
    add_number(l, r->bytes_in);
    ADD(l, ",\"bytes_out\":");
    add_number(l, r->bytes_out);
    ADD(l, ",\"duration\":");
    add_seconds(l, r->duration_us);
    ADD(l, ",\"replica_duration\":");
    add_seconds(l, r->replica_us);
    ADD(l, ",\"connect_duration\":");
    add_seconds(l, r->connect_us);
    ADD(l, ",\"reused\":");
    add_bool(l, r->reused);
    ADD(l, ",\"retried\":");
    add_bool(l, r->retried);
}

size_t rg_access_format(const struct rg_access_record *r, char *out)
{
    struct line l = {out, 0};
    ADD(&l, "{\"time\":");
    add_time(&l, r->unix_us);
    ADD(&l, ",\"client\":");
    add_string(&l, r->peer);
    ADD(&l, ",\"client_port\":");
    add_number(&l, r->peer_port);
    ADD(&l, ",\"method\":");
    add_string(&l, r->method);
    ADD(&l, ",\"target\":");
    add_string(&l, r->target);
    ADD(&l, ",\"protocol\":\"HTTP/");
    add_number(&l, r->http2 ? 2 : 1);
    ADD(&l, ".");
    add_number(&l, r->http2 ? 0 : r->minor);
    ADD(&l, "\",\"host\":");
    add_string(&l, r->host);
    add_outcome(&l, r);
    MEMBER(&l, "unit", r->unit);
    MEMBER(&l, "route", r->route);
    MEMBER(&l, "policy", r->policy);
    MEMBER(&l, "upstream", r->upstream);
    MEMBER(&l, "user_agent", r->user_agent);
    MEMBER(&l, "referer", r->referer);
    MEMBER(&l, "request_id", r->request_id);
    MEMBER(&l, "traceparent", r->traceparent);
    ADD(&l, ",\"worker\":");
    add_number(&l, r->worker);
    ADD(&l, ",\"tls\":");
    add_bool(&l, r->tls);
    MEMBER(&l, "tls_version", r->tls_version);
    MEMBER(&l, "tls_cipher", r->tls_cipher);
    MEMBER(&l, "server_name", r->tls_name);
    ADD(&l, "}\n");
    RG_ASSERT(l.len <= RG_ACCESS_RECORD_MAX);
    return l.len;
}
