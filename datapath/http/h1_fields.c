/* Field lines: name, colon, value, CR LF. See h1_fields.h. */
#include "datapath/http/h1_fields.h"
#include "datapath/http/h1_scan.h"

/* Why the name that starts at line ends at p with something that is not a colon. */
static RG_COLD enum rg_reason bad_name(const char *line, const char *p, const struct rg_h1_limits *limits)
{
    size_t len = (size_t)(p - line);
    if (len > limits->field_bytes || len > UINT16_MAX)
        return RG_REASON_FIELD_TOO_LARGE;
    if (*p == '_') /* where it is allowed no name ends there */
        return RG_REASON_UNDERSCORE;
    return *p == '\n' ? RG_REASON_BAD_LINE_END : RG_REASON_BAD_FIELD_NAME;
}

/* Byte by byte: names with rare characters, names near the end of the input, and all malformed ones. */
static enum rg_reason parse_name_slow(const char *line, const char *end, const struct rg_h1_limits *limits,
                                      bool allow_underscore, struct rg_field *f)
{
    const char *p = line;
    bool is_plain = true;
    for (; p < end && rg_char_is(*p, RG_CHAR_TOKEN) && (*p != '_' || allow_underscore); p++)
        is_plain &= rg_char_is_plain_name(*p);
    size_t len = (size_t)(p - line);
    if (p == end)
        return len > limits->field_bytes || len > UINT16_MAX ? RG_REASON_FIELD_TOO_LARGE : RG_H1_NEED_MORE;
    if (*p != ':' || len == 0 || len > UINT16_MAX)
        return bad_name(line, p, limits);
    f->name_len = (uint16_t)len;
    f->id = (uint8_t)rg_field_lookup(line, len);
    f->name_is_plain = is_plain;
    return RG_REASON_NONE;
}

static inline enum rg_reason parse_name(const char *line, const char *end, const struct rg_h1_limits *limits,
                                        bool allow_underscore, struct rg_field *f)
{
    f->name = line;
    size_t len = rg_scan_name(line, end, &f->id);
    if (RG_UNLIKELY(len == 0))
        return parse_name_slow(line, end, limits, allow_underscore, f);
    f->name_len = (uint16_t)len;
    f->name_is_plain = true;
    return RG_REASON_NONE;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A space, or a byte that stands before it in ASCII: what is not a visible character. One comparison, mostly no. */
static inline bool may_be_blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* Nearly always one space. */
static inline const char *skip_blanks(const char *p, const char *end)
{
    if (RG_LIKELY(p < end && *p == ' '))
        p++;
    while (p < end && RG_UNLIKELY(may_be_blank(*p)) && is_blank(*p))
        p++;
    return p;
}

static inline void set_value(struct rg_field *f, const char *value, const char *stop)
{
    while (stop > value && RG_UNLIKELY(may_be_blank(stop[-1])) && is_blank(stop[-1]))
        stop--;
    f->value = value;
    f->value_len = (uint32_t)(stop - value);
}

static RG_COLD enum rg_reason bad_value(const char *p)
{
    return *p == '\n' || *p == '\r' ? RG_REASON_BAD_LINE_END : RG_REASON_BAD_FIELD_VALUE;
}

/* One field line; *p moves over its CR LF. */
static inline enum rg_reason parse_line(const char *buf, const char **p, const char *end,
                                        const struct rg_h1_limits *limits, bool allow_underscore, struct rg_field *f)
{
    const char *line = *p;
    enum rg_reason why = parse_name(line, end, limits, allow_underscore, f);
    if (RG_UNLIKELY(why != RG_REASON_NONE))
        return why;
    const char *value = skip_blanks(line + f->name_len + 1, end);
    const char *stop = rg_scan_value(buf, value, end);
    if (RG_UNLIKELY((size_t)(stop - line) > limits->field_bytes))
        return RG_REASON_FIELD_TOO_LARGE;
    if (RG_UNLIKELY(end - stop < 2))
        return stop == end || *stop == '\r' ? RG_H1_NEED_MORE : bad_value(stop);
    if (RG_UNLIKELY(memcmp(stop, "\r\n", 2) != 0))
        return bad_value(stop);
    set_value(f, value, stop);
    *p = stop + 2;
    return RG_REASON_NONE;
}

enum rg_reason rg_h1_parse_fields(const char *buf, const char **p, const char *end, const struct rg_h1_limits *limits,
                                  bool allow_underscore, struct rg_field *fields, uint16_t *n_fields)
{
    unsigned max = limits->fields < RG_H1_FIELDS_MAX ? limits->fields : RG_H1_FIELDS_MAX;
    unsigned n = 0;
    for (;; n++) {
        if (RG_UNLIKELY(*p == end))
            return RG_H1_NEED_MORE;
        if (RG_UNLIKELY(may_be_blank(**p))) {
            if (**p == '\r')
                break;
            if (is_blank(**p))
                return n ? RG_REASON_OBS_FOLD : RG_REASON_BAD_FIELD_NAME;
        }
        if (RG_UNLIKELY(n == max))
            return RG_REASON_TOO_MANY_FIELDS;
        enum rg_reason why = parse_line(buf, p, end, limits, allow_underscore, &fields[n]);
        if (RG_UNLIKELY(why != RG_REASON_NONE))
            return why;
    }
    *n_fields = (uint16_t)n;
    return rg_h1_parse_line_end(p, end);
}

bool rg_h1_parse_field_line(const char *line, size_t len, struct rg_field *ret)
{
    static const struct rg_h1_limits no_limits = {.field_bytes = UINT32_MAX};
    const char *end = line + len;
    if (len > UINT32_MAX || parse_name(line, end, &no_limits, true, ret) != RG_REASON_NONE)
        return false;
    const char *value = skip_blanks(line + ret->name_len + 1, end);
    if (rg_scan_value(line, value, end) != end)
        return false;
    set_value(ret, value, end);
    return true;
}
