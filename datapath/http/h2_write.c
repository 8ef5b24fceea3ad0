/* See h2_write.h. */
#include "datapath/http/h2_write.h"

#include "datapath/http/h1_write_out.h"

static void add(struct rg_h2_fields *f, struct rg_str name, struct rg_str value)
{
    RG_ASSERT(f->n < RG_H2_FIELDS_MAX);
    union { /* the library's type lacks a const that it keeps */
        const char *in;
        uint8_t *out;
    } n = {.in = name.ptr}, v = {.in = value.ptr};
    f->nv[f->n++] = (nghttp2_nv){.name = n.out, .namelen = name.len, .value = v.out, .valuelen = value.len};
}

static void add_status(struct rg_h2_fields *f, uint16_t status)
{
    RG_ASSERT(status >= 100 && status <= 999);
    f->status[0] = (char)('0' + status / 100);
    f->status[1] = (char)('0' + status / 10 % 10);
    f->status[2] = (char)('0' + status % 10);
    add(f, RG_STR(":status"), (struct rg_str){f->status, 3});
}

static void add_number(struct rg_h2_fields *f, struct rg_str name, unsigned slot, uint64_t n)
{
    char *digits = f->numbers[slot];
    size_t at = sizeof(f->numbers[0]);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    add(f, name, (struct rg_str){digits + at, sizeof(f->numbers[0]) - at});
}

static struct rg_str via_of(uint8_t minor)
{
    if (minor == 2)
        return RG_STR("2.0 ringgate");
    return minor == 0 ? RG_STR("1.0 ringgate") : RG_STR("1.1 ringgate");
}

void rg_h2_write_response(struct rg_h2_fields *ret, const struct rg_h1_response *res, const struct rg_framing *framing,
                          const struct rg_response_options *opt, struct rg_str date)
{
    /* Via keeps its lines: ours is one more, which means the same as one list. */
    uint64_t drop = rg_h1_write_dropped_of_response(res, framing, opt) & ~FIELD_BIT(RG_FIELD_VIA);
    uint16_t status = res->status;
    if (status == 101) {
        status = 200;
        drop |= FIELD_BIT(RG_FIELD_UPGRADE) | FIELD_BIT(RG_FIELD_SEC_WEBSOCKET_ACCEPT);
    }
    struct selection s = {drop, framing, false, false};
    bool has_date = false, has_length = framing->kind == RG_BODY_LENGTH || framing->has_length_field;
    ret->n = 0;
    add_status(ret, status);
    unsigned received = (unsigned)res->n_fields - res->n_added;
    for (unsigned i = 0; i < res->n_fields; i++) {
        const struct rg_field *f = &res->fields[i];
        if (i < received && !rg_h1_write_stays(f, &s))
            continue;
        has_date |= f->id == RG_FIELD_DATE;
        add(ret, rg_field_name(f), rg_field_value(f));
    }
    if (status >= 200 && status != 204 && has_length)
        add_number(ret, RG_STR("content-length"), 0, framing->length);
    if (status >= 200 && !has_date)
        add(ret, RG_STR("date"), date);
    add(ret, RG_STR("via"), via_of(res->minor));
    if (status >= 200 && opt->request_id.len != 0)
        add(ret, RG_STR("x-request-id"), opt->request_id);
}

void rg_h2_write_own_response(struct rg_h2_fields *ret, const struct rg_own_response *r, struct rg_str date)
{
    bool has_body = r->content_type.len != 0;
    ret->n = 0;
    add_status(ret, r->status);
    add(ret, RG_STR("date"), date);
    if (has_body && !rg_h1_own_has(r, RG_FIELD_CONTENT_TYPE))
        add(ret, RG_STR("content-type"), r->content_type);
    if (r->status != 204 && r->status != 304)
        add_number(ret, RG_STR("content-length"), 0, has_body ? r->body.len : 0);
    if (!r->may_store && !rg_h1_own_has(r, RG_FIELD_CACHE_CONTROL))
        add(ret, RG_STR("cache-control"), RG_STR("no-store"));
    if (r->retry_after != 0 && !rg_h1_own_has(r, RG_FIELD_RETRY_AFTER))
        add_number(ret, RG_STR("retry-after"), 1, r->retry_after);
    if (r->location.len != 0)
        add(ret, RG_STR("location"), r->location);
    if (r->request_id.len != 0)
        add(ret, RG_STR("x-request-id"), r->request_id);
    for (unsigned i = 0; i < r->n_fields; i++)
        add(ret, rg_field_name(&r->fields[i]), rg_field_value(&r->fields[i]));
}

/* RFC 9113 8.2.2, 8.3.1: these speak of the connection, or have a place of their own. */
static bool is_left_out(enum rg_field_id id)
{
    return id == RG_FIELD_HOST || id == RG_FIELD_CONNECTION || id == RG_FIELD_TRANSFER_ENCODING ||
           id == RG_FIELD_UPGRADE || id == RG_FIELD_KEEP_ALIVE || id == RG_FIELD_PROXY_CONNECTION;
}

/* These would only push others out of the table. */
static bool is_never_the_same(enum rg_field_id id)
{
    return id == RG_FIELD_X_REQUEST_ID || id == RG_FIELD_TRACEPARENT;
}

void rg_h2_write_request(struct rg_h2_fields *ret, const struct rg_h1_request *req)
{
    ret->n = 0;
    add(ret, RG_STR(":method"), req->method);
    add(ret, RG_STR(":scheme"), RG_STR("http"));
    add(ret, RG_STR(":path"), req->target);
    for (unsigned i = 0; i < req->n_fields; i++)
        if (req->fields[i].id == RG_FIELD_HOST)
            add(ret, RG_STR(":authority"), rg_field_value(&req->fields[i]));
    for (unsigned i = 0; i < req->n_fields; i++)
        if (!is_left_out((enum rg_field_id)req->fields[i].id)) {
            add(ret, rg_field_name(&req->fields[i]), rg_field_value(&req->fields[i]));
            if (is_never_the_same((enum rg_field_id)req->fields[i].id))
                ret->nv[ret->n - 1].flags = NGHTTP2_NV_FLAG_NO_INDEX;
        }
}

void rg_h2_write_trailers(struct rg_h2_fields *ret, struct rg_str lines)
{
    const char *p = lines.ptr, *end = p + lines.len;
    ret->n = 0;
    while (p < end && ret->n < RG_H2_FIELDS_MAX) {
        struct rg_field f;
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        if (!lf || lf - p < 2 || !rg_h1_parse_field_line(p, (size_t)(lf - p) - 1, &f))
            return;
        add(ret, rg_field_name(&f), rg_field_value(&f));
        p = lf + 1;
    }
}
