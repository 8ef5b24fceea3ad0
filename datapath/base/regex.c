/* See regex.h. Matching keeps the set of positions that the bytes so far may have ended on. */
#include "datapath/base/regex_parts.h"

static void followers(const struct rg_regex *re, const struct rg_regex_set *now, struct rg_regex_set *ret)
{
    *ret = (struct rg_regex_set){0};
    for (unsigned i = 0; i < RG_REGEX_WORDS; i++)
        for (uint64_t bits = now->w[i]; bits; bits &= bits - 1)
            rg_regex_set_add(ret, &re->follow[i * 64 + (unsigned)__builtin_ctzll(bits)]);
}

static bool meet(struct rg_regex_set *s, const struct rg_regex_set *with)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < RG_REGEX_WORDS; i++)
        any |= s->w[i] &= with->w[i];
    return any != 0;
}

bool rg_regex_matches(const struct rg_regex *re, struct rg_str value)
{
    struct rg_regex_set next = re->first, now = {0};
    if (value.len == 0)
        return re->nullable;
    if (value.len > RG_REGEX_VALUE_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        now = next;
        if (!meet(&now, &re->accepts[(unsigned char)value.ptr[i]]))
            return false;
        followers(re, &now, &next);
    }
    return meet(&now, &re->last);
}
