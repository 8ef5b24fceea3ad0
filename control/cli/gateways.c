/* See gateways.h. */
#include "control/cli/gateways.h"

#include <stdlib.h>
#include <string.h>

const json_t *rg_gateways_find(const json_t *known, const char *name)
{
    for (size_t i = 0; i < json_array_size(known); i++)
        if (strcmp(rg_cli_text(json_array_get(known, i), "id"), name) == 0)
            return json_array_get(known, i);
    return NULL;
}

bool rg_gateways_are_connected(const json_t *known, const char *name)
{
    return json_is_true(json_object_get(rg_gateways_find(known, name), "isActive"));
}

static char *list_names(const json_t *known)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    for (size_t i = 0; i < json_array_size(known); i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "", rg_cli_text(json_array_get(known, i), "id"));
    fclose(out);
    return text;
}

static bool refuse(const json_t *known, const char *where, const char *why)
{
    char *names = list_names(known);
    if (json_array_size(known) == 0)
        rg_cli_complain("%s: %s, and the platform knows none yet; make one with: rgctl gateway create NAME", where,
                        why);
    else
        rg_cli_complain("%s: %s; the platform knows %s: choose with --gateway NAME", where, why,
                        names ? names : "some");
    free(names);
    return false;
}

static bool refuse_name(const json_t *known, const char *where, const char *name)
{
    char why[RG_CLI_NAME_MAX + 32];
    snprintf(why, sizeof(why), "there is no gateway \"%s\"", name);
    return refuse(known, where, why);
}

static bool add(const json_t *known, const char *where, const char *name, size_t len, struct rg_gateway_names *to)
{
    char *entry = to->n < RG_GATEWAYS_MAX ? to->list[to->n] : NULL;
    if (!entry || len >= RG_CLI_NAME_MAX) {
        rg_cli_complain("%s: got more than %u gateways, or a name longer than %u bytes", where, RG_GATEWAYS_MAX,
                        RG_CLI_NAME_MAX - 1);
        return false;
    }
    memcpy(entry, name, len);
    entry[len] = '\0';
    for (unsigned i = 0; i < to->n; i++)
        if (strcmp(to->list[i], entry) == 0)
            return true;
    if (!rg_gateways_find(known, entry))
        return refuse_name(known, where, entry);
    to->n++;
    return true;
}

static bool add_all(const json_t *known, const char *where, const char *names, struct rg_gateway_names *to)
{
    for (;;) {
        size_t len = strcspn(names, ",");
        size_t first = strspn(names, " "), last = len;
        while (last > first && names[last - 1] == ' ')
            last--;
        if (last > first && !add(known, where, names + first, last - first, to))
            return false;
        if (!names[len])
            break;
        names += len + 1;
    }
    return to->n > 0 || refuse(known, where, "no gateway is named");
}

bool rg_gateways_choose(const struct rg_cli *cli, const char *said, const json_t *known, const char *where,
                        struct rg_gateway_names *ret)
{
    const struct rg_flag_values *flags = &cli->options.gateways;
    ret->n = 0;
    for (unsigned i = 0; i < flags->n; i++)
        if (!add_all(known, where, flags->list[i], ret))
            return false;
    if (flags->n > 0)
        return true;
    if (said)
        return add_all(known, where, said, ret);
    if (json_array_size(known) != 1)
        return refuse(known, where, "no gateway is named");
    return add_all(known, where, rg_cli_text(json_array_get(known, 0), "id"), ret);
}
