/* See reference.h. */
#include "control/cli/reference.h"

#include <string.h>

static bool take_kind(const char *word, size_t len, bool deployable, struct rg_cli_reference *ret)
{
    char kind[64];
    snprintf(kind, sizeof(kind), "%.*s", (int)len, word);
    ret->kind = rg_cli_kind_of(kind);
    if (!ret->kind) {
        const char *meant = rg_cli_kind_meant(kind);
        rg_cli_complain(
            "got an unknown kind \"%s\", wanted gateways, rest-apis, llm-provider-templates, llm-providers or "
            "llm-proxies, and a name behind it, as rest-api/NAME%s%s%s",
            kind, meant ? "; did you mean " : "", meant ? meant : "", meant ? "?" : "");
        return false;
    }
    if (deployable && !ret->kind->deployable) {
        rg_cli_complain("%s are not deployed: wanted rest-api/NAME, llm-provider/NAME or llm-proxy/NAME",
                        ret->kind->collection);
        return false;
    }
    return true;
}

static bool take_name(const char *name, struct rg_cli_reference *ret)
{
    if (name[0] == '\0' || strlen(name) >= sizeof(ret->name)) {
        rg_cli_complain("got %s as the name of a %s, wanted 1 to %zu bytes", name[0] ? "too long a text" : "nothing",
                        ret->kind->name, sizeof(ret->name) - 1);
        return false;
    }
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    return true;
}

bool rg_reference_take(const struct rg_cli_operands *operands, bool needs_name, bool deployable,
                       struct rg_cli_reference *ret, unsigned *ret_used)
{
    const char *word = operands->list[0], *slash = strchr(word, '/');
    *ret = (struct rg_cli_reference){0};
    *ret_used = 1;
    if (!take_kind(word, slash ? (size_t)(slash - word) : strlen(word), deployable, ret))
        return false;
    if (slash)
        return take_name(slash + 1, ret);
    if (operands->n > 1) {
        *ret_used = 2;
        return take_name(operands->list[1], ret);
    }
    if (needs_name)
        rg_cli_complain("got %s without a name, wanted %s/NAME", word, ret->kind->singular);
    return !needs_name;
}
