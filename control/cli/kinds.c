/* See kinds.h. */
#include "control/cli/kinds.h"

#include <string.h>

#include "control/common/conf.h"

#define COLUMNS(...) {__VA_ARGS__}, sizeof((struct rg_output_column[]){__VA_ARGS__}) / sizeof(struct rg_output_column)
#define CREATED                                         \
    {                                                   \
        "CREATED (UTC)", "createdAt", RG_OUTPUT_INSTANT \
    }

const struct rg_cli_kind rg_cli_kinds[] = {
    {"Gateway", "gateways", "gateway", false, 0,
     COLUMNS({"NAME", "id", RG_OUTPUT_PLAIN}, {"DISPLAY NAME", "displayName", RG_OUTPUT_PLAIN},
             {"VERSION", "version", RG_OUTPUT_PLAIN}, {"CONNECTED", "isActive", RG_OUTPUT_YES_NO},
             {"INSTANCES", "instances", RG_OUTPUT_PLAIN}, CREATED)},
    {"RestApi", "rest-apis", "rest-api", true, 3,
     COLUMNS({"NAME", "id", RG_OUTPUT_PLAIN}, {"DISPLAY NAME", "displayName", RG_OUTPUT_PLAIN},
             {"VERSION", "version", RG_OUTPUT_PLAIN}, {"CONTEXT", "context", RG_OUTPUT_PLAIN}, CREATED)},
    {"LlmProviderTemplate", "llm-provider-templates", "llm-provider-template", false, 1,
     COLUMNS({"NAME", "id", RG_OUTPUT_PLAIN}, {"DISPLAY NAME", "displayName", RG_OUTPUT_PLAIN}, CREATED)},
    {"LlmProvider", "llm-providers", "llm-provider", true, 2,
     COLUMNS({"NAME", "id", RG_OUTPUT_PLAIN}, {"DISPLAY NAME", "displayName", RG_OUTPUT_PLAIN},
             {"VERSION", "version", RG_OUTPUT_PLAIN}, {"TEMPLATE", "template", RG_OUTPUT_PLAIN}, CREATED)},
    {"LlmProxy", "llm-proxies", "llm-proxy", true, 3,
     COLUMNS({"NAME", "id", RG_OUTPUT_PLAIN}, {"DISPLAY NAME", "displayName", RG_OUTPUT_PLAIN},
             {"VERSION", "version", RG_OUTPUT_PLAIN}, {"CONTEXT", "context", RG_OUTPUT_PLAIN}, CREATED)},
};
const unsigned rg_cli_kinds_count = sizeof(rg_cli_kinds) / sizeof(rg_cli_kinds[0]);
const struct rg_cli_kind *const rg_cli_gateways = &rg_cli_kinds[0];

static bool is_same_word(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a == '-')
            a++;
        while (*b == '-')
            b++;
        if (rg_lower(*a) != rg_lower(*b))
            return false;
        if (!*a)
            return true;
    }
}

const struct rg_cli_kind *rg_cli_kind_of(const char *word)
{
    for (unsigned i = 0; i < rg_cli_kinds_count; i++)
        if (is_same_word(word, rg_cli_kinds[i].collection) || is_same_word(word, rg_cli_kinds[i].singular))
            return &rg_cli_kinds[i];
    return NULL;
}

const struct rg_cli_kind *rg_cli_kind_named(const char *name)
{
    for (unsigned i = 0; i < rg_cli_kinds_count; i++)
        if (strcmp(name, rg_cli_kinds[i].name) == 0)
            return &rg_cli_kinds[i];
    return NULL;
}

const char *rg_cli_kind_meant(const char *word)
{
    const char *best = NULL;
    unsigned best_distance = 0, distance;
    for (unsigned i = 0; i < rg_cli_kinds_count; i++) {
        const char *names[] = {rg_cli_kinds[i].collection, rg_cli_kinds[i].singular};
        for (unsigned n = 0; n < 2; n++) {
            if (rg_conf_is_near(rg_str_of(word), rg_str_of(names[n]), &distance) &&
                (!best || distance < best_distance)) {
                best = names[n];
                best_distance = distance;
            }
        }
    }
    return best;
}
