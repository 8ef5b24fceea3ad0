/*
 * Why: the LLM kinds say by path patterns what is allowed and which policies apply, and several may match one request.
 * A request takes one route, so each route has to carry all that matches it. See lower_parts.h. Thread: any (pure, but
 * for the arena).
 *
 * A pattern is segments of plain text and {name}, which is one segment that is not empty; a last "*" is any rest.
 */
#include "control/artifact/lower_parts.h"

struct rg_segments rg_segments_of(struct rg_str path)
{
    return (struct rg_segments){{path.ptr + 1, path.len - 1}, false};
}

bool rg_segments_next(struct rg_segments *s, struct rg_str *ret)
{
    if (s->at_end)
        return false;
    const char *slash = memchr(s->rest.ptr, '/', s->rest.len);
    size_t n = slash ? (size_t)(slash - s->rest.ptr) : s->rest.len;
    *ret = (struct rg_str){s->rest.ptr, n};
    s->at_end = !slash;
    if (slash)
        s->rest = (struct rg_str){slash + 1, s->rest.len - n - 1};
    return true;
}

bool rg_segments_is_rest(const struct rg_segments *s)
{
    return !s->at_end && s->rest.len == 1 && s->rest.ptr[0] == '*';
}

static bool is_parameter(struct rg_str segment)
{
    return segment.len > 0 && segment.ptr[0] == '{';
}

bool rg_pattern_covers(struct rg_str outer, struct rg_str inner)
{
    struct rg_segments o = rg_segments_of(outer), i = rg_segments_of(inner);
    struct rg_str a, b;
    for (;;) {
        if (rg_segments_is_rest(&o))
            return true;
        if (rg_segments_is_rest(&i))
            return false;
        bool more_o = rg_segments_next(&o, &a), more_i = rg_segments_next(&i, &b);
        if (!more_o || !more_i)
            return more_o == more_i;
        if (is_parameter(a) ? b.len == 0 : is_parameter(b) || !rg_str_eq(a, b))
            return false;
    }
}

static size_t put_segment(char *out, size_t n, struct rg_str segment)
{
    out[n++] = '/';
    if (segment.len > 0)
        memcpy(out + n, segment.ptr, segment.len);
    return n + segment.len;
}

static size_t put_rest(char *out, size_t n, struct rg_segments *c)
{
    struct rg_str segment;
    while (rg_segments_next(c, &segment))
        n = put_segment(out, n, segment);
    return n;
}

/* What both match, written to out (room for both). 0: nothing. */
static size_t intersect(struct rg_str pattern_a, struct rg_str pattern_b, char *out)
{
    struct rg_segments ca = rg_segments_of(pattern_a), cb = rg_segments_of(pattern_b);
    struct rg_str a, b;
    size_t n = 0;
    for (;;) {
        if (rg_segments_is_rest(&ca))
            return put_rest(out, n, &cb);
        if (rg_segments_is_rest(&cb))
            return put_rest(out, n, &ca);
        bool more_a = rg_segments_next(&ca, &a), more_b = rg_segments_next(&cb, &b);
        if (!more_a || !more_b)
            return more_a == more_b ? n : 0;
        if (is_parameter(a) && b.len > 0)
            n = put_segment(out, n, b);
        else if ((is_parameter(b) && a.len > 0) || (!is_parameter(a) && rg_str_eq(a, b)))
            n = put_segment(out, n, a);
        else
            return 0;
    }
}

/* Equal but for the names of parameters. */
static bool is_same(struct rg_str a, struct rg_str b)
{
    return rg_pattern_covers(a, b) && rg_pattern_covers(b, a);
}

bool rg_patterns_add(struct rg_patterns *set, struct rg_str pattern)
{
    for (size_t i = 0; i < set->n; i++)
        if (is_same(set->items[i], pattern))
            return true;
    if (set->n == RG_LOWER_PATTERNS_MAX)
        return false;
    set->items[set->n++] = pattern;
    return true;
}

static bool add_common(struct rg_patterns *set, size_t i, size_t j, struct rg_arena *arena)
{
    struct rg_str a = set->items[i], b = set->items[j];
    char *out = rg_arena_alloc(arena, a.len + b.len + 2);
    size_t n = out ? intersect(a, b, out) : 0;
    return out && (n == 0 || rg_patterns_add(set, (struct rg_str){out, n}));
}

/* Those that come to the end are looked at in their turn, so one pass over the growing set closes it. */
bool rg_patterns_close(struct rg_patterns *set, struct rg_arena *arena)
{
    for (size_t i = 1; i < set->n; i++) {
        for (size_t j = 0; j < i; j++) {
            struct rg_str a = set->items[i], b = set->items[j];
            if (!rg_pattern_covers(a, b) && !rg_pattern_covers(b, a) && !add_common(set, i, j, arena))
                return false;
        }
    }
    return true;
}
