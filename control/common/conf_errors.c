/* Why: one place that decides how a configuration error reads. See conf_errors.h for owner and thread. */
#include "control/common/conf_errors.h"

#include <stdlib.h>

#include "datapath/base/ascii.h"

#define QUOTE_MAX 60

void rg_conf_errors_init(struct rg_conf_errors *errors)
{
    errors->count = 0;
    errors->more = 0;
}

void rg_conf_errors_fini(struct rg_conf_errors *errors)
{
    for (uint32_t i = 0; i < errors->count; i++)
        free(errors->list[i].text);
    rg_conf_errors_init(errors);
}

bool rg_conf_errors_any(const struct rg_conf_errors *errors)
{
    return errors->count > 0 || errors->more > 0;
}

/* Takes the text; NULL: there was no memory for it. */
static void keep(struct rg_conf_errors *errors, struct rg_conf_mark mark, size_t path_len, char *text)
{
    if (!text) {
        errors->more++;
        return;
    }
    errors->list[errors->count] = (struct rg_conf_error){mark, errors->count, (uint32_t)path_len, text};
    errors->count++;
}

void rg_conf_errors_add(struct rg_conf_errors *errors, struct rg_conf_mark mark, const char *path, const char *got,
                        const char *wanted, const char *remedy)
{
    if (errors->count == RG_CONF_ERRORS_MAX) {
        errors->more++;
        return;
    }
    bool has_remedy = remedy && *remedy;
    char *text = NULL;
    if (asprintf(&text, "%s%sgot %s, wanted %s%s%s", path, *path ? ": " : "", got, wanted, has_remedy ? "; " : "",
                 has_remedy ? remedy : "") < 0)
        text = NULL;
    keep(errors, mark, strlen(path), text);
}

void rg_conf_errors_say(struct rg_conf_errors *errors, struct rg_conf_mark mark, struct rg_str path,
                        struct rg_str sentence)
{
    if (errors->count == RG_CONF_ERRORS_MAX) {
        errors->more++;
        return;
    }
    char *text = NULL;
    if (asprintf(&text, "%.*s%s%.*s", (int)path.len, path.ptr, path.len > 0 ? ": " : "", (int)sentence.len,
                 sentence.ptr) < 0)
        text = NULL;
    keep(errors, mark, path.len, text);
}

static int compare_u32(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_errors(const void *va, const void *vb)
{
    const struct rg_conf_error *a = va, *b = vb;
    if ((a->mark.line == 0) != (b->mark.line == 0))
        return a->mark.line == 0 ? 1 : -1;
    int by_line = compare_u32(a->mark.line, b->mark.line);
    if (by_line != 0)
        return by_line;
    int by_col = compare_u32(a->mark.col, b->mark.col);
    return by_col != 0 ? by_col : compare_u32(a->order, b->order);
}

void rg_conf_errors_print(struct rg_conf_errors *errors, const char *file, FILE *out)
{
    qsort(errors->list, errors->count, sizeof(errors->list[0]), compare_errors);
    for (uint32_t i = 0; i < errors->count; i++) {
        const struct rg_conf_error *e = &errors->list[i];
        if (e->mark.line > 0)
            fprintf(out, "%s:%u:%u: %s\n", file, e->mark.line, e->mark.col, e->text);
        else
            fprintf(out, "%s\n", e->text);
    }
    if (errors->more > 0)
        fprintf(out, "%s: and %u more errors\n", file, errors->more);
}

/* An optional sign, digits, at most one dot. */
static bool is_number(struct rg_str text)
{
    size_t dots = 0, digits = 0, sign = text.len > 0 && text.ptr[0] == '-';
    for (size_t i = sign; i < text.len; i++) {
        dots += text.ptr[i] == '.';
        digits += rg_is_digit(text.ptr[i]);
    }
    return digits > 0 && dots <= 1 && text.len <= 20 && sign + digits + dots == text.len;
}

/* Bytes of a UTF-8 sequence that starts with c; 1 for what is not a lead byte. */
static size_t sequence_len(unsigned char c)
{
    return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
}

/* Where to cut text so that no character is halved. */
static size_t cut_at(struct rg_str text, size_t max)
{
    if (text.len <= max)
        return text.len;
    size_t end = 0;
    while (end < max) {
        size_t n = sequence_len((unsigned char)text.ptr[end]);
        if (end + n > max)
            break;
        end += n;
    }
    return end;
}

static void quote_byte(FILE *out, unsigned char c)
{
    if (c == '"' || c == '\\')
        fprintf(out, "\\%c", c);
    else if (c == '\n')
        fputs("\\n", out);
    else if (c == '\t')
        fputs("\\t", out);
    else if (c < 0x20 || c == 0x7f)
        fprintf(out, "\\x%02x", c);
    else
        fputc(c, out);
}

void rg_conf_quote(struct rg_str text, char *buf, size_t len)
{
    FILE *out = fmemopen(buf, len, "w");
    if (!out) {
        snprintf(buf, len, "a value");
        return;
    }
    if (is_number(text)) {
        fprintf(out, "%.*s", (int)text.len, text.ptr);
    } else {
        size_t end = cut_at(text, QUOTE_MAX);
        fputc('"', out);
        for (size_t i = 0; i < end; i++)
            quote_byte(out, (unsigned char)text.ptr[i]);
        fputs(end < text.len ? "...\"" : "\"", out);
    }
    fclose(out);
    buf[len - 1] = '\0';
}

static bool is_plain_key(struct rg_str key)
{
    if (key.len == 0 || key.len > QUOTE_MAX)
        return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        if (!rg_is_alnum(c) && c != '_' && c != '-')
            return false;
    }
    return true;
}

static void append(char *path, size_t len, size_t used, struct rg_str text)
{
    size_t room = used < len ? len - used - 1 : 0, n = text.len < room ? text.len : room;
    memcpy(path + used, text.ptr, n);
    path[used + n] = '\0';
}

/* Plain words are by far the most; a decoder extends its path for each member, whether there is an error or not. */
void rg_conf_path_key(char *path, size_t len, struct rg_str key)
{
    char quoted[4 * QUOTE_MAX + 8];
    size_t used = strlen(path);
    if (!is_plain_key(key)) {
        rg_conf_quote(key, quoted, sizeof(quoted));
        key = rg_str_of(quoted);
    }
    if (used > 0 && used + 1 < len)
        path[used++] = '.';
    append(path, len, used, key);
}

void rg_conf_path_index(char *path, size_t len, size_t index)
{
    size_t used = strlen(path);
    snprintf(path + used, len - used, "[%zu]", index);
}
