/*
 * Why: finds template actions in the strings of a value, and puts what they give in their place. See
 * artifact_template.h for owner and thread; artifact_functions.c for the functions.
 */
#include "control/artifact/artifact_template.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/base/ascii.h"

/* ---- One action ---- */

static bool pipeline(struct rg_template_eval *e, struct rg_template_value *ret);

static void skip_blanks(struct rg_template_eval *e)
{
    while (e->p < e->end && rg_template_is_blank(*e->p))
        e->p++;
}

static bool at_end_of_command(const struct rg_template_eval *e)
{
    return e->p == e->end || *e->p == '|' || *e->p == ')';
}

static bool is_name_byte(char c)
{
    return rg_is_alnum(c) || c == '_' || c == '.';
}

static bool raw_string(struct rg_template_eval *e, struct rg_template_value *ret)
{
    const char *start = ++e->p;
    const char *close = memchr(start, '`', (size_t)(e->end - start));
    if (!close)
        return rg_template_fail(e, "a closing backquote", "a text in a template that does not end");
    ret->text = (struct rg_str){start, (size_t)(close - start)};
    e->p = close + 1;
    return true;
}

static char unescaped(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

/* NULL: it does not end. */
static const char *closing_quote(const char *p, const char *end)
{
    while (p < end && *p != '"')
        p += *p == '\\' ? 2 : 1;
    return p < end ? p : NULL;
}

static bool quoted_string(struct rg_template_eval *e, struct rg_template_value *ret)
{
    const char *start = ++e->p, *close = closing_quote(start, e->end);
    size_t n = 0;
    if (!close)
        return rg_template_fail(e, "a closing quote", "a text in a template that does not end");
    char *out = rg_template_room(e, (size_t)(close - start));
    if (!out)
        return false;
    for (; e->p < close; e->p++) {
        bool is_escape = *e->p == '\\';
        e->p += is_escape;
        if (is_escape && !strchr("\"\\nrt", *e->p))
            return rg_template_fail(e, "\\\", \\\\, \\n, \\r or \\t", "another escape in a template's text");
        out[n++] = is_escape ? unescaped(*e->p) : *e->p;
    }
    e->p++;
    ret->text = (struct rg_str){out, n};
    return true;
}

static bool in_parentheses(struct rg_template_eval *e, struct rg_template_value *ret)
{
    e->p++;
    if (++e->depth > RG_TEMPLATE_DEPTH_MAX)
        return rg_template_fail(e, "fewer", "too many parentheses in a template");
    if (!pipeline(e, ret))
        return false;
    e->depth--;
    if (e->p == e->end || *e->p != ')')
        return rg_template_fail(e, "a closing one", "an open parenthesis in a template");
    e->p++;
    return true;
}

static bool argument(struct rg_template_eval *e, struct rg_template_value *ret)
{
    *ret = (struct rg_template_value){.text = RG_STR("")};
    ret->literal = *e->p == '"' || *e->p == '`';
    if (*e->p == '"')
        return quoted_string(e, ret);
    if (*e->p == '`')
        return raw_string(e, ret);
    if (*e->p == '(')
        return in_parentheses(e, ret);
    return rg_template_fail(e, "a text in quotes, or a function in parentheses", "an argument of another form");
}

static bool call(struct rg_template_eval *e, const struct rg_template_value *piped, struct rg_template_value *ret)
{
    struct rg_template_value args[RG_TEMPLATE_ARGS_MAX];
    struct rg_str name = {e->p, 0};
    size_t n = 0;
    while (e->p < e->end && is_name_byte(*e->p))
        e->p++;
    name.len = (size_t)(e->p - name.ptr);
    for (skip_blanks(e); !at_end_of_command(e); skip_blanks(e)) {
        if (n == RG_TEMPLATE_ARGS_MAX - 1)
            return rg_template_fail(e, "at most 3", "too many arguments of a template function");
        if (!argument(e, &args[n++]))
            return false;
    }
    if (piped)
        args[n++] = *piped;
    return rg_template_call(e, name, args, n, ret);
}

static bool command(struct rg_template_eval *e, const struct rg_template_value *piped, struct rg_template_value *ret)
{
    skip_blanks(e);
    if (at_end_of_command(e))
        return rg_template_fail(e, "a function, such as env \"NAME\"", "an empty template");
    if (is_name_byte(*e->p))
        return call(e, piped, ret);
    if (piped)
        return rg_template_fail(e, "a function", "something else after the | of a template");
    if (!argument(e, ret))
        return false;
    skip_blanks(e);
    return at_end_of_command(e) || rg_template_fail(e, "a | or the end", "a second value in a template");
}

static bool pipeline(struct rg_template_eval *e, struct rg_template_value *ret)
{
    struct rg_template_value last;
    if (!command(e, NULL, ret))
        return false;
    while (e->p < e->end && *e->p == '|') {
        e->p++;
        last = *ret;
        if (!command(e, &last, ret))
            return false;
    }
    return true;
}

/* From after "{{" to before "}}" or "-}}". false: see got and wanted. */
static bool take_action(struct rg_template_eval *e, struct rg_template_value *ret)
{
    e->got[0] = '\0';
    if (!pipeline(e, ret))
        return false;
    if (e->p < e->end)
        return rg_template_fail(e, "an opening one before it", "a closing parenthesis in a template");
    return !ret->missing; /* the function that missed it has said so */
}

/* ---- One string ---- */

struct render {
    const struct rg_template_source *source; /* NULL: only scan */
    struct rg_arena *arena;
    struct rg_template_found *found;
    struct rg_problems *why;
    char path[RG_PROBLEM_PATH_MAX];
    bool failed, no_memory;
};

struct output {
    char *bytes;
    size_t len, room;
};

static void fail_string(struct render *r, const char *got, const char *wanted)
{
    r->failed = true;
    rg_problems_add(r->why, r->path, got, wanted, NULL);
}

static bool put(struct render *r, struct output *out, struct rg_str text)
{
    if (out->len + text.len > RG_TEMPLATE_OUTPUT_MAX) {
        fail_string(r, "a text of more than 64 KiB", "less");
        return false;
    }
    if (!out->bytes || out->len + text.len > out->room) {
        size_t room = 2 * (out->len + text.len) + 64;
        char *bytes = realloc(out->bytes, room);
        if (!bytes) {
            r->no_memory = true;
            return false;
        }
        out->bytes = bytes;
        out->room = room;
    }
    if (text.len > 0)
        memcpy(out->bytes + out->len, text.ptr, text.len);
    out->len += text.len;
    return true;
}

/* The "}}" that ends an action: one inside of a quoted text does not. */
static const char *end_of_action(const char *p, const char *end)
{
    char quote = '\0';
    for (; p < end; p++) {
        if (quote) {
            if (*p == '\\' && quote == '"')
                p++;
            else if (*p == quote)
                quote = '\0';
        } else if (*p == '"' || *p == '`') {
            quote = *p;
        } else if (*p == '}' && p + 1 < end && p[1] == '}') {
            return p;
        }
    }
    return NULL;
}

static void trim_end(struct output *out)
{
    while (out->len > 0 && rg_template_is_blank(out->bytes[out->len - 1]))
        out->len--;
}

static bool ends_with_key(const char *path, const char *tail)
{
    size_t n = strlen(path), m = strlen(tail);
    return n >= m && rg_str_eq_nocase((struct rg_str){path + n - m, m}, (struct rg_str){tail, m});
}

static bool secret_is_allowed(const char *path)
{
    return strcasestr(path, ".params.") || ends_with_key(path, ".auth.value");
}

static bool hide_path(struct render *r)
{
    struct rg_template_name *name = rg_arena_alloc(r->arena, sizeof(*name));
    if (!name || !rg_arena_copy(r->arena, rg_str_of(r->path), &name->text))
        return false;
    name->next = r->found->hidden;
    r->found->hidden = name;
    return true;
}

/* What stands between "{{" and "}}". *trims_after: blanks that follow are to go. */
static bool render_action(struct render *r, const char *p, const char *end, struct output *out, bool *hidden,
                          bool *trims_after)
{
    struct rg_template_value value;
    struct rg_template_eval e = {.p = p,
                                 .end = end,
                                 .source = r->source,
                                 .arena = r->arena,
                                 .found = r->found,
                                 .path = r->path,
                                 .secret_is_allowed = secret_is_allowed(r->path)};
    *trims_after = end - p >= 2 && end[-1] == '-' && rg_template_is_blank(end[-2]);
    e.end -= *trims_after;
    if (e.end - p >= 2 && *p == '-' && rg_template_is_blank(p[1])) {
        e.p++;
        trim_end(out);
    }
    if (!take_action(&e, &value)) {
        r->no_memory |= e.no_memory;
        if (!e.no_memory)
            fail_string(r, e.got, e.wanted);
        return false;
    }
    *hidden |= value.hidden;
    return put(r, out, value.text);
}

/* The actions of one string, one after the other. false: said why, or no memory. */
static bool render_text(struct render *r, struct rg_str text, struct output *out, bool *hidden)
{
    const char *p = text.ptr, *end = text.ptr + text.len, *open;
    while (p < end && (open = memmem(p, (size_t)(end - p), "{{", 2))) {
        bool trims_after;
        const char *close = end_of_action(open + 2, end);
        if (!close) {
            fail_string(r, "\"{{\" without \"}}\"", "a template function, such as {{ env \"NAME\" }}");
            return false;
        }
        if (!put(r, out, (struct rg_str){p, (size_t)(open - p)}) ||
            !render_action(r, open + 2, close, out, hidden, &trims_after))
            return false;
        for (p = close + 2; trims_after && p < end && rg_template_is_blank(*p); p++)
            ;
    }
    return put(r, out, (struct rg_str){p, (size_t)(end - p)});
}

static json_t *render_string(struct render *r, const json_t *in)
{
    struct rg_str text = {json_string_value(in), json_string_length(in)};
    struct output out = {0};
    json_t *ret = NULL;
    bool hidden = false;
    if (!memmem(text.ptr, text.len, "{{", 2))
        return json_incref((json_t *)(uintptr_t)in);
    r->found->any = true;
    if (text.len > RG_TEMPLATE_OUTPUT_MAX) {
        fail_string(r, "a text of more than 64 KiB with template functions", "less");
        goto out;
    }
    if (!render_text(r, text, &out, &hidden))
        goto out;
    if (hidden && !hide_path(r)) {
        r->no_memory = true;
        goto out;
    }
    ret = json_stringn(out.len > 0 ? out.bytes : "", out.len);
    if (!ret)
        fail_string(r, "bytes that are not UTF-8 from a template function", "text");
out:
    if (out.bytes)
        explicit_bzero(out.bytes, out.room);
    free(out.bytes);
    return ret ? ret : json_incref((json_t *)(uintptr_t)in);
}

/* ---- A whole value ---- */

static json_t *render_value(struct render *r, const json_t *in);

/* A copy of `in`, made for the first value in it that differs; `in` itself where there is no memory. */
static json_t *writable(struct render *r, const json_t *in, json_t *out)
{
    if (out != in)
        return out;
    json_t *copy = json_copy((json_t *)(uintptr_t)in);
    if (!copy) {
        r->no_memory = true;
        return out;
    }
    json_decref(out);
    return copy;
}

/* What is to be put into `*out` in the place of `value`, whose path begins behind `parent`; NULL: it stays. */
static json_t *render_member(struct render *r, const json_t *in, json_t **out, json_t *value, size_t parent)
{
    json_t *now = render_value(r, value);
    r->path[parent] = '\0';
    if (now != value)
        *out = writable(r, in, *out);
    if (now != value && *out != in)
        return now;
    json_decref(now);
    return NULL;
}

static json_t *render_object(struct render *r, const json_t *in)
{
    json_t *out = json_incref((json_t *)(uintptr_t)in), *value;
    size_t used = strlen(r->path);
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)in, key, value)
    {
        rg_conf_path_key(r->path, sizeof(r->path), rg_str_of(key));
        json_t *now = render_member(r, in, &out, value, used);
        if (now && json_object_set_new(out, key, now) < 0)
            r->no_memory = true;
    }
    return out;
}

static json_t *render_array(struct render *r, const json_t *in)
{
    json_t *out = json_incref((json_t *)(uintptr_t)in), *value;
    size_t used = strlen(r->path), i;
    json_array_foreach(in, i, value)
    {
        rg_conf_path_index(r->path, sizeof(r->path), i);
        json_t *now = render_member(r, in, &out, value, used);
        if (now && json_array_set_new(out, i, now) < 0)
            r->no_memory = true;
    }
    return out;
}

/* The depth is bounded by that of YAML. */
static json_t *render_value(struct render *r, const json_t *in)
{
    if (json_is_string(in))
        return render_string(r, in);
    if (json_is_object(in))
        return render_object(r, in);
    return json_is_array(in) ? render_array(r, in) : json_incref((json_t *)(uintptr_t)in);
}

static int run(struct render *r, const json_t *value, const char *path, json_t **ret)
{
    snprintf(r->path, sizeof(r->path), "%s", path);
    json_t *out = render_value(r, value);
    if (r->no_memory || r->failed) {
        json_decref(out);
        return r->no_memory ? -ENOMEM : -EINVAL;
    }
    *ret = out;
    return 0;
}

int rg_template_scan(const json_t *value, const char *path, struct rg_arena *arena, struct rg_template_found *ret,
                     struct rg_problems *why)
{
    struct render r = {.arena = arena, .found = ret, .why = why};
    json_t *out;
    int rc = run(&r, value, path, &out);
    if (rc == 0)
        json_decref(out);
    return rc;
}

int rg_template_render(const json_t *value, const char *path, const struct rg_template_source *source,
                       struct rg_arena *arena, json_t **ret, struct rg_template_found *found, struct rg_problems *why)
{
    struct render r = {.source = source, .arena = arena, .found = found, .why = why};
    return run(&r, value, path, ret);
}
