/*
 * Is this answer that of a healthy replica? By its status, or by the CBOR map in which it reports on itself: a replica
 * of the Internet Computer answers 200 even when it is not healthy. Pure; the body is untrusted and small.
 */
#include "control/gateway/health.h"

#include <cbor.h>
#include <stdio.h>

#define CBOR_DEPTH_MAX      16
#define CBOR_ITEMS_MAX      4096 /* declared by one array or map, and in all */
#define SELF_DESCRIBE_TAG   55799u
#define SELF_DESCRIBE_BYTES "\xd9\xd9\xf7"
#define STATUS_KEY          "replica_health_status"
#define VALUE_SHOWN_MAX     64

/* ---- Before decoding: the shape of the document, so that a few bytes can't ask for much memory or stack ---- */

struct scan {
    const unsigned char *at, *end;
    unsigned items;
};

static bool scan_head(struct scan *s, unsigned *major, unsigned *info, uint64_t *argument)
{
    if (s->at == s->end)
        return false;
    *major = *s->at >> 5;
    *info = *s->at++ & 31;
    *argument = *info;
    if (*info < 24 || *info == 31)
        return true;
    if (*info > 27)
        return false;
    unsigned bytes = 1u << (*info - 24);
    if ((size_t)(s->end - s->at) < bytes)
        return false;
    for (*argument = 0; bytes > 0; bytes--)
        *argument = *argument << 8 | *s->at++;
    return true;
}

enum scanned { BAD, ITEM, BREAK };
static enum scanned scan_item(struct scan *s, unsigned depth);

static bool scan_items(struct scan *s, uint64_t n, unsigned depth)
{
    for (; n > 0; n--)
        if (scan_item(s, depth) != ITEM)
            return false;
    return true;
}

static bool scan_until_break(struct scan *s, unsigned depth, bool pairs)
{
    unsigned n = 0;
    enum scanned r;
    while ((r = scan_item(s, depth)) == ITEM)
        n++;
    return r == BREAK && (!pairs || n % 2 == 0);
}

static bool scan_string(struct scan *s, uint64_t len)
{
    if (len > (uint64_t)(s->end - s->at))
        return false;
    s->at += len;
    return true;
}

static bool scan_container(struct scan *s, unsigned major, unsigned info, uint64_t argument, unsigned depth)
{
    if (info == 31)
        return scan_until_break(s, depth + 1, major == 5);
    if (argument > CBOR_ITEMS_MAX)
        return false;
    return scan_items(s, major == 5 ? argument * 2 : argument, depth + 1);
}

static enum scanned scan_item(struct scan *s, unsigned depth)
{
    unsigned major, info;
    uint64_t argument;
    if (depth > CBOR_DEPTH_MAX || ++s->items > CBOR_ITEMS_MAX || !scan_head(s, &major, &info, &argument))
        return BAD;
    bool ok = true, indefinite = info == 31;
    switch (major) {
    case 0:
    case 1:
        ok = !indefinite;
        break;
    case 2:
    case 3:
        ok = indefinite ? scan_until_break(s, depth + 1, false) : scan_string(s, argument);
        break;
    case 4:
    case 5:
        ok = scan_container(s, major, info, argument, depth);
        break;
    case 6:
        ok = !indefinite && scan_items(s, 1, depth + 1);
        break;
    default:
        if (indefinite)
            return BREAK;
    }
    return ok ? ITEM : BAD;
}

/* One item that fills the body, within the limits. */
static bool is_decodable(struct rg_str body)
{
    const unsigned char *start = (const unsigned char *)body.ptr;
    struct scan s = {start, start + body.len, 0};
    return body.len > 0 && scan_item(&s, 0) == ITEM && s.at == s.end;
}

/* ---- The status in it ---- */

static bool is_text(const cbor_item_t *item, struct rg_str *ret)
{
    if (!cbor_isa_string(item) || !cbor_string_is_definite(item))
        return false;
    *ret = (struct rg_str){(const char *)cbor_string_handle(item), cbor_string_length(item)};
    return true;
}

/* Borrowed from map; NULL: no such key. The first one counts, a second one makes the document ambiguous. */
static const cbor_item_t *find_status(const cbor_item_t *map, bool *twice)
{
    const cbor_item_t *found = NULL;
    const struct cbor_pair *pairs = cbor_map_handle(map);
    for (size_t i = 0; i < cbor_map_size(map); i++) {
        struct rg_str key;
        if (!is_text(pairs[i].key, &key) || !rg_str_eq(key, RG_STR(STATUS_KEY)))
            continue;
        *twice = found != NULL;
        found = pairs[i].value;
    }
    return found;
}

static bool is_healthy_map(const cbor_item_t *map, char *why, size_t why_len)
{
    bool twice = false;
    struct rg_str value;
    const cbor_item_t *status = cbor_isa_map(map) ? find_status(map, &twice) : NULL;
    if (!status || twice || !is_text(status, &value)) {
        snprintf(why, why_len, "the CBOR answer has no text '" STATUS_KEY "'");
        return false;
    }
    if (rg_str_eq(value, RG_STR("healthy")))
        return true;
    char shown[VALUE_SHOWN_MAX + 1];
    size_t n = value.len < VALUE_SHOWN_MAX ? value.len : VALUE_SHOWN_MAX;
    for (size_t i = 0; i < n; i++) /* it goes to logs and answers */
        shown[i] = value.ptr[i] >= 0x20 && value.ptr[i] < 0x7f ? value.ptr[i] : '?';
    shown[n] = '\0';
    snprintf(why, why_len, STATUS_KEY " is '%s', wanted 'healthy'", shown);
    return false;
}

static bool judge_cbor(struct rg_str body, char *why, size_t why_len)
{
    struct cbor_load_result result;
    cbor_item_t *root = is_decodable(body) ? cbor_load((cbor_data)body.ptr, body.len, &result) : NULL;
    if (!root) {
        snprintf(why, why_len, "the body is not a CBOR document within the limits");
        return false;
    }
    cbor_item_t *map = cbor_incref(root);
    if (cbor_isa_tag(root) && cbor_tag_value(root) == SELF_DESCRIBE_TAG) {
        cbor_decref(&map);
        map = cbor_tag_item(root);
    }
    bool healthy = is_healthy_map(map, why, why_len);
    cbor_decref(&map);
    cbor_decref(&root);
    return healthy;
}

/* ---- The rules ---- */

static bool is_cbor(const struct rg_health_answer *a)
{
    static const struct rg_str type = {"application/cbor", sizeof("application/cbor") - 1};
    struct rg_str t = a->content_type;
    bool named = t.len >= type.len && rg_str_eq_nocase((struct rg_str){t.ptr, type.len}, type) &&
                 (t.len == type.len || t.ptr[type.len] == ';' || t.ptr[type.len] == ' ');
    return named || (a->body.len >= 3 && memcmp(a->body.ptr, SELF_DESCRIBE_BYTES, 3) == 0);
}

static bool is_between(const struct rg_health_answer *a, unsigned min, unsigned max, char *why, size_t why_len)
{
    if (a->status >= min && a->status <= max)
        return true;
    snprintf(why, why_len, "status is %u, wanted %u to %u", a->status, min, max);
    return false;
}

bool rg_health_judge(const struct rg_health_settings *s, const struct rg_health_answer *a, char *why, size_t why_len)
{
    why[0] = '\0';
    switch ((enum rg_health_expect)s->expect) {
    case RG_EXPECT_RANGE:
        return is_between(a, s->status_min, s->status_max, why, why_len);
    case RG_EXPECT_IC_STATUS:
        return is_between(a, 200, 299, why, why_len) && judge_cbor(a->body, why, why_len);
    case RG_EXPECT_AUTO:
        break;
    }
    /* Any server that answers is up, unless it says in words that we know that it is not. */
    return is_between(a, 100, 499, why, why_len) && (!is_cbor(a) || judge_cbor(a->body, why, why_len));
}
