/* Why: makes the table of options.def, with the words that enumerations take. Thread: any (constant data). */
#include "control/options/control_url.h"
#include "control/options/options_rows.h"
#include "control/options/options_table.h"

static const struct rg_conf_word words_protocol[] = {
    {"http1", RG_REPLICA_HTTP1, NULL},
    {"h2c", RG_REPLICA_H2C, NULL},
    {0},
};

static const struct rg_conf_word words_steering[] = {
    {"near", RG_STEERING_NEAR, NULL},
    {"load", RG_STEERING_LOAD, NULL},
    {"hash", RG_STEERING_HASH, NULL},
    {"off", RG_STEERING_OFF, NULL},
    {0},
};

static const struct rg_conf_word words_sockmap[] = {
    {"off", RG_SOCKMAP_OFF, NULL},
    {"auto", RG_SOCKMAP_AUTO, NULL},
    {0},
};

/* --- replica.health.expect: two words, or a range of status codes in three members --- */

static const struct rg_conf_word words_expect[] = {
    {"auto", RG_EXPECT_AUTO, NULL}, {"ic-status", RG_EXPECT_IC_STATUS, NULL}, {0}};

static bool parse_code(const char *p, uint16_t *ret)
{
    for (size_t i = 0; i < 3; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    *ret = (uint16_t)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
    return *ret >= 100 && *ret <= 599;
}

/* "2xx", "204" or "200-399" */
static bool parse_range(struct rg_str text, uint16_t *low, uint16_t *high)
{
    if (text.len == 3 && text.ptr[0] >= '1' && text.ptr[0] <= '5' && rg_lower(text.ptr[1]) == 'x' &&
        rg_lower(text.ptr[2]) == 'x') {
        *low = (uint16_t)((text.ptr[0] - '0') * 100);
        *high = (uint16_t)(*low + 99);
        return true;
    }
    if (text.len == 3 && parse_code(text.ptr, low)) {
        *high = *low;
        return true;
    }
    return text.len == 7 && text.ptr[3] == '-' && parse_code(text.ptr, low) && parse_code(text.ptr + 4, high) &&
           *low <= *high;
}

static bool expect_parse(struct rg_str text, void *target)
{
    struct rg_health_settings *h = target;
    uint16_t low = 0, high = 0;
    if (rg_str_eq(text, RG_STR("auto")))
        h->expect = RG_EXPECT_AUTO;
    else if (rg_str_eq(text, RG_STR("ic-status")))
        h->expect = RG_EXPECT_IC_STATUS;
    else if (parse_range(text, &low, &high))
        h->expect = RG_EXPECT_RANGE;
    else
        return false;
    h->status_min = low;
    h->status_max = high;
    return true;
}

static void expect_format(const void *target, char *buf, size_t len)
{
    const struct rg_health_settings *h = target;
    if (h->expect == RG_EXPECT_AUTO)
        snprintf(buf, len, "auto");
    else if (h->expect == RG_EXPECT_IC_STATUS)
        snprintf(buf, len, "ic-status");
    else if (h->status_min % 100 == 0 && h->status_max == h->status_min + 99)
        snprintf(buf, len, "%uxx", h->status_min / 100u);
    else if (h->status_min == h->status_max)
        snprintf(buf, len, "%u", h->status_min);
    else
        snprintf(buf, len, "%u-%u", h->status_min, h->status_max);
}

static bool expect_equal(const void *va, const void *vb)
{
    const struct rg_health_settings *a = va, *b = vb;
    return a->expect == b->expect && a->status_min == b->status_min && a->status_max == b->status_max;
}

static void expect_copy(void *vto, const void *vfrom)
{
    struct rg_health_settings *to = vto;
    const struct rg_health_settings *from = vfrom;
    to->expect = from->expect;
    to->status_min = from->status_min;
    to->status_max = from->status_max;
}

static const struct rg_conf_custom custom_expect = {
    .parse = expect_parse,
    .format = expect_format,
    .equal = expect_equal,
    .copy = expect_copy,
    .wanted = "auto, ic-status, or status codes like 2xx, 204 or 200-399",
    .schema = "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 100, \"maximum\": 599}, {\"type\": \"string\", "
              "\"pattern\": \"^(auto|ic-status|[1-5][xX][xX]|[1-5][0-9][0-9](-[1-5][0-9][0-9])?)$\"}]",
};

/* --- control.url --- */

#define URL_SIZE sizeof(((struct rg_control_settings *)0)->url)

static bool control_url_parse(struct rg_str text, void *target)
{
    struct rg_control_url url;
    bool off = rg_str_eq(text, RG_STR("off"));
    if (!off && (text.len >= URL_SIZE || !rg_control_url_parse(text, &url)))
        return false;
    memset(target, 0, URL_SIZE);
    if (!off)
        memcpy(target, text.ptr, text.len);
    return true;
}

static void control_url_format(const void *target, char *buf, size_t len)
{
    const char *url = target;
    snprintf(buf, len, "%s", url[0] ? url : "off");
}

static bool control_url_equal(const void *a, const void *b)
{
    return strcmp(a, b) == 0;
}

static void control_url_copy(void *to, const void *from)
{
    memcpy(to, from, URL_SIZE);
}

static const struct rg_conf_custom custom_control_url = {
    .parse = control_url_parse,
    .format = control_url_format,
    .equal = control_url_equal,
    .copy = control_url_copy,
    .wanted = "off, or " RG_CONTROL_URL_WANTED,
    .schema = "\"type\": \"string\", \"maxLength\": 255, \"pattern\": "
              "\"^(off|([wW][sS]|[hH][tT][tT][pP])[sS]?://[^/?#@ ]+(/[^?# ]*)?)$\"",
};

static const struct rg_conf_option options[] = {
#include "control/options/options.def"
};

const struct rg_conf_table rg_options_table = {options, sizeof(options) / sizeof(options[0])};
