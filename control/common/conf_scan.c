/*
 * Why: bytes that no YAML may hold are found before the YAML parser sees them, and named with their position; its own
 * messages for these speak of offsets. Strict UTF-8 (RFC 3629): no overlong forms, no surrogates. Thread: any.
 */
#include "control/common/conf_tree.h"

#include "control/common/conf.h"

/* Length of the well-formed UTF-8 sequence at p; 0: malformed. */
static size_t utf8_sequence(const unsigned char *p, size_t len)
{
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

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
}

static bool refuse_byte(struct rg_conf_errors *errors, struct rg_conf_mark at, unsigned char c, bool is_utf8)
{
    char got[64];
    if (c == 0)
        snprintf(got, sizeof(got), "a NUL byte");
    else if (is_utf8)
        snprintf(got, sizeof(got), "the control byte 0x%02x", c);
    else
        snprintf(got, sizeof(got), "a byte that is not UTF-8 (0x%02x)", c);
    rg_conf_errors_add(errors, at, "document", got, "text in UTF-8", NULL);
    return false;
}

bool rg_conf_scan(const char *text, size_t len, struct rg_conf_errors *errors)
{
    struct rg_conf_mark at = {1, 1};
    if (len > RG_CONF_FILE_MAX) {
        rg_conf_errors_add(errors, at, "document", "more than 1 MiB", "a file of at most 1 MiB", NULL);
        return false;
    }
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t n = utf8_sequence((const unsigned char *)text + i, len - i);
        if (n == 0 || is_control(c))
            return refuse_byte(errors, at, c, n > 0);
        if (c == '\n')
            at = (struct rg_conf_mark){at.line + 1, 1};
        else
            at.col++;
        i += n;
    }
    return true;
}
