/* Why: one reading of UTF-8 for all who must refuse what is none. See utf8.h. */
#include "control/common/utf8.h"

size_t rg_utf8_sequence(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80)
        return 1;
    size_t need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len < need)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool is_overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool is_beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return is_overlong || is_beyond ? 0 : need;
}

bool rg_utf8_is_valid(struct rg_str text)
{
    for (size_t i = 0; i < text.len;) {
        size_t n = rg_utf8_sequence(text.ptr + i, text.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

size_t rg_utf8_copy(char *to, size_t max, struct rg_str from)
{
    size_t used = 0;
    for (size_t i = 0; i < from.len;) {
        size_t len = rg_utf8_sequence(from.ptr + i, from.len - i), taken = len > 0 ? len : 1;
        if (taken > max - used)
            break;
        memcpy(to + used, len > 0 ? from.ptr + i : "?", taken);
        used += taken;
        i += taken;
    }
    return used;
}
