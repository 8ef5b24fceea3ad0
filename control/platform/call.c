/* See call.h: answers, lists, and what handlers read. */
#include "control/platform/call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/common/http_server.h"
#include "control/common/utf8.h"
#include "control/platform/answer.h"
#include "datapath/base/ascii.h"
#include "datapath/base/assert.h"

/* ---- Answers ---- */

void rg_answer_json(struct rg_call *call, unsigned status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text) {
        rg_store_fail(call->store, -ENOMEM);
        return;
    }
    rg_answer_set(call->answer, status, "application/json", text, strlen(text));
}

void rg_answer_nothing(struct rg_call *call)
{
    rg_answer_set(call->answer, 204, NULL, NULL, 0);
}

void rg_answer_bytes(struct rg_call *call, const char *content_type, char *bytes, size_t len)
{
    if (!bytes)
        rg_store_fail(call->store, -ENOMEM);
    rg_answer_set(call->answer, 200, content_type, bytes, len);
}

void rg_answer_located(struct rg_call *call, json_t *body, const char *path_format, ...)
{
    va_list args;
    size_t n = (size_t)snprintf(call->answer->location, RG_API_LOCATION, "%s", RG_API_PUBLIC);
    va_start(args, path_format);
    vsnprintf(call->answer->location + n, RG_API_LOCATION - n, path_format, args);
    va_end(args);
    rg_answer_json(call, 201, body);
}

void rg_refuse(struct rg_call *call, unsigned status, const char *code, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    rg_answer_error(call->answer, call->request, status, code, message, NULL);
}

void rg_refuse_problems(struct rg_call *call, const char *code, const struct rg_problems *problems)
{
    struct rg_str path, text;
    char message[512] = "The request is not valid.";
    if (rg_problems_get(problems, 0, &path, &text))
        snprintf(message, sizeof(message), "%.*s%s%.*s", (int)path.len, path.ptr, path.len ? ": " : "", (int)text.len,
                 text.ptr);
    rg_answer_error(call->answer, call->request, 400, code, message, rg_problems_json(problems));
}

/* One is the other, or around it. */
static bool are_of_one(struct rg_str a, struct rg_str b)
{
    struct rg_str inner = a.len > b.len ? a : b, outer = a.len > b.len ? b : a;
    if (outer.len == 0 || memcmp(inner.ptr, outer.ptr, outer.len) != 0)
        return false;
    return inner.len == outer.len || inner.ptr[outer.len] == '.' || inner.ptr[outer.len] == '[';
}

/* Whether one of the first n problems is about this field. */
static bool is_refused(const struct rg_call *call, size_t n, struct rg_str field)
{
    struct rg_str path, text;
    for (size_t i = 0; i < n && rg_problems_get(&call->problems, i, &path, &text); i++)
        if (are_of_one(path, field))
            return true;
    return false;
}

void rg_refuse_found(struct rg_call *call, const char *code, const struct rg_problems *found)
{
    static const struct rg_str spec = {"spec.", 5};
    size_t before = call->problems.errors.count;
    struct rg_str path, text;
    for (size_t i = 0; rg_problems_get(found, i, &path, &text); i++) {
        bool is_below = path.len > spec.len && memcmp(path.ptr, spec.ptr, spec.len) == 0;
        size_t skip = is_below ? spec.len : 0;
        if (!is_refused(call, before, (struct rg_str){path.ptr + skip, path.len - skip}))
            rg_problems_say(&call->problems, path, text);
    }
    call->problems.errors.more += found->errors.more;
    rg_refuse_problems(call, code, &call->problems);
}

void rg_refuse_field(struct rg_call *call, const char *path, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!is_refused(call, call->problems.errors.count, rg_str_of(path)))
        rg_problems_say(&call->problems, rg_str_of(path), rg_str_of(text));
    rg_refuse_problems(call, "VALIDATION_FAILED", &call->problems);
}

void rg_refuse_conflict(struct rg_call *call, const char *code, const char *what, const char *name)
{
    rg_refuse(call, 409, code, "There is %s \"%s\" already.", what, name);
}

/* ---- Lists ---- */

/* false: refused. */
static bool page_number(struct rg_call *call, const char *name, int64_t initial, int64_t min, int64_t max, int64_t *ret)
{
    const char *text = rg_call_query(call, name);
    *ret = initial;
    if (!text)
        return true;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < min || number > max) {
        rg_refuse_field(call, name, "got \"%.40s\", wanted a number from %lld to %lld", text, (long long)min,
                        (long long)max);
        return false;
    }
    *ret = number;
    return true;
}

json_t *rg_rows_first(struct rg_call *call, struct rg_rows *rows, rg_row_reader *reader)
{
    json_t *found = rg_rows_next(rows) ? reader(call, rows) : NULL;
    rg_rows_end(rows);
    return found;
}

json_t *rg_rows_array(struct rg_call *call, struct rg_rows *rows, rg_row_reader *reader)
{
    json_t *list = json_array();
    while (rg_rows_next(rows)) {
        if (json_array_append_new(list, reader(call, rows)) != 0) {
            rg_store_fail(call->store, -ENOMEM);
            break;
        }
    }
    rg_rows_end(rows);
    return list;
}

void rg_answer_list(struct rg_call *call, const char *count_sql, const char *list_sql, const struct rg_value *values,
                    size_t n, rg_row_reader *reader)
{
    struct rg_value all[8];
    struct rg_rows rows;
    int64_t limit, offset;
    RG_ASSERT(n + 2 <= sizeof(all) / sizeof(all[0]));
    if (!page_number(call, "limit", 20, 1, RG_CALL_PAGE_MAX, &limit) ||
        !page_number(call, "offset", 0, 0, INT32_MAX, &offset))
        return;
    if (n)
        memcpy(all, values, n * sizeof(*values));
    all[n] = rg_int(limit);
    all[n + 1] = rg_int(offset);
    int64_t total = rg_db_number(call->db, 0, count_sql, values, n);
    rg_db_query(call->db, &rows, list_sql, all, n + 2);
    json_t *list = rg_rows_array(call, &rows, reader);
    rg_answer_json(call, 200,
                   json_pack("{s:I, s:o, s:{s:I, s:I, s:I}}", "count", (json_int_t)json_array_size(list), "list", list,
                             "pagination", "total", (json_int_t)total, "offset", (json_int_t)offset, "limit",
                             (json_int_t)limit));
}

/* ---- Reading ---- */

/* Percent escapes; no NUL, and nothing but UTF-8. */
const char *rg_call_decode(struct rg_call *call, struct rg_str raw, bool plus_is_blank)
{
    char *out = rg_arena_alloc(&call->arena, raw.len + 1);
    if (!out) {
        rg_store_fail(call->store, -ENOMEM);
        return NULL;
    }
    ssize_t n = rg_http_decode(raw, plus_is_blank, out, raw.len);
    return n >= 0 ? out : NULL;
}

const char *rg_call_text(struct rg_call *call, struct rg_str text)
{
    struct rg_str copy;
    if (rg_arena_copy(&call->arena, text, &copy))
        return copy.ptr;
    rg_store_fail(call->store, -ENOMEM);
    return "";
}

const char *rg_call_query(struct rg_call *call, const char *name)
{
    struct rg_str raw;
    return rg_http_query_value(call->request->query, name, &raw) ? rg_call_decode(call, raw, true) : NULL;
}

json_t *rg_json_of_view(struct rg_str text)
{
    return json_stringn(text.ptr ? text.ptr : "", text.len);
}

json_t *rg_json_of_text(const char *text)
{
    return text ? json_string(text) : json_null();
}

json_t *rg_json_of_document(struct rg_str text)
{
    json_error_t error;
    json_t *value = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_DECODE_ANY, &error);
    return value ? value : json_object();
}

/* ---- Handles ---- */

static bool is_handle_char(char c, bool dots)
{
    return (rg_is_alnum(c) && c == rg_lower(c)) || c == '-' || (dots && (c == '.' || c == '_'));
}

static bool is_handle(struct rg_str text, unsigned min, unsigned max, bool dots)
{
    if (text.len < min || text.len > max || text.ptr[0] == '.' || text.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_handle_char(text.ptr[i], dots))
            return false;
    return true;
}

/* Letters in lower case, everything between them one hyphen. */
static struct rg_str slug(const char *name, size_t len, char *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n < max; i++) {
        char c = rg_lower(name[i]);
        if (is_handle_char(c, false) && c != '-')
            out[n++] = c;
        else if (n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n > 0 && out[n - 1] == '-')
        n--;
    return (struct rg_str){out, n};
}

const char *rg_call_handle(struct rg_call *call, struct rg_str given, struct rg_str display_name, unsigned min,
                           unsigned max, bool dots)
{
    char made[RG_CALL_HANDLE_MAX] = "";
    struct rg_str handle = given.len ? given : slug(display_name.ptr, display_name.len, made, max);
    if (is_handle(handle, min, max, dots))
        return rg_call_text(call, handle);
    rg_refuse_field(call, "id", "got \"%.*s\", wanted %u to %u lower-case letters, digits%s and hyphens",
                    (int)(handle.len < 60 ? handle.len : 60), handle.ptr ? handle.ptr : "", min, max,
                    dots ? ", dots, underscores" : "");
    return NULL;
}

void rg_audit(struct rg_call *call, const char *action, const char *type, const char *uuid)
{
    char id[RG_UUID_LEN + 1];
    rg_uuid_make(id, call->now_ms);
    rg_db_exec(call->db,
               "INSERT INTO audit (uuid, action, resource_uuid, resource_type, organization_uuid, performed_by,"
               " performed_at, peer, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
               RG_WITH(rg_text(id), rg_text(action), rg_text(uuid), rg_text(type), rg_text(call->organization),
                       rg_text(call->actor.name), rg_text(call->now),
                       rg_utf8_is_valid(call->request->peer) ? rg_view(call->request->peer) : rg_text(NULL),
                       rg_text(call->correlation)));
}
