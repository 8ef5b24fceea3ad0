#include "heads.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint8_t lookup(struct rg_str name)
{
    static const struct rg_str names[] = {
#define RG_FIELD(id, name, flags) [RG_FIELD_##id] = {name, sizeof(name) - 1},
#include "datapath/http/fields.def"
#undef RG_FIELD
    };
    for (uint8_t i = RG_FIELD_OTHER + 1; i < RG_FIELD_COUNT; i++)
        if (rg_str_eq_nocase(name, names[i]))
            return i;
    return RG_FIELD_OTHER;
}

static uint8_t lookup_method(struct rg_str name)
{
    static const struct rg_str names[] = {
#define RG_METHOD(id, name, safe) [RG_METHOD_##id] = {name, sizeof(name) - 1},
#include "datapath/http/methods.def"
#undef RG_METHOD
    };
    for (uint8_t i = RG_METHOD_OTHER + 1; i < RG_METHOD_COUNT; i++)
        if (rg_str_eq(name, names[i]))
            return i;
    return RG_METHOD_OTHER;
}

static struct rg_str trim(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (from < to && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    return (struct rg_str){from, (size_t)(to - from)};
}

static bool is_plain(struct rg_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.ptr[i]) && name.ptr[i] != '-')
            return false;
    return true;
}

static void split_field(struct head *h, const char *line, const char *end)
{
    const char *colon = memchr(line, ':', (size_t)(end - line));
    assert_non_null(colon);
    assert_true(colon > line);
    struct rg_str value = trim(colon + 1, end);
    struct rg_str name = {line, (size_t)(colon - line)};
    assert_true(h->n_fields < RG_H1_FIELDS_MAX);
    h->fields[h->n_fields++] = (struct rg_field){.name = line,
                                                 .name_len = (uint16_t)name.len,
                                                 .value = value.ptr,
                                                 .value_len = (uint32_t)value.len,
                                                 .id = lookup(name),
                                                 .name_is_plain = is_plain(name)};
}

void head_split(struct head *h, struct rg_str text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    h->n_fields = 0;
    h->start = RG_STR_NONE;
    for (;;) {
        const char *eol = memmem(at, (size_t)(end - at), "\r\n", 2);
        assert_non_null(eol);
        if (h->start.ptr == NULL)
            h->start = (struct rg_str){at, (size_t)(eol - at)};
        else if (eol == at)
            break;
        else
            split_field(h, at, eol);
        at = eol + 2;
    }
    assert_ptr_equal(at + 2, end);
}

static void split_target(struct rg_h1_request *r)
{
    struct rg_str rest = r->target;
    r->target_form = RG_TARGET_ORIGIN;
    if (rg_str_eq(rest, RG_STR("*"))) {
        r->target_form = RG_TARGET_ASTERISK;
        r->path = rest;
        return;
    }
    if (rest.len > 7 && memcmp(rest.ptr, "http://", 7) == 0) {
        r->target_form = RG_TARGET_ABSOLUTE;
        rest = (struct rg_str){rest.ptr + 7, rest.len - 7};
        size_t n = 0;
        while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
            n++;
        r->authority = (struct rg_str){rest.ptr, n};
        rest = (struct rg_str){rest.ptr + n, rest.len - n};
    }
    const char *question = rest.len != 0 ? memchr(rest.ptr, '?', rest.len) : NULL;
    size_t path_len = question != NULL ? (size_t)(question - rest.ptr) : rest.len;
    r->path = path_len != 0 ? (struct rg_str){rest.ptr, path_len} : RG_STR("/");
    if (question != NULL)
        r->query = (struct rg_str){question, rest.len - path_len};
}

void head_to_request(struct head *h, struct rg_h1_request *ret)
{
    const char *end = h->start.ptr + h->start.len;
    const char *first = memchr(h->start.ptr, ' ', h->start.len);
    assert_non_null(first);
    const char *second = memchr(first + 1, ' ', (size_t)(end - first - 1));
    assert_non_null(second);
    assert_int_equal(end - second, 9);
    assert_memory_equal(second, " HTTP/1.", 8);
    *ret = (struct rg_h1_request){.fields = h->fields, .n_fields = h->n_fields, .minor = (uint8_t)(end[-1] - '0')};
    ret->method = (struct rg_str){h->start.ptr, (size_t)(first - h->start.ptr)};
    ret->method_id = lookup_method(ret->method);
    ret->target = (struct rg_str){first + 1, (size_t)(second - first - 1)};
    split_target(ret);
}

void head_to_response(struct head *h, struct rg_h1_response *ret)
{
    assert_true(h->start.len >= 13);
    assert_memory_equal(h->start.ptr, "HTTP/1.", 7);
    const char *s = h->start.ptr + 9;
    *ret = (struct rg_h1_response){.fields = h->fields, .n_fields = h->n_fields};
    ret->minor = (uint8_t)(h->start.ptr[7] - '0');
    ret->status = (uint16_t)((s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0'));
    ret->reason_phrase = (struct rg_str){s + 4, h->start.len - 13};
}

unsigned head_count(const struct head *h, const char *name, struct rg_str *ret)
{
    unsigned count = 0;
    for (unsigned i = 0; i < h->n_fields; i++) {
        if (!rg_str_eq_nocase(rg_field_name(&h->fields[i]), rg_str_of(name)))
            continue;
        count++;
        if (ret != NULL)
            *ret = rg_field_value(&h->fields[i]);
    }
    return count;
}

struct rg_h1_request request_of(struct head *h, const char *text)
{
    struct rg_h1_request r;
    head_split(h, rg_str_of(text));
    head_to_request(h, &r);
    return r;
}

struct rg_h1_response response_of(struct head *h, const char *text)
{
    struct rg_h1_response r;
    head_split(h, rg_str_of(text));
    head_to_response(h, &r);
    return r;
}

void assert_text(const char *got, int32_t got_len, const char *want)
{
    if (got_len != (int32_t)strlen(want) || memcmp(got, want, strlen(want)) != 0)
        fail_msg("wanted %zu bytes:\n%s\ngot %d bytes:\n%.*s", strlen(want), want, got_len, got_len < 0 ? 0 : got_len,
                 got);
}
