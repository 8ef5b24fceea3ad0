/* Why: one way to say what is wrong with a parameter. See params_text.h. */
#include "control/common/params_text.h"

#include <inttypes.h>
#include <stdlib.h>

#include "control/common/conf.h"
#include "control/common/yaml_json.h"

/* ---- Durations ---- */

struct unit {
    const char *name;
    double us;
};

/* Longer names first: "ms" is not "m". */
static const struct unit units[] = {
    {"us", 1}, {"\xc2\xb5s", 1}, {"ms", 1e3}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6},
};

static const struct unit *unit_at(struct rg_str text, size_t from)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].name);
        if (text.len - from >= n && memcmp(text.ptr + from, units[i].name, n) == 0)
            return &units[i];
    }
    return NULL;
}

/* Digits, perhaps with a fraction; bytes used, 0: none. At most 18, so that a uint64_t holds them. */
static size_t number_at(struct rg_str text, size_t from, double *ret)
{
    size_t n = 0, dots = 0;
    char digits[20] = "";
    while (from + n < text.len && n < sizeof(digits) - 1) {
        char c = text.ptr[from + n];
        if (c == '.' && n > 0 && dots == 0)
            dots++;
        else if (c < '0' || c > '9')
            break;
        digits[n++] = c;
    }
    if (n == 0 || n == sizeof(digits) - 1 || digits[n - 1] == '.')
        return 0;
    *ret = strtod(digits, NULL);
    return n;
}

bool rg_params_parse_duration(struct rg_str text, uint64_t *ret_us)
{
    double sum = 0, number;
    if (rg_str_eq(text, RG_STR("0"))) {
        *ret_us = 0;
        return true;
    }
    for (size_t at = 0; at < text.len;) {
        size_t n = number_at(text, at, &number);
        const struct unit *unit = n > 0 ? unit_at(text, at + n) : NULL;
        if (!unit)
            return false;
        sum += number * unit->us;
        at += n + strlen(unit->name);
    }
    if (text.len == 0 || sum > 9e15) /* 285 years; a double is exact up to here */
        return false;
    *ret_us = (uint64_t)(sum + 0.5);
    return true;
}

static void format_duration(int64_t us, char *buf, size_t len)
{
    if (us % 1000 == 0)
        rg_conf_format_duration((uint64_t)us / 1000, buf, len);
    else
        snprintf(buf, len, "%" PRId64 "us", us);
}

/* ---- What was got ---- */

/* The shortest text that reads as the same number again. */
static void format_real(double real, char buf[RG_PARAMS_NUMBER_MAX])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, RG_PARAMS_NUMBER_MAX, "%.*g", digits, real);
        double again = strtod(buf, NULL);
        if (again >= real && again <= real)
            return;
    }
}

bool rg_params_scalar_text(const json_t *value, const json_t *written, char buf[RG_PARAMS_NUMBER_MAX],
                           struct rg_str *ret)
{
    if (json_is_number(value) && rg_yaml_written(written, value, ret))
        return true;
    if (json_is_boolean(value))
        snprintf(buf, RG_PARAMS_NUMBER_MAX, "%s", json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        snprintf(buf, RG_PARAMS_NUMBER_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        format_real(json_real_value(value), buf);
    else
        return false;
    *ret = rg_str_of(buf);
    return true;
}

void rg_params_describe(const json_t *value, const json_t *written, char *buf, size_t len)
{
    char number[RG_PARAMS_NUMBER_MAX], quoted[RG_CONF_TEXT_MAX / 2];
    struct rg_str text;
    if (!value) {
        snprintf(buf, len, "nothing");
    } else if (json_is_object(value)) {
        snprintf(buf, len, "an object");
    } else if (json_is_array(value)) {
        snprintf(buf, len, "a list of %zu", json_array_size(value));
    } else if (json_is_string(value)) {
        rg_conf_quote((struct rg_str){json_string_value(value), json_string_length(value)}, quoted, sizeof(quoted));
        snprintf(buf, len, quoted[0] == '"' ? "%s" : "\"%s\"", quoted); /* a number in a string has quotes */
    } else if (rg_params_scalar_text(value, written, number, &text)) {
        snprintf(buf, len, "%.*s", (int)(text.len < 60 ? text.len : 60), text.ptr);
    } else {
        snprintf(buf, len, "null");
    }
}

/* ---- What was wanted ---- */

static void wanted_range(const struct rg_param *row, char *buf, size_t len)
{
    char low[32], high[32];
    bool is_duration = row->type == RG_PARAM_DURATION;
    const char *what = is_duration ? "a duration" : "a whole number", *like = is_duration ? ", like 10s" : "";
    if (is_duration) {
        format_duration(row->min, low, sizeof(low));
        format_duration(row->max, high, sizeof(high));
    } else {
        snprintf(low, sizeof(low), "%" PRId64, row->min);
        snprintf(high, sizeof(high), "%" PRId64, row->max);
    }
    if (row->max == 0)
        snprintf(buf, len, "%s of at least %s%s", what, low, like);
    else
        snprintf(buf, len, "%s from %s to %s%s", what, low, high, like);
}

static void wanted_words(const char *const *words, char *buf, size_t len)
{
    size_t used = 0;
    for (size_t i = 0; words[i] && used < len; i++) {
        const char *between = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        used += (size_t)snprintf(buf + used, len - used, "%s%s", between, words[i]);
    }
}

void rg_params_wanted(const struct rg_param *row, char *buf, size_t len)
{
    switch (row->type) {
    case RG_PARAM_STRING:
        snprintf(buf, len, "a string%s", row->not_empty ? " that is not empty" : "");
        break;
    case RG_PARAM_BOOL:
        snprintf(buf, len, "true or false");
        break;
    case RG_PARAM_INT:
    case RG_PARAM_DURATION:
        wanted_range(row, buf, len);
        break;
    case RG_PARAM_ENUM:
        wanted_words(row->words, buf, len);
        break;
    case RG_PARAM_OBJECT:
        snprintf(buf, len, "an object");
        break;
    case RG_PARAM_LIST:
        snprintf(buf, len, "a list of %sat most %" PRId64, row->not_empty ? "at least 1 and " : "",
                 row->max > 0 ? row->max : (int64_t)RG_PARAM_LIST_MAX);
        break;
    case RG_PARAM_ANY:
        snprintf(buf, len, "a value");
        break;
    }
}

/* ---- What was meant ---- */

/* A suggestion must itself be good. */
static void mean_duration(const struct rg_param *row, struct rg_str text, char *buf, size_t len)
{
    uint64_t us;
    char meant[64];
    rg_conf_hint_duration(text, meant, sizeof(meant));
    if (*meant && rg_params_parse_duration(rg_str_of(meant), &us) && (int64_t)us >= row->min &&
        (row->max == 0 || (int64_t)us <= row->max))
        snprintf(buf, len, "did you mean %s?", meant);
}

static void mean_word(const char *const *words, struct rg_str text, char *buf, size_t len)
{
    unsigned best = 0, distance;
    for (size_t i = 0; words[i]; i++)
        if (rg_conf_is_near(text, rg_str_of(words[i]), &distance) && (*buf == '\0' || distance < best)) {
            best = distance;
            snprintf(buf, len, "did you mean %s?", words[i]);
        }
}

static void mean_plain(const struct rg_param *row, struct rg_str text, char *buf, size_t len)
{
    struct rg_str digits = text;
    uint64_t number;
    if (digits.len > 0 && digits.ptr[0] == '-') {
        digits.ptr++;
        digits.len--;
    }
    bool is_bool = rg_str_eq(text, RG_STR("true")) || rg_str_eq(text, RG_STR("false"));
    if (row->type == RG_PARAM_BOOL ? is_bool : text.len < 20 && rg_conf_parse_uint(digits, &number))
        snprintf(buf, len, "did you mean %.*s without quotes?", (int)text.len, text.ptr);
}

void rg_params_remedy(const struct rg_param *row, const json_t *value, const json_t *written, char *buf, size_t len)
{
    char number[RG_PARAMS_NUMBER_MAX];
    struct rg_str text = {json_string_value(value), json_string_length(value)};
    bool is_string = json_is_string(value);
    bool is_scalar = !is_string && rg_params_scalar_text(value, written, number, &text);
    *buf = '\0';
    if (row->type == RG_PARAM_STRING && is_scalar && text.len < RG_PARAMS_NUMBER_MAX)
        snprintf(buf, len, "did you mean \"%.*s\", in quotes?", (int)text.len, text.ptr);
    else if (row->type == RG_PARAM_DURATION && (is_string || is_scalar))
        mean_duration(row, text, buf, len);
    else if (row->type == RG_PARAM_ENUM && is_string)
        mean_word(row->words, text, buf, len);
    else if ((row->type == RG_PARAM_BOOL || row->type == RG_PARAM_INT) && is_string)
        mean_plain(row, text, buf, len);
}

void rg_params_names(const struct rg_param *fields, struct rg_str key, char *wanted, size_t wanted_len, char *remedy,
                     size_t remedy_len)
{
    size_t used = (size_t)snprintf(wanted, wanted_len, "%s", fields->name ? "one of " : "no keys here");
    unsigned best = 0, distance;
    *remedy = '\0';
    for (const struct rg_param *row = fields; row->name; row++) {
        if (used < wanted_len)
            used += (size_t)snprintf(wanted + used, wanted_len - used, "%s%s", row == fields ? "" : ", ", row->name);
        if (rg_conf_is_near(key, rg_str_of(row->name), &distance) && (*remedy == '\0' || distance < best)) {
            best = distance;
            snprintf(remedy, remedy_len, "did you mean %s?", row->name);
        }
    }
}
