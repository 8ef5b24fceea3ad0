/*
 * Why: "did you mean" only where a slip is likely: a wrong suggestion is worse than none. Thread: any (pure functions).
 */
#include "control/common/conf.h"

#define NAME_MAX_LEN 32 /* longer names are never near anything */

static unsigned min2(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment over three rows of the usual table. */
unsigned rg_conf_distance(struct rg_str a, struct rg_str b)
{
    if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    unsigned rows[3][NAME_MAX_LEN + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b.len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = rg_lower(a.ptr[i - 1]), y = rg_lower(b.ptr[j - 1]);
            now[j] = min2(min2(last[j], now[j - 1]) + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == rg_lower(b.ptr[j - 2]) && y == rg_lower(a.ptr[i - 2]))
                now[j] = min2(now[j], before[j - 2] + 1);
        }
        unsigned *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[b.len];
}

bool rg_conf_is_near(struct rg_str got, struct rg_str known, unsigned *ret_distance)
{
    size_t longer = got.len > known.len ? got.len : known.len;
    unsigned distance = rg_conf_distance(got, known);
    size_t allowed = longer <= 3 ? 1 : longer / 3;
    if (got.len == 0 || longer > NAME_MAX_LEN || distance > allowed || distance >= longer)
        return false;
    *ret_distance = distance;
    return true;
}
