/* The normal form of a path (RFC 3986 6.2.2), what routing compares and the origin gets. Pure, thread: any. */
#include "datapath/http/h1_chars.h"
#include "datapath/http/h1_parse.h"

static const char hex_upper[] = "0123456789ABCDEF";

/* The escape at p[0] = '%': writes one byte or three, returns how many; 0 if it is malformed. */
static size_t put_escape(char *out, const char *p, const char *end)
{
    if (end - p < 3)
        return 0;
    int high = rg_hex_value(p[1]), low = rg_hex_value(p[2]);
    if (high < 0 || low < 0)
        return 0;
    char c = (char)(high << 4 | low);
    if (rg_char_is(c, RG_CHAR_UNRESERVED)) {
        out[0] = c;
        return 1;
    }
    out[0] = '%';
    out[1] = hex_upper[high];
    out[2] = hex_upper[low];
    return 3;
}

/* Start of the segment that ends before the '/' at out[len - 1]; the root when there is none. */
static size_t parent_of(const char *out, size_t len)
{
    if (len <= 1)
        return len;
    size_t at = len - 1;
    while (at > 0 && out[at - 1] != '/')
        at--;
    return at > 0 ? at : len;
}

/*
 * A segment stands at out[start..len), start > 0 after its '/'. Resolves "." and "..", returns the new length, which
 * then ends in '/'.
 */
static size_t resolve_dots(const char *out, size_t start, size_t len, bool *resolved)
{
    size_t n = len - start;
    *resolved = n > 0 && n <= 2 && out[start] == '.' && out[len - 1] == '.';
    if (!*resolved)
        return len;
    return n == 1 ? start : parent_of(out, start);
}

int32_t rg_h1_normalize_path(struct rg_str path, char *out)
{
    const char *p = path.ptr, *end = path.ptr + path.len;
    size_t len = 0, segment = 0; /* segment: where the current one starts in out, after its '/' */
    bool resolved = false;

    while (p < end) {
        if (*p == '%') {
            size_t n = put_escape(out + len, p, end);
            if (n == 0)
                return -1;
            len += n;
            p += 3;
        } else if (*p == '/') {
            if (segment > 0)
                len = resolve_dots(out, segment, len, &resolved);
            if (!resolved)
                out[len++] = '/';
            resolved = false;
            segment = len;
            p++;
        } else {
            out[len++] = *p++;
        }
    }
    if (segment > 0)
        len = resolve_dots(out, segment, len, &resolved);
    return (int32_t)len;
}
