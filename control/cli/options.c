/* See options.h. */
#include "control/cli/options.h"

#define ROW(id, letter, name, value, kind, member, complete, help) \
    [RG_CLI_FLAG_##id] = {letter, name, value, RG_FLAG_##kind, offsetof(struct rg_cli_options, member), help},
#define GLOBAL ROW
#define LOCAL  ROW
static const struct rg_flag rows[RG_CLI_FLAGS] = {
#include "control/cli/options.def"
};
#undef GLOBAL
#undef LOCAL

#define COMPLETION(id, letter, name, value, kind, member, complete, help) \
    [RG_CLI_FLAG_##id] = RG_CLI_COMPLETE_##complete,
#define GLOBAL COMPLETION
#define LOCAL  COMPLETION
const enum rg_cli_completion rg_cli_flag_completions[RG_CLI_FLAGS] = {
#include "control/cli/options.def"
};
#undef GLOBAL
#undef LOCAL

#define GLOBAL(id, ...) RG_CLI_BIT(id) |
#define LOCAL(id, ...)
const uint32_t rg_cli_global_flags =
#include "control/cli/options.def"
    0;
#undef GLOBAL
#undef LOCAL

const struct rg_flag_table rg_cli_flag_table = {rows, RG_CLI_FLAGS};

static bool is_given(const struct rg_flag *f, const struct rg_cli_options *options)
{
    const void *member = (const char *)options + f->offset;
    switch (f->kind) {
    case RG_FLAG_SWITCH:
        return *(const bool *)member;
    case RG_FLAG_TEXT:
        return *(const char *const *)member != NULL;
    case RG_FLAG_LIST:
        return ((const struct rg_flag_values *)member)->n > 0;
    }
    return false;
}

uint32_t rg_cli_flags_given(const struct rg_cli_options *options)
{
    uint32_t given = 0;
    for (unsigned i = 0; i < RG_CLI_FLAGS; i++)
        if (is_given(&rows[i], options))
            given |= 1u << i;
    return given;
}
