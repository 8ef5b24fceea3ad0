/*
 * Why: from the text of one value to a member of the target, by the type that the table gives. Which message follows
 * from a failure is decided in conf.c; here only the correction that was surely meant. Thread: any (pure functions).
 */
#include "control/common/conf.h"

#include "datapath/base/assert.h"

#define HINT_LEN RG_CONF_TEXT_MAX

static void *member(const struct rg_conf_option *option, void *target)
{
    return (char *)target + option->offset;
}

void rg_conf_store(const struct rg_conf_option *option, void *target, uint64_t value)
{
    void *at = member(option, target);
    switch (option->size) {
    case 1:
        *(uint8_t *)at = (uint8_t)value;
        break;
    case 2:
        *(uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        *(uint32_t *)at = (uint32_t)value;
        break;
    default:
        RG_ASSERT(option->size == 8);
        *(uint64_t *)at = value;
    }
}

uint64_t rg_conf_fetch(const struct rg_conf_option *option, const void *target)
{
    const void *at = (const char *)target + option->offset;
    switch (option->size) {
    case 1:
        return *(const uint8_t *)at;
    case 2:
        return *(const uint16_t *)at;
    case 4:
        return *(const uint32_t *)at;
    default:
        RG_ASSERT(option->size == 8);
        return *(const uint64_t *)at;
    }
}

static void set_on(const struct rg_conf_option *option, void *target, bool on)
{
    if (option->on != 0)
        *(bool *)((char *)target + option->on) = on;
}

/* The word among those of the option; a refused one becomes wanted and hint. False: no such word. */
static bool parse_word(const struct rg_conf_option *option, struct rg_str text, void *target, char *wanted, char *hint)
{
    for (const struct rg_conf_word *w = option->words; w && w->name; w++) {
        if (!rg_str_eq(text, rg_str_of(w->name)))
            continue;
        if (w->refused) {
            snprintf(wanted, HINT_LEN, "a value that this version supports");
            snprintf(hint, HINT_LEN, "%s", w->refused);
            return false;
        }
        rg_conf_store(option, target, w->value);
        return true;
    }
    return false;
}

static void did_you_mean(char *hint, const char *what)
{
    snprintf(hint, HINT_LEN, "did you mean %s?", what);
}

/* Puts the nearest of the option's words, `off` and `extra` into hint. */
static void hint_word(const struct rg_conf_option *option, struct rg_str text, const char *extra, char *hint)
{
    const char *best = NULL;
    unsigned best_distance = 0, distance;
    for (const struct rg_conf_word *w = option->words; w && w->name; w++)
        if (!w->refused && rg_conf_is_near(text, rg_str_of(w->name), &distance) &&
            (!best || distance < best_distance)) {
            best = w->name;
            best_distance = distance;
        }
    const char *others[] = {option->can_be_off ? "off" : NULL, extra};
    for (size_t i = 0; i < 2; i++)
        if (others[i] && rg_conf_is_near(text, rg_str_of(others[i]), &distance) &&
            (!best || distance < best_distance)) {
            best = others[i];
            best_distance = distance;
        }
    if (best)
        did_you_mean(hint, best);
}

static bool parse_bool(const struct rg_conf_option *option, struct rg_str text, void *target, char *hint)
{
    static const char *const yes[] = {"yes", "on", "y", "1", "enabled", "enable"};
    static const char *const no[] = {"no", "off", "n", "0", "disabled", "disable"};
    if (rg_str_eq(text, RG_STR("true")) || rg_str_eq(text, RG_STR("false"))) {
        rg_conf_store(option, target, text.len == 4);
        return true;
    }
    hint_word(option, text, "true", hint);
    if (*hint == '\0')
        hint_word(option, text, "false", hint);
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (rg_str_eq_nocase(text, rg_str_of(yes[i])))
            did_you_mean(hint, "true");
        if (rg_str_eq_nocase(text, rg_str_of(no[i])))
            did_you_mean(hint, "false");
    }
    return false;
}

static bool is_in_range(const struct rg_conf_option *option, uint64_t v)
{
    return v >= option->min && v <= option->max;
}

static bool parse_number(const struct rg_conf_option *option, struct rg_str text, void *target, char *wanted,
                         char *hint)
{
    uint64_t v;
    if (parse_word(option, text, target, wanted, hint))
        return true;
    if (*hint)
        return false;
    if (rg_conf_parse_uint(text, &v) && is_in_range(option, v)) {
        rg_conf_store(option, target, v);
        return true;
    }
    hint_word(option, text, NULL, hint);
    return false;
}

/* What would be refused as well is no suggestion. */
static void suggest_in_range(const struct rg_conf_option *option, uint64_t v, const char *meant, char *hint)
{
    if (is_in_range(option, v))
        did_you_mean(hint, meant);
}

static bool parse_quantity(const struct rg_conf_option *option, struct rg_str text, void *target, char *wanted,
                           char *hint)
{
    bool is_duration = option->type == RG_CONF_DURATION;
    uint64_t v;
    char meant[64];
    if (parse_word(option, text, target, wanted, hint))
        return true;
    if (is_duration ? rg_conf_parse_duration(text, &v) : rg_conf_parse_size(text, &v)) {
        if (!is_in_range(option, v))
            return false;
        rg_conf_store(option, target, v);
        return true;
    }
    if (is_duration)
        rg_conf_hint_duration(text, meant, sizeof(meant));
    else
        rg_conf_hint_size(text, meant, sizeof(meant));
    if (*meant == '\0')
        hint_word(option, text, NULL, hint);
    else if (is_duration ? rg_conf_parse_duration(rg_str_of(meant), &v) : rg_conf_parse_size(rg_str_of(meant), &v))
        suggest_in_range(option, v, meant, hint);
    return false;
}

static bool parse_enum(const struct rg_conf_option *option, struct rg_str text, void *target, char *wanted, char *hint)
{
    if (parse_word(option, text, target, wanted, hint))
        return true;
    if (*hint == '\0')
        hint_word(option, text, NULL, hint);
    return false;
}

/* Visible ASCII, so that it can stand in a request line; `#` would begin a fragment, `%` is left to the writer. */
static bool is_target(struct rg_str text)
{
    if (text.len == 0 || text.ptr[0] != '/')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || text.ptr[i] == '#')
            return false;
    return true;
}

static bool is_file(const struct rg_conf_option *option, struct rg_str text)
{
    if (rg_str_eq(text, RG_STR("-")))
        return !option->must_be_path;
    if (text.len < 2 || text.ptr[0] != '/' || text.ptr[text.len - 1] == '/')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool parse_string(const struct rg_conf_option *option, struct rg_str text, void *target, char *hint)
{
    bool is_fit = option->type == RG_CONF_TARGET ? is_target(text) : is_file(option, text);
    if (!is_fit || text.len >= option->size) {
        hint_word(option, text, NULL, hint);
        if (*hint == '\0' && option->type == RG_CONF_FILE && !option->must_be_path &&
            (rg_str_eq(text, RG_STR("stdout"))))
            did_you_mean(hint, "\"-\"");
        return false;
    }
    char *at = member(option, target);
    memset(at, 0, option->size);
    memcpy(at, text.ptr, text.len);
    return true;
}

static bool parse_address(const struct rg_conf_option *option, struct rg_str text, void *target, char *wanted,
                          char *hint)
{
    struct rg_address_error why = {0};
    bool is_prefix = option->type == RG_CONF_PREFIX;
    if (is_prefix ? rg_prefix_parse(text, member(option, target), &why)
                  : rg_address_parse(text, (enum rg_address_use)option->use, member(option, target), &why))
        return true;
    if (why.wanted)
        snprintf(wanted, HINT_LEN, "%s", why.wanted);
    if (*why.hint)
        did_you_mean(hint, why.hint);
    else
        hint_word(option, text, NULL, hint);
    return false;
}

static bool parse_custom(const struct rg_conf_option *option, struct rg_str text, void *target, char *hint)
{
    if (option->custom->parse(text, member(option, target)))
        return true;
    hint_word(option, text, NULL, hint);
    return false;
}

bool rg_conf_parse(const struct rg_conf_option *option, struct rg_str text, void *target, char *wanted, char *hint)
{
    *hint = '\0';
    rg_conf_wanted(option, wanted, HINT_LEN);
    if (option->can_be_off && rg_str_eq(text, RG_STR("off"))) {
        memset(member(option, target), 0, option->size);
        set_on(option, target, false);
        return true;
    }
    bool ok = false;
    switch (option->type) {
    case RG_CONF_BOOL:
        ok = parse_bool(option, text, target, hint);
        break;
    case RG_CONF_INT:
        ok = parse_number(option, text, target, wanted, hint);
        break;
    case RG_CONF_DURATION:
    case RG_CONF_SIZE:
        ok = parse_quantity(option, text, target, wanted, hint);
        break;
    case RG_CONF_ENUM:
        ok = parse_enum(option, text, target, wanted, hint);
        break;
    case RG_CONF_TARGET:
    case RG_CONF_FILE:
        ok = parse_string(option, text, target, hint);
        break;
    case RG_CONF_ADDRESS:
    case RG_CONF_PREFIX:
        ok = parse_address(option, text, target, wanted, hint);
        break;
    case RG_CONF_CUSTOM:
        ok = parse_custom(option, text, target, hint);
        break;
    case RG_CONF_LIST:
        break;
    }
    if (ok)
        set_on(option, target, true);
    return ok;
}
