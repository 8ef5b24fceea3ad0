/* What of new settings can't be taken over while running: it is found, told, and kept as it is. See options.h. */
#include "control/options/options.h"

#include <errno.h>

#include "control/options/options_table.h"
#include "datapath/base/assert.h"

static int refuse_kept(const struct rg_settings *next, const char *what, const char *text, FILE *err)
{
    fprintf(err,
            "replica.address: got \"%s\", which is %s %s until a restart, wanted the address of the service behind the "
            "gateway\n",
            next->replica.text, what, text);
    return -EINVAL;
}

int rg_options_check_kept(const struct rg_settings *running, const struct rg_settings *next, FILE *err)
{
    for (unsigned i = 0; i < running->n_listeners; i++)
        if (rg_address_reaches(&running->listeners[i].address, &next->replica))
            return refuse_kept(next, "reached by the listener", running->listeners[i].address.text, err);
    if (running->admin_enabled && rg_address_reaches(&running->admin, &next->replica))
        return refuse_kept(next, "the admin endpoint", running->admin.text, err);
    return 0;
}

/* Rows of a list's items, one after the other: `path[].key`, or `path[]` itself. */
static const struct rg_conf_option *next_of_items(const struct rg_conf_option *list, const struct rg_conf_option *last)
{
    size_t len = strlen(list->path);
    const struct rg_conf_option *end = rg_options_table.options + rg_options_table.count;
    for (const struct rg_conf_option *o = last + 1; o < end; o++)
        if (strncmp(o->path, list->path, len) == 0 && strncmp(o->path + len, "[]", 2) == 0)
            return o;
    return NULL;
}

/* What a reload can't change of an item. */
static const struct rg_conf_option *next_fixed(const struct rg_conf_option *list, const struct rg_conf_option *last)
{
    const struct rg_conf_option *o = last;
    while ((o = next_of_items(list, o)) && !o->fixed)
        ;
    RG_ASSERT(!o || !strchr(o->path + strlen(list->path) + 1, '[')); /* not in a list within the list */
    return o;
}

/* All items of a list by their first fixed value, for a report. */
static void format_items(const struct rg_conf_option *list, const struct rg_settings *s, char *buf, size_t len)
{
    const struct rg_conf_option *item = next_fixed(list, list);
    size_t used = 0;
    RG_ASSERT(item);
    *buf = '\0';
    for (size_t i = 0; i < rg_conf_list_count(list, s) && used < len; i++) {
        char text[RG_CONF_TEXT_MAX];
        rg_conf_format(item, (const char *)s + i * list->stride, text, sizeof(text));
        used += (size_t)snprintf(buf + used, len - used, "%s%s", i > 0 ? ", " : "", text);
    }
}

/* In all that is fixed. */
static bool lists_equal(const struct rg_conf_option *list, const struct rg_settings *a, const struct rg_settings *b)
{
    size_t count = rg_conf_list_count(list, a);
    bool equal = count == rg_conf_list_count(list, b);
    for (const struct rg_conf_option *o = list; equal && (o = next_fixed(list, o));)
        for (size_t i = 0; equal && i < count; i++)
            equal = rg_conf_equal(o, (const char *)a + i * list->stride, (const char *)b + i * list->stride);
    return equal;
}

/* Whole items: what may change belongs to an item that is not there. */
static void copy_list(const struct rg_conf_option *list, struct rg_settings *to, const struct rg_settings *from)
{
    memcpy((char *)to + list->array, (const char *)from + list->array, list->max * list->stride);
    rg_conf_copy(list, to, from);
}

static void format_any(const struct rg_conf_option *o, const struct rg_settings *s, char *buf, size_t len)
{
    if (o->type == RG_CONF_LIST)
        format_items(o, s, buf, len);
    else
        rg_conf_format(o, s, buf, len);
}

unsigned rg_options_keep_fixed(const struct rg_settings *running, struct rg_settings *next,
                               void (*report)(const char *path, const char *running, const char *wanted, void *arg),
                               void *arg)
{
    char was[RG_LISTENERS_MAX * (RG_ADDRESS_TEXT_MAX + 2)], wanted[sizeof(was)];
    unsigned kept = 0;
    for (size_t i = 0; i < rg_options_table.count; i++) {
        const struct rg_conf_option *o = &rg_options_table.options[i];
        bool is_list = o->type == RG_CONF_LIST;
        if (!o->fixed || strchr(o->path, '[') ||
            (is_list ? lists_equal(o, running, next) : rg_conf_equal(o, running, next)))
            continue;
        format_any(o, running, was, sizeof(was));
        format_any(o, next, wanted, sizeof(wanted));
        if (is_list)
            copy_list(o, next, running);
        else
            rg_conf_copy(o, next, running);
        kept++;
        if (report)
            report(o->path, was, wanted, arg);
    }
    return kept;
}
