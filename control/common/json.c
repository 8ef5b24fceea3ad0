/* Why: JSON that comes from others is refused at the door when it is deeper, or says less clearly what it means, than
 * anything honest. See json.h. */
#include "control/common/json.h"

#include <stdlib.h>

#include "control/common/utf8.h"

/* Deeper than allowed, outside of strings? The parser itself allows 2,048 levels. */
static bool is_too_deep(struct rg_str text)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > RG_JSON_DEPTH_MAX)
            return true;
    }
    return false;
}

json_t *rg_json_parse(struct rg_str text, char *why, size_t why_len)
{
    json_error_t error;
    if (is_too_deep(text)) {
        snprintf(why, why_len, "more than %d levels of objects and lists", RG_JSON_DEPTH_MAX);
        return NULL;
    }
    json_t *value = json_loadb(text.len ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!value)
        snprintf(why, why_len, "line %d, column %d: %s", error.line, error.column, error.text);
    return value;
}

static bool is_special(unsigned char c)
{
    return c < 0x20 || c == 0x7f || c == '"' || c == '\\';
}

static void write_special(FILE *out, unsigned char c)
{
    if (c == '"' || c == '\\')
        fprintf(out, "\\%c", c);
    else
        fprintf(out, "\\u%04x", c);
}

void rg_json_string(FILE *out, struct rg_str s)
{
    fputc('"', out);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (is_special(c))
            write_special(out, c);
        else if (c >= 0x80)
            fputs("\\ufffd", out);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

void rg_json_utf8(FILE *out, struct rg_str s)
{
    fputc('"', out);
    for (size_t i = 0; i < s.len;) {
        size_t n = rg_utf8_sequence(s.ptr + i, s.len - i);
        if (n == 0)
            fputs("\\ufffd", out);
        else if (n == 1 && is_special((unsigned char)s.ptr[i]))
            write_special(out, (unsigned char)s.ptr[i]);
        else
            fwrite(s.ptr + i, 1, n, out);
        i += n ? n : 1;
    }
    fputc('"', out);
}

json_t *rg_json_text(struct rg_str text)
{
    char *clean = malloc(text.len + 1);
    json_t *value = clean ? json_stringn(clean, rg_utf8_copy(clean, text.len, text)) : NULL;
    free(clean);
    return value;
}
