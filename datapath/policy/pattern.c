/* See pattern.h: what is not anchored gets any text before it and behind it. */
#include "datapath/policy/pattern.h"

#include <errno.h>
#include <stdio.h>

#define PATTERN_MAX 1024

/* An alternative that is in no parentheses: an anchor would belong to one side of it only. */
static bool has_open_alternative(struct rg_str s)
{
    unsigned depth = 0;
    bool in_class = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\\')
            i++;
        else if (in_class)
            in_class = c != ']';
        else if (c == '[')
            in_class = true;
        else if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        else if (c == '|' && depth == 0)
            return true;
    }
    return false;
}

static bool takes(struct rg_str *s, struct rg_str front)
{
    if (s->len < front.len || memcmp(s->ptr, front.ptr, front.len) != 0)
        return false;
    *s = (struct rg_str){s->ptr + front.len, s->len - front.len};
    return true;
}

static bool ends_in_anchor(struct rg_str s)
{
    size_t backslashes = 0;
    if (s.len == 0 || s.ptr[s.len - 1] != '$')
        return false;
    while (backslashes + 1 < s.len && s.ptr[s.len - 2 - backslashes] == '\\')
        backslashes++;
    return backslashes % 2 == 0;
}

int rg_policy_pattern_make(struct rg_policy_making *m, const char *path, struct rg_str pattern,
                           const struct rg_regex **ret)
{
    char text[PATTERN_MAX + 32], why[128];
    if (pattern.len > PATTERN_MAX)
        return rg_policy_refuse(m, path, "has %zu bytes: wanted %d at most", pattern.len, PATTERN_MAX);
    bool nocase = takes(&pattern, RG_STR("(?i)")), at_front = takes(&pattern, RG_STR("^"));
    bool at_end = ends_in_anchor(pattern);
    pattern.len -= at_end;
    if ((at_front || at_end) && has_open_alternative(pattern))
        return rg_policy_refuse(m, path,
                                "has ^ or $ on one side of an alternative: put the alternatives in parentheses");
    int n = snprintf(text, sizeof text, "%s%s(?:%.*s)%s", nocase ? "(?i)" : "", at_front ? "" : ".*", (int)pattern.len,
                     pattern.ptr, at_end ? "" : ".*");
    int rc = rg_regex_compile(m->arena, (struct rg_str){text, (size_t)n}, ret, why, sizeof why);
    return rc == -EINVAL ? rg_policy_refuse(m, path, "is no regular expression that is supported: %s", why) : rc;
}
