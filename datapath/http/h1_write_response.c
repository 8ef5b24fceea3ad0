/*
 * Response heads for the client: the replica's, rewritten, and those that the gateway makes itself.
 * Hot: the first once per response. Pure, thread: any.
 */
#include "datapath/http/h1_write_out.h"

/* Indexed by status; a gap has no phrase, which the grammar allows. */
struct rg_str rg_status_phrase(uint16_t status)
{
    static const struct rg_str phrases[600] = {
#define PHRASE(code, text) [code] = {text, sizeof(text) - 1}
        PHRASE(100, "Continue"),
        PHRASE(101, "Switching Protocols"),
        PHRASE(103, "Early Hints"),
        PHRASE(200, "OK"),
        PHRASE(201, "Created"),
        PHRASE(202, "Accepted"),
        PHRASE(203, "Non-Authoritative Information"),
        PHRASE(204, "No Content"),
        PHRASE(205, "Reset Content"),
        PHRASE(206, "Partial Content"),
        PHRASE(300, "Multiple Choices"),
        PHRASE(301, "Moved Permanently"),
        PHRASE(302, "Found"),
        PHRASE(303, "See Other"),
        PHRASE(304, "Not Modified"),
        PHRASE(307, "Temporary Redirect"),
        PHRASE(308, "Permanent Redirect"),
        PHRASE(400, "Bad Request"),
        PHRASE(401, "Unauthorized"),
        PHRASE(402, "Payment Required"),
        PHRASE(403, "Forbidden"),
        PHRASE(404, "Not Found"),
        PHRASE(405, "Method Not Allowed"),
        PHRASE(406, "Not Acceptable"),
        PHRASE(407, "Proxy Authentication Required"),
        PHRASE(408, "Request Timeout"),
        PHRASE(409, "Conflict"),
        PHRASE(410, "Gone"),
        PHRASE(411, "Length Required"),
        PHRASE(412, "Precondition Failed"),
        PHRASE(413, "Content Too Large"),
        PHRASE(414, "URI Too Long"),
        PHRASE(415, "Unsupported Media Type"),
        PHRASE(416, "Range Not Satisfiable"),
        PHRASE(417, "Expectation Failed"),
        PHRASE(421, "Misdirected Request"),
        PHRASE(422, "Unprocessable Content"),
        PHRASE(425, "Too Early"),
        PHRASE(426, "Upgrade Required"),
        PHRASE(428, "Precondition Required"),
        PHRASE(429, "Too Many Requests"),
        PHRASE(431, "Request Header Fields Too Large"),
        PHRASE(451, "Unavailable For Legal Reasons"),
        PHRASE(500, "Internal Server Error"),
        PHRASE(501, "Not Implemented"),
        PHRASE(502, "Bad Gateway"),
        PHRASE(503, "Service Unavailable"),
        PHRASE(504, "Gateway Timeout"),
        PHRASE(505, "HTTP Version Not Supported"),
        PHRASE(507, "Insufficient Storage"),
        PHRASE(511, "Network Authentication Required"),
#undef PHRASE
    };
    bool known = status < sizeof(phrases) / sizeof(phrases[0]) && phrases[status].ptr != NULL;
    return known ? phrases[status] : RG_STR("");
}

static void write_status_line(struct out *o, uint16_t status, struct rg_str phrase)
{
    RG_ASSERT(status >= 100 && status <= 999);
    char line[] = "HTTP/1.1 000 ";
    line[9] = (char)('0' + status / 100);
    line[10] = (char)('0' + status / 10 % 10);
    line[11] = (char)('0' + status % 10);
    out_bytes(o, line, sizeof(line) - 1);
    out_str(o, phrase);
    out_lit(o, "\r\n");
}

static bool is_interim(uint16_t status)
{
    return status < 200 && status != 101;
}

/* RFC 9110 8.6, RFC 9112 6.1: these never say how long a body is, for they have none. */
static bool has_no_framing(uint16_t status)
{
    return status < 200 || status == 204;
}

static void write_framing(struct out *o, uint16_t status, const struct rg_framing *framing,
                          const struct rg_response_options *opt)
{
    if (has_no_framing(status))
        return;
    if ((opt->chunked || opt->eof_to_chunked) && !opt->client_http10)
        out_lit(o, "Transfer-Encoding: chunked\r\n");
    else if (framing->kind == RG_BODY_LENGTH || framing->has_length_field)
        out_field_uint(o, "Content-Length", framing->length);
}

static void write_persistence(struct out *o, bool keep_alive, bool client_http10)
{
    if (!keep_alive)
        out_lit(o, "Connection: close\r\n");
    else if (client_http10)
        out_lit(o, "Connection: keep-alive\r\n");
}

uint64_t rg_h1_write_dropped_of_response(const struct rg_h1_response *res, const struct rg_framing *framing,
                                         const struct rg_response_options *opt)
{
    uint64_t ids =
        rg_h1_write_hop_ids | framing->listed_ids | FIELD_BIT(RG_FIELD_CONTENT_LENGTH) | FIELD_BIT(RG_FIELD_VIA);
    if (opt->request_id.len != 0)
        ids |= FIELD_BIT(RG_FIELD_X_REQUEST_ID);
    if (RG_UNLIKELY(res->status == 101)) /* says to what: listed by Connection, and yet for the client */
        ids &= ~FIELD_BIT(RG_FIELD_UPGRADE);
    return ids & ~FIELD_BIT(RG_FIELD_OTHER);
}

int32_t rg_h1_write_response(char *out, size_t cap, const struct rg_h1_response *res, const struct rg_framing *framing,
                             const struct rg_response_options *opt, struct rg_str date)
{
    struct out o = out_init(out, cap);
    write_status_line(&o, res->status, res->reason_phrase);

    struct selection s = {rg_h1_write_dropped_of_response(res, framing, opt), framing, false, false};
    unsigned received = (unsigned)res->n_fields - res->n_added;
    uint64_t present = rg_h1_write_fields(&o, res->fields, received, &s) & ~framing->listed_ids;
    if (RG_UNLIKELY(res->n_added != 0))
        rg_h1_write_added(&o, res->fields + received, res->n_added);

    write_framing(&o, res->status, framing, opt);
    if (res->status >= 200) {
        write_persistence(&o, opt->keep_alive, opt->client_http10);
        if (!(present & FIELD_BIT(RG_FIELD_DATE)))
            out_field(&o, "Date", date);
    } else if (res->status == 101) {
        out_lit(&o, "Connection: upgrade\r\n");
    }
    rg_h1_write_via(&o, res->fields, res->n_fields, (present & FIELD_BIT(RG_FIELD_VIA)) != 0, res->minor);
    if (opt->request_id.len != 0 && !is_interim(res->status))
        out_field(&o, "X-Request-Id", opt->request_id);
    out_lit(&o, "\r\n");
    return out_len(&o);
}

/* ---- The gateway's own ---- */

static void write_own_fields(struct out *o, const struct rg_own_response *r, struct rg_str date)
{
    bool has_body = r->content_type.len != 0;
    out_field(o, "Date", date);
    if (has_body && !rg_h1_own_has(r, RG_FIELD_CONTENT_TYPE))
        out_field(o, "Content-Type", r->content_type);
    if (!has_no_framing(r->status) && r->status != 304)
        out_field_uint(o, "Content-Length", has_body ? r->body.len : 0);
    if (!r->may_store && !rg_h1_own_has(r, RG_FIELD_CACHE_CONTROL))
        out_lit(o, "Cache-Control: no-store\r\n");
    if (r->retry_after != 0 && !rg_h1_own_has(r, RG_FIELD_RETRY_AFTER))
        out_field_uint(o, "Retry-After", r->retry_after);
    if (r->location.len != 0)
        out_field(o, "Location", r->location);
    write_persistence(o, r->keep_alive, r->client_http10);
    if (r->request_id.len != 0)
        out_field(o, "X-Request-Id", r->request_id);
    rg_h1_write_added(o, r->fields, r->n_fields);
}

int32_t rg_h1_write_own_response(char *out, size_t cap, const struct rg_own_response *r, struct rg_str date)
{
    struct out o = out_init(out, cap);
    bool body_may_follow = !has_no_framing(r->status) && r->status != 304;
    RG_ASSERT(r->content_type.len == 0 || body_may_follow);
    write_status_line(&o, r->status, rg_status_phrase(r->status));
    if (!is_interim(r->status)) /* 100 Continue is its status line alone */
        write_own_fields(&o, r, date);
    out_lit(&o, "\r\n");
    if (r->content_type.len != 0 && !r->head_only)
        out_str(&o, r->body);
    return out_len(&o);
}

/* RFC 8259 section 7. */
static void write_json_string(struct out *o, struct rg_str s)
{
    static const char hex[] = "0123456789abcdef";
    out_char(o, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20) {
            out_lit(o, "\\u00");
            out_char(o, hex[c >> 4]);
            out_char(o, hex[c & 15]);
            continue;
        }
        if (c == '"' || c == '\\')
            out_char(o, '\\');
        out_char(o, (char)c);
    }
    out_char(o, '"');
}

int32_t rg_h1_write_refusal_body(char *out, size_t cap, enum rg_reason reason, struct rg_str request_id)
{
    const struct rg_reason_info *info = rg_reason_info(reason);
    struct out o = out_init(out, cap);
    out_lit(&o, "{\"status\":");
    out_uint(&o, info->status);
    out_lit(&o, ",\"reason\":");
    write_json_string(&o, info->name);
    out_lit(&o, ",\"message\":");
    write_json_string(&o, info->text);
    if (request_id.len != 0) {
        out_lit(&o, ",\"request_id\":");
        write_json_string(&o, request_id);
    }
    out_lit(&o, "}\n");
    return out_len(&o);
}
