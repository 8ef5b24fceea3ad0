/*
 * Why: bytes that no YAML may hold are found before the YAML parser sees them, and named with their position; its own
 * messages for these speak of offsets. Thread: any.
 */
#include "control/common/conf_tree.h"

#include "control/common/conf.h"
#include "control/common/utf8.h"

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

bool rg_conf_scan(const char *text, size_t len, size_t max, struct rg_conf_errors *errors)
{
    struct rg_conf_mark at = {1, 1};
    if (len > max) {
        char size[32], got[64], wanted[64];
        rg_conf_format_size(max, size, sizeof(size));
        snprintf(got, sizeof(got), "more than %s", size);
        snprintf(wanted, sizeof(wanted), "at most %s", size);
        rg_conf_errors_add(errors, at, "document", got, wanted, NULL);
        return false;
    }
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t n = rg_utf8_sequence(text + i, len - i);
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
