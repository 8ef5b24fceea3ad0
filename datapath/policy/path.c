/* See path.h. */
#include "datapath/policy/path.h"

#include <errno.h>

#include "datapath/http/h1_chars.h"

#define PATH_MAX_BYTES 2048

static bool has_path_bytes(struct rg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!rg_char_is(s.ptr[i], RG_CHAR_PATH) && s.ptr[i] != '.' && s.ptr[i] != '%')
            return false;
    return true;
}

int rg_path_make(struct rg_policy_making *m, const char *path, enum rg_path_edit edit, struct rg_str value,
                 struct rg_str *ret)
{
    bool may_be_empty = edit == RG_PATH_PREFIX;
    m->asks_prefix = m->asks_prefix || edit == RG_PATH_PREFIX;
    if (value.len > PATH_MAX_BYTES)
        return rg_policy_refuse(m, path, "has %zu bytes: wanted %d at most", value.len, PATH_MAX_BYTES);
    if (value.len == 0 && may_be_empty) {
        *ret = RG_STR("");
        return 0;
    }
    if (value.len == 0 || *value.ptr != '/' || !has_path_bytes(value))
        return rg_policy_refuse(m, path, "'%.*s' is no path: wanted one that begins with '/', without query",
                                (int)(value.len < 64 ? value.len : 64), value.ptr);
    char *normal = rg_arena_alloc(m->arena, value.len);
    if (!normal)
        return -ENOMEM;
    int32_t n = rg_h1_normalize_path(value, normal);
    if (n < 0)
        return rg_policy_refuse(m, path, "has a malformed percent escape");
    /* "/" for a prefix means that nothing stays of it. */
    if (may_be_empty && normal[n - 1] == '/')
        n--;
    *ret = (struct rg_str){normal, (size_t)n};
    return 0;
}

bool rg_path_edit_of(struct rg_policy_request *q, enum rg_path_edit edit, struct rg_str value, struct rg_str *ret)
{
    size_t context = q->context_bytes < q->path.len ? q->context_bytes : q->path.len, gone = q->path.len;
    if (edit == RG_PATH_KEEP) {
        *ret = q->path;
        return true;
    }
    if (edit == RG_PATH_PREFIX && q->prefix_bytes < gone)
        gone = q->prefix_bytes > context ? q->prefix_bytes : context;
    size_t rest = q->path.len - gone, n = 0;
    char *out = rg_policy_scratch_room(&q->scratch, context + value.len + rest + 2);
    if (!out)
        return false;
    memcpy(out, q->path.ptr, context);
    n = context;
    if (value.len > 0)
        memcpy(out + n, value.ptr, value.len);
    n += value.len;
    if (rest > 0 && q->path.ptr[gone] != '/')
        out[n++] = '/';
    memcpy(out + n, q->path.ptr + gone, rest);
    n += rest;
    if (n == 0)
        out[n++] = '/';
    q->scratch.at += n;
    *ret = (struct rg_str){out, n};
    return true;
}
