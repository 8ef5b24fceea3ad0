/*
 * Why: the way back: a value as text, what an option takes in words, and comparing and copying single options for a
 * reload. Thread: any (pure functions).
 */
#include "control/common/conf.h"

#include "datapath/base/assert.h"

static const void *at(const struct rg_conf_option *option, const void *target)
{
    return (const char *)target + option->offset;
}

static bool is_off(const struct rg_conf_option *option, const void *target)
{
    if (!option->can_be_off)
        return false;
    if (option->on != 0)
        return !*(const bool *)((const char *)target + option->on);
    return *(const char *)at(option, target) == '\0';
}

static const char *word_of(const struct rg_conf_option *option, uint64_t value)
{
    for (const struct rg_conf_word *w = option->words; w && w->name; w++)
        if (w->value == value && !w->refused)
            return w->name;
    return NULL;
}

static void format_scalar(const struct rg_conf_option *option, uint64_t value, char *buf, size_t len)
{
    const char *word = word_of(option, value);
    if (word)
        snprintf(buf, len, "%s", word);
    else if (option->type == RG_CONF_BOOL)
        snprintf(buf, len, "%s", value ? "true" : "false");
    else if (option->type == RG_CONF_DURATION)
        rg_conf_format_duration(value, buf, len);
    else if (option->type == RG_CONF_SIZE)
        rg_conf_format_size(value, buf, len);
    else
        snprintf(buf, len, "%llu", (unsigned long long)value);
}

void rg_conf_format(const struct rg_conf_option *option, const void *target, char *buf, size_t len)
{
    *buf = '\0';
    if (is_off(option, target)) {
        snprintf(buf, len, "off");
        return;
    }
    switch (option->type) {
    case RG_CONF_BOOL:
    case RG_CONF_INT:
    case RG_CONF_DURATION:
    case RG_CONF_SIZE:
    case RG_CONF_ENUM:
        format_scalar(option, rg_conf_fetch(option, target), buf, len);
        break;
    case RG_CONF_TARGET:
    case RG_CONF_FILE:
        snprintf(buf, len, "%s", (const char *)at(option, target));
        break;
    case RG_CONF_ADDRESS:
        snprintf(buf, len, "%s", ((const struct rg_address *)at(option, target))->text);
        break;
    case RG_CONF_PREFIX:
        rg_prefix_format(at(option, target), buf, len);
        break;
    case RG_CONF_CUSTOM:
        option->custom->format(at(option, target), buf, len);
        break;
    case RG_CONF_LIST:
        snprintf(buf, len, "%zu", rg_conf_list_count(option, target));
        break;
    }
}

bool rg_conf_equal(const struct rg_conf_option *option, const void *a, const void *b)
{
    if (is_off(option, a) != is_off(option, b))
        return false;
    if (is_off(option, a))
        return true;
    if (option->type == RG_CONF_ADDRESS)
        return rg_address_equal(at(option, a), at(option, b));
    if (option->type == RG_CONF_PREFIX)
        return rg_prefix_equal(at(option, a), at(option, b));
    if (option->type == RG_CONF_CUSTOM)
        return option->custom->equal(at(option, a), at(option, b));
    return memcmp(at(option, a), at(option, b), option->size) == 0;
}

void rg_conf_copy(const struct rg_conf_option *option, void *to, const void *from)
{
    if (option->type == RG_CONF_CUSTOM)
        option->custom->copy((char *)to + option->offset, at(option, from));
    else
        memcpy((char *)to + option->offset, at(option, from), option->size);
    if (option->on != 0)
        *(bool *)((char *)to + option->on) = *(const bool *)((const char *)from + option->on);
}

size_t rg_conf_list_count(const struct rg_conf_option *list, const void *target)
{
    RG_ASSERT(list->type == RG_CONF_LIST);
    return (size_t)rg_conf_fetch(list, target);
}

/* "auto, " or "one of load, hash or off". Returns how many words were written. */
static size_t join_words(const struct rg_conf_option *option, char *buf, size_t len)
{
    size_t count = 0, used = 0, written = 0;
    for (const struct rg_conf_word *w = option->words; w && w->name; w++)
        count += w->refused == NULL;
    *buf = '\0';
    for (const struct rg_conf_word *w = option->words; w && w->name && used < len; w++) {
        if (w->refused)
            continue;
        const char *between = written == 0 ? "" : written + 1 == count ? " or " : ", ";
        used += (size_t)snprintf(buf + used, len - used, "%s%s", between, w->name);
        written++;
    }
    return written;
}

static void wanted_range(const struct rg_conf_option *option, const char *words, char *buf, size_t len)
{
    char low[32], high[32], example[64] = "";
    const char *what = "a whole number";
    const char *separator = *words ? " or " : "";
    if (option->type == RG_CONF_DURATION) {
        what = "a duration";
        rg_conf_format_duration(option->min, low, sizeof(low));
        rg_conf_format_duration(option->max, high, sizeof(high));
        snprintf(example, sizeof(example), ", like %s", option->preset ? option->preset : "10s");
    } else if (option->type == RG_CONF_SIZE) {
        what = "a size";
        rg_conf_format_size(option->min, low, sizeof(low));
        rg_conf_format_size(option->max, high, sizeof(high));
        snprintf(example, sizeof(example), ", like %s", option->preset ? option->preset : "64KiB");
    } else {
        snprintf(low, sizeof(low), "%llu", (unsigned long long)option->min);
        snprintf(high, sizeof(high), "%llu", (unsigned long long)option->max);
    }
    snprintf(buf, len, "%s%s%s from %s to %s%s", words, separator, what, low, high, example);
}

void rg_conf_wanted(const struct rg_conf_option *option, char *buf, size_t len)
{
    char words[256];
    const char *off = option->can_be_off ? ", or off" : "";
    size_t n = join_words(option, words, sizeof(words));
    switch (option->type) {
    case RG_CONF_BOOL:
        snprintf(buf, len, "true or false");
        break;
    case RG_CONF_INT:
    case RG_CONF_DURATION:
    case RG_CONF_SIZE:
        wanted_range(option, words, buf, len);
        break;
    case RG_CONF_ENUM:
        snprintf(buf, len, "%s%s", n > 1 ? "one of " : "", words);
        break;
    case RG_CONF_TARGET:
        snprintf(buf, len, "a path like /health of at most %zu characters%s", option->size - 1, off);
        break;
    case RG_CONF_FILE:
        snprintf(buf, len, "an absolute path of at most %zu bytes%s%s", option->size - 1,
                 option->must_be_path ? "" : ", \"-\" for standard output", off);
        break;
    case RG_CONF_ADDRESS:
        snprintf(buf, len, "%s%s", rg_address_wanted((enum rg_address_use)option->use), off);
        break;
    case RG_CONF_PREFIX:
        snprintf(buf, len, "%s", rg_prefix_wanted());
        break;
    case RG_CONF_CUSTOM:
        snprintf(buf, len, "%s", option->custom->wanted);
        break;
    case RG_CONF_LIST:
        snprintf(buf, len, "a list of %llu to %llu items", (unsigned long long)option->min,
                 (unsigned long long)option->max);
        break;
    }
}
