/* See names.h. */
#include "datapath/tls/names.h"

#include <errno.h>
#include <stdlib.h>

#include "datapath/base/ascii.h"

static bool is_name_byte(char c)
{
    return rg_is_alnum(c) || c == '-' || c == '_';
}

bool rg_tls_name_is_valid(struct rg_str name)
{
    bool is_wildcard = name.len > 2 && name.ptr[0] == '*' && name.ptr[1] == '.';
    if (name.len == 0 || name.len > RG_TLS_NAME_MAX)
        return false;
    size_t label = 0;
    for (size_t i = is_wildcard ? 2 : 0; i < name.len; i++) {
        if (name.ptr[i] == '.' && label == 0)
            return false;
        if (name.ptr[i] != '.' && !is_name_byte(name.ptr[i]))
            return false;
        label = name.ptr[i] == '.' ? 0 : label + 1;
    }
    return label > 0;
}

static void lower(char *to, struct rg_str from)
{
    for (size_t i = 0; i < from.len; i++)
        to[i] = rg_lower(from.ptr[i]);
    to[from.len] = '\0';
}

static int grow(struct rg_tls_names *names)
{
    unsigned room = names->room ? 2 * names->room : 16;
    struct rg_tls_name *list = realloc(names->list, room * sizeof(*list));
    if (!list)
        return -ENOMEM;
    names->list = list;
    names->room = room;
    return 0;
}

int rg_tls_names_add(struct rg_tls_names *names, struct rg_str name, unsigned certificate)
{
    char text[RG_TLS_NAME_MAX + 1];
    lower(text, name);
    for (unsigned i = 0; i < names->n; i++) {
        if (strcmp(names->list[i].text, text) == 0) {
            names->list[i].certificates |= 1u << certificate;
            return 0;
        }
    }
    if (names->n == names->room && grow(names) < 0)
        return -ENOMEM;
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    names->list[names->n++] = (struct rg_tls_name){.text = copy, .certificates = 1u << certificate};
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct rg_tls_name *)a)->text, ((const struct rg_tls_name *)b)->text);
}

void rg_tls_names_sort(struct rg_tls_names *names)
{
    if (names->n > 1)
        qsort(names->list, names->n, sizeof(*names->list), compare);
}

void rg_tls_names_fini(struct rg_tls_names *names)
{
    for (unsigned i = 0; i < names->n; i++)
        free(names->list[i].text);
    free(names->list);
    *names = (struct rg_tls_names){0};
}

static const struct rg_tls_name *find(const struct rg_tls_names *names, const char *text)
{
    unsigned low = 0, high = names->n;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = strcmp(text, names->list[middle].text);
        if (order == 0)
            return &names->list[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct rg_tls_name *rg_tls_names_find(const struct rg_tls_names *names, struct rg_str asked)
{
    char text[RG_TLS_NAME_MAX + 2]; /* room for the '*' in front of ".example.com" */
    if (asked.len > 1 && asked.ptr[asked.len - 1] == '.')
        asked.len--;
    if (asked.len == 0 || asked.len > RG_TLS_NAME_MAX || asked.ptr[0] == '*')
        return NULL;
    lower(text, asked);
    const struct rg_tls_name *exact = find(names, text);
    char *dot = strchr(text, '.');
    if (exact || !dot || dot == text)
        return exact;
    *--dot = '*';
    return find(names, dot);
}
