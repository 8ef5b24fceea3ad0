/*
 * Framing of a message, from its fields: see h1_framing.h. One pass collects the fields that matter; then the rules of
 * RFC 9112 6.3 are applied in the order in which smugglers test them.
 */
#include "datapath/base/assert.h"
#include "datapath/http/h1_authority.h"
#include "datapath/http/h1_chars.h"
#include "datapath/http/h1_framing.h"
#include "datapath/http/ws_key.h"

_Static_assert(RG_FIELD_COUNT <= 64, "listed_ids has a bit for each known field");

#define LENGTH_DIGITS_MAX 19 /* always fits in 64 bits */

/* How often a field stands in the head (more than one is "several"), and the last one. */
struct seen {
    struct rg_str value;
    const struct rg_field *field;
    uint8_t count;
};

/* The fields that decide about framing. */
struct facts {
    struct seen host, length, coding, expect, upgrade, ws_key, ws_version;
    bool has_connection;
    bool close, keep_alive, connection_upgrade;
    bool binds_connection;
};

static inline void note(struct seen *s, const struct rg_field *f)
{
    s->value = rg_field_value(f);
    s->field = f;
    s->count = s->count ? 2 : 1;
}

/* Schemes by which servers authenticate a connection instead of a request (RFC 4559 6). */
static RG_COLD bool binds_connection(struct rg_str credentials)
{
    static const struct rg_str schemes[] = {{"ntlm", 4}, {"negotiate", 9}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
        size_t len = schemes[i].len;
        if (credentials.len >= len && rg_str_eq_nocase((struct rg_str){credentials.ptr, len}, schemes[i]) &&
            (credentials.len == len || credentials.ptr[len] == ' '))
            return true;
    }
    return false;
}

static void collect(const struct rg_field *fields, unsigned n, struct facts *facts)
{
    for (const struct rg_field *f = fields; f < fields + n; f++) {
        switch (f->id) {
        case RG_FIELD_HOST:
            note(&facts->host, f);
            break;
        case RG_FIELD_CONTENT_LENGTH:
            note(&facts->length, f);
            break;
        case RG_FIELD_TRANSFER_ENCODING:
            note(&facts->coding, f);
            break;
        case RG_FIELD_CONNECTION:
            facts->has_connection = true;
            break;
        case RG_FIELD_EXPECT:
            note(&facts->expect, f);
            break;
        case RG_FIELD_AUTHORIZATION:
        case RG_FIELD_PROXY_AUTHORIZATION:
            if (RG_UNLIKELY((*f->value | 0x20) == 'n')) /* of an empty value: its line end */
                facts->binds_connection |= binds_connection(rg_field_value(f));
            break;
        case RG_FIELD_UPGRADE:
            note(&facts->upgrade, f);
            break;
        case RG_FIELD_SEC_WEBSOCKET_KEY:
            note(&facts->ws_key, f);
            break;
        case RG_FIELD_SEC_WEBSOCKET_VERSION:
            note(&facts->ws_version, f);
            break;
        default:
            break;
        }
    }
}

/* ---- Lists (RFC 9110 5.6.1) ---- */

/* The next element of a comma-separated list, without white space; may be empty. false: no more. */
static bool next_element(struct rg_str *rest, struct rg_str *ret)
{
    if (!rest->ptr)
        return false;
    const char *p = rest->ptr, *end = p + rest->len;
    const char *comma = memchr(p, ',', rest->len);
    const char *stop = comma ? comma : end;
    *rest = comma ? (struct rg_str){comma + 1, (size_t)(end - comma - 1)} : RG_STR_NONE;
    while (p < stop && (*p == ' ' || *p == '\t'))
        p++;
    while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    *ret = (struct rg_str){p, (size_t)(stop - p)};
    return true;
}

/* ---- Connection ---- */

/* Whether Connection may name this field. In a response, a name that it may not is passed over: see below. */
static bool take_option(struct rg_str option, struct facts *facts, struct rg_framing *ret)
{
    if (rg_str_eq_nocase(option, RG_STR("close"))) {
        facts->close = true;
        return true;
    }
    if (rg_str_eq_nocase(option, RG_STR("keep-alive"))) {
        facts->keep_alive = true;
        ret->listed_ids |= UINT64_C(1) << RG_FIELD_KEEP_ALIVE; /* the name of a field, too */
        return true;
    }
    if (rg_str_eq_nocase(option, RG_STR("upgrade")))
        facts->connection_upgrade = true;
    enum rg_field_id id = rg_field_lookup(option.ptr, option.len);
    if (id != RG_FIELD_OTHER) {
        if (rg_field_flags(id) & RG_FIELD_IS_END)
            return false;
        ret->listed_ids |= UINT64_C(1) << id;
        return true;
    }
    if (!rg_str_is(option, RG_CHAR_TOKEN) || ret->n_listed == RG_LISTED_MAX)
        return false;
    ret->listed[ret->n_listed++] = option;
    return true;
}

/* Reads all Connection fields. false: an option that must not stand there (the others are read nonetheless). */
static bool take_connection(const struct rg_field *fields, unsigned n, struct facts *facts, struct rg_framing *ret)
{
    bool good = true;
    for (unsigned i = 0; i < n; i++) {
        if (fields[i].id != RG_FIELD_CONNECTION)
            continue;
        struct rg_str rest = rg_field_value(&fields[i]), option;
        while (next_element(&rest, &option))
            if (option.len > 0)
                good &= take_option(option, facts, ret);
    }
    return good;
}

/* RFC 9110 10.1.4. Trailers are passed on, so the word of a client that takes them counts for us, too. */
static RG_COLD bool takes_trailers(const struct rg_h1_request *req)
{
    for (unsigned i = 0; i < req->n_fields; i++) {
        if (req->fields[i].id != RG_FIELD_TE)
            continue;
        struct rg_str rest = rg_field_value(&req->fields[i]), member;
        while (next_element(&rest, &member))
            if (rg_str_eq_nocase(member, RG_STR("trailers")))
                return true;
    }
    return false;
}

/* Connection has to name TE: else it may be left over from a hop that did not know it. */
static bool says_te(const struct facts *facts, const struct rg_framing *ret, uint8_t minor)
{
    return ret->listed_ids & UINT64_C(1) << RG_FIELD_TE && minor >= 1 && !facts->connection_upgrade;
}

static bool persists(const struct facts *facts, uint8_t minor)
{
    return !facts->close && (minor >= 1 || facts->keep_alive);
}

/* ---- Content-Length, Transfer-Encoding ---- */

/*
 * A tab around the value. It is white space, but some programs strip spaces only, and then see another framing. Such
 * fields are refused rather than cleaned.
 */
static bool is_padded_with_tab(const struct rg_field *f)
{
    const char *p = f->name + f->name_len + 1;
    while (p < f->value && *p != '\t')
        p++;
    if (p < f->value)
        return true;
    for (p = f->value + f->value_len; *p != '\r'; p++)
        if (*p == '\t')
            return true;
    return false;
}

/* One field with a plain decimal number; a leading zero is refused, as some read it as octal. */
static bool take_length(const struct seen *length, uint64_t *ret)
{
    struct rg_str text = length->value;
    if (length->count != 1 || text.len > LENGTH_DIGITS_MAX || !rg_str_is(text, RG_CHAR_DIGIT))
        return false;
    if ((text.ptr[0] == '0' && text.len > 1) || is_padded_with_tab(length->field))
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n = n * 10 + (uint64_t)(text.ptr[i] - '0');
    *ret = n;
    return true;
}

static bool is_known_coding(struct rg_str name)
{
    static const struct rg_str known[] = {
        {"gzip", 4}, {"deflate", 7}, {"compress", 8}, {"x-gzip", 6}, {"x-compress", 10}};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (rg_str_eq_nocase(name, known[i]))
            return true;
    return false;
}

/*
 * Transfer-Encoding other than "chunked" alone: codings that we don't speak, written well and with at most one
 * "chunked", in the end, are UNKNOWN_CODING; all else is malformed.
 */
static RG_COLD enum rg_reason judge_coding(const struct seen *coding)
{
    struct rg_str rest = coding->value, name;
    bool after_chunked = false;
    if (coding->count != 1 || is_padded_with_tab(coding->field))
        return RG_REASON_BAD_TRANSFER_ENCODING;
    while (next_element(&rest, &name)) {
        if (after_chunked)
            return RG_REASON_BAD_TRANSFER_ENCODING;
        after_chunked = rg_str_eq_nocase(name, RG_STR("chunked"));
        if (!after_chunked && !is_known_coding(name))
            return RG_REASON_BAD_TRANSFER_ENCODING;
    }
    return RG_REASON_UNKNOWN_CODING;
}

static enum rg_reason take_coding(const struct seen *coding)
{
    bool is_chunked = coding->count == 1 && rg_str_eq_nocase(coding->value, RG_STR("chunked"));
    if (RG_LIKELY(is_chunked && !is_padded_with_tab(coding->field)))
        return RG_REASON_NONE;
    return judge_coding(coding);
}

/* Sets kind and length of a request's body. */
static enum rg_reason take_request_body(const struct facts *facts, uint8_t minor, uint64_t body_max,
                                        struct rg_framing *ret)
{
    if (facts->coding.count) {
        if (facts->length.count)
            return RG_REASON_LENGTH_AND_CODING;
        if (minor == 0)
            return RG_REASON_CODING_IN_HTTP10;
        ret->kind = RG_BODY_CHUNKED;
        return take_coding(&facts->coding);
    }
    if (facts->length.count) {
        if (!take_length(&facts->length, &ret->length))
            return RG_REASON_BAD_CONTENT_LENGTH;
        ret->has_length_field = true;
        ret->kind = ret->length ? RG_BODY_LENGTH : RG_BODY_NONE;
        if (body_max && ret->length > body_max)
            return RG_REASON_BODY_TOO_LARGE;
    }
    return RG_REASON_NONE;
}

static bool is_version_13(const struct facts *facts)
{
    return facts->ws_version.count == 1 && rg_str_eq(facts->ws_version.value, RG_STR("13"));
}

/* RFC 8441 5: what comes in DATA is no body but the WebSocket. */
static enum rg_reason frame_h2_websocket(const struct facts *facts, struct rg_framing *ret)
{
    if (ret->kind != RG_BODY_NONE)
        return RG_REASON_BODY_WITH_UPGRADE;
    ret->websocket = is_version_13(facts);
    return ret->websocket ? RG_REASON_NONE : RG_REASON_BAD_WEBSOCKET;
}

/* A body of HTTP/2 has its own frames; where no length is told, it ends with the stream. */
static enum rg_reason frame_h2_body(const struct rg_h1_request *req, const struct facts *facts, uint64_t body_max,
                                    struct rg_framing *ret)
{
    enum rg_reason why = take_request_body(facts, 1, body_max, ret);
    if (facts->coding.count || facts->upgrade.count || facts->has_connection)
        return RG_REASON_BAD_TRANSFER_ENCODING; /* h2_head.c lets none through */
    if (why == RG_REASON_NONE && req->websocket)
        return frame_h2_websocket(facts, ret);
    if (why == RG_REASON_NONE && req->ends && ret->kind != RG_BODY_NONE)
        return RG_REASON_BAD_CONTENT_LENGTH;
    if (!req->ends && !ret->has_length_field)
        ret->kind = RG_BODY_EOF;
    ret->te_trailers = req->te_trailers;
    return why;
}

/* ---- Host ---- */

/* Absolute form: Host must say the same as the target; the target wins. */
static RG_COLD bool target_agrees(const struct rg_h1_request *req, const struct rg_authority *host)
{
    struct rg_authority target;
    bool is_https = (req->target.ptr[4] | 0x20) == 's';
    return rg_authority_parse(req->authority, &target) && rg_authority_same(host, &target, is_https ? 443 : 80);
}

static enum rg_reason take_host(const struct rg_h1_request *req, const struct seen *host, struct rg_framing *ret)
{
    struct rg_authority authority;
    bool is_absolute = req->target_form == RG_TARGET_ABSOLUTE;
    ret->host = is_absolute ? req->authority : host->value;
    if (host->count == 0)
        return req->minor == 0 ? RG_REASON_NONE : RG_REASON_NO_HOST;
    if (host->count > 1)
        return RG_REASON_BAD_HOST;
    if (host->value.len == 0 && !is_absolute) /* RFC 9112 3.2: a target without an authority */
        return req->is_h2 ? RG_REASON_BAD_HOST : RG_REASON_NONE;
    if (!rg_authority_parse(host->value, &authority))
        return RG_REASON_BAD_HOST;
    if (is_absolute && !target_agrees(req, &authority))
        return RG_REASON_BAD_HOST;
    return RG_REASON_NONE;
}

/* ---- Expect, Upgrade ---- */

static enum rg_reason take_expect(const struct seen *expect, uint8_t minor, struct rg_framing *ret)
{
    if (RG_LIKELY(expect->count == 0))
        return RG_REASON_NONE;
    if (expect->count > 1 || !rg_str_eq_nocase(expect->value, RG_STR("100-continue")))
        return RG_REASON_BAD_EXPECT;
    ret->expect_continue = minor >= 1 && ret->kind != RG_BODY_NONE;
    return RG_REASON_NONE;
}

static bool is_websocket_key(struct rg_str key)
{
    if (key.len != RG_WS_KEY_LEN || key.ptr[22] != '=' || key.ptr[23] != '=')
        return false;
    for (int i = 0; i < 22; i++) {
        char c = key.ptr[i];
        bool is_alnum = (unsigned char)((c | 0x20) - 'a') < 26 || rg_char_is(c, RG_CHAR_DIGIT);
        if (!is_alnum && c != '+' && c != '/')
            return false;
    }
    return true;
}

static bool names_websocket(const struct facts *facts)
{
    return facts->upgrade.count == 1 && facts->connection_upgrade &&
           rg_str_eq_nocase(facts->upgrade.value, RG_STR("websocket"));
}

/* An Upgrade that is not a well-formed WebSocket handshake is not an upgrade: the request is forwarded as a plain one.
 */
static enum rg_reason take_upgrade(const struct rg_h1_request *req, const struct facts *facts, struct rg_framing *ret)
{
    if (RG_LIKELY(facts->upgrade.count == 0) || !facts->connection_upgrade || req->minor == 0)
        return RG_REASON_NONE;
    if (ret->kind != RG_BODY_NONE) /* Java's HttpClient offers h2c with any first request, whatever body that has */
        return names_websocket(facts) ? RG_REASON_BODY_WITH_UPGRADE : RG_REASON_NONE;
    ret->websocket = req->method_id == RG_METHOD_GET && names_websocket(facts) && is_version_13(facts) &&
                     facts->ws_key.count == 1 && is_websocket_key(facts->ws_key.value);
    return RG_REASON_NONE;
}

/* ---- Max-Forwards ---- */

/* Of several fields, which nobody should send, one that says zero is enough. */
static RG_COLD bool has_no_hop_left(const struct rg_h1_request *req)
{
    for (unsigned i = 0; i < req->n_fields; i++) {
        if (req->fields[i].id != RG_FIELD_MAX_FORWARDS)
            continue;
        struct rg_str value = rg_field_value(&req->fields[i]);
        size_t zeros = 0;
        while (zeros < value.len && value.ptr[zeros] == '0')
            zeros++;
        if (value.len > 0 && zeros == value.len)
            return true;
    }
    return false;
}

/* ---- Messages ---- */

/* All but the array of listed names, which n_listed covers. */
static void reset(struct rg_framing *ret)
{
    ret->length = 0;
    ret->kind = RG_BODY_NONE;
    ret->persistent = false;
    ret->expect_continue = false;
    ret->websocket = false;
    ret->has_length_field = false;
    ret->te_trailers = false;
    ret->ends_here = false;
    ret->binds_connection = false;
    ret->n_listed = 0;
    ret->listed_ids = 0;
    ret->host = RG_STR_NONE;
}

enum rg_reason rg_h1_frame_request(const struct rg_h1_request *req, const struct rg_framing_options *opt,
                                   struct rg_framing *ret)
{
    struct facts facts = {0};
    reset(ret);
    if (RG_UNLIKELY(req->method_id == RG_METHOD_CONNECT)) {
        ret->host = req->authority;
        return RG_REASON_CONNECT_REFUSED;
    }
    collect(req->fields, req->n_fields, &facts);
    enum rg_reason why = take_host(req, &facts.host, ret);
    if (RG_LIKELY(why == RG_REASON_NONE))
        why = RG_UNLIKELY(req->is_h2) ? frame_h2_body(req, &facts, opt->body_bytes, ret)
                                      : take_request_body(&facts, req->minor, opt->body_bytes, ret);
    if (RG_UNLIKELY(why != RG_REASON_NONE))
        return why;
    if (facts.has_connection && !take_connection(req->fields, req->n_fields, &facts, ret))
        return RG_REASON_BAD_CONNECTION_OPTION;
    if (RG_UNLIKELY(says_te(&facts, ret, req->minor)))
        ret->te_trailers = takes_trailers(req);
    if (RG_UNLIKELY(req->method_id == RG_METHOD_TRACE && ret->kind != RG_BODY_NONE))
        return RG_REASON_BODY_WITH_TRACE;
    ret->persistent = persists(&facts, req->minor);
    ret->binds_connection = facts.binds_connection;
    if (RG_UNLIKELY(req->method_id == RG_METHOD_OPTIONS || req->method_id == RG_METHOD_TRACE))
        ret->ends_here = has_no_hop_left(req);
    why = take_expect(&facts.expect, req->minor, ret);
    return RG_LIKELY(why == RG_REASON_NONE) ? take_upgrade(req, &facts, ret) : why;
}

/* RFC 9112 6.3 from the first rule on: some responses have no body, whatever their fields say. */
static enum rg_reason take_response_body(const struct rg_h1_response *res, const struct facts *facts,
                                         enum rg_method request_method, struct rg_framing *ret)
{
    bool is_chunked = facts->coding.count > 0, has_length = facts->length.count > 0;
    if (is_chunked && (has_length || res->minor == 0 || take_coding(&facts->coding) != RG_REASON_NONE))
        return RG_REASON_REPLICA_FRAMING;
    if (has_length && !take_length(&facts->length, &ret->length))
        return RG_REASON_REPLICA_FRAMING;
    if (res->status < 200 || res->status == 204) {
        ret->length = 0;
        return RG_REASON_NONE;
    }
    ret->has_length_field = has_length;
    if (request_method == RG_METHOD_HEAD || res->status == 304)
        return RG_REASON_NONE;
    if (is_chunked)
        ret->kind = RG_BODY_CHUNKED;
    else if (has_length)
        ret->kind = ret->length ? RG_BODY_LENGTH : RG_BODY_NONE;
    else
        ret->kind = RG_BODY_EOF;
    return RG_REASON_NONE;
}

enum rg_reason rg_h1_frame_response(const struct rg_h1_response *res, enum rg_method request_method, bool upgrade_asked,
                                    struct rg_framing *ret)
{
    struct facts facts = {0};
    reset(ret);
    collect(res->fields, res->n_fields, &facts);
    enum rg_reason why = take_response_body(res, &facts, request_method, ret);
    if (RG_UNLIKELY(why != RG_REASON_NONE))
        return why;
    /*
     * Servers do write "Connection: Transfer-Encoding" and the like. Nothing is lost by passing over a name that has to
     * stay; only names that we have no room to remember would be forwarded although they must not.
     */
    if (facts.has_connection && !take_connection(res->fields, res->n_fields, &facts, ret) &&
        ret->n_listed == RG_LISTED_MAX)
        return RG_REASON_REPLICA_MALFORMED;
    ret->persistent = persists(&facts, res->minor) && ret->kind != RG_BODY_EOF;
    if (RG_UNLIKELY(res->status == 101)) {
        ret->websocket = upgrade_asked && res->minor >= 1 && names_websocket(&facts);
        return ret->websocket ? RG_REASON_NONE : RG_REASON_REPLICA_UNASKED_UPGRADE;
    }
    return RG_REASON_NONE;
}
