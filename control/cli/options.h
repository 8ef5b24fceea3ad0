/*
 * Flags of rgctl, declared once in options.def: help, completion, documentation and the command line are made from
 * there. Thread: the program has one.
 */
#ifndef RG_CLI_OPTIONS_H
#define RG_CLI_OPTIONS_H

#include <stdint.h>

#include "control/common/flags.h"

/* Views into argv; NULL, 0 or false where a flag was not given. */
struct rg_cli_options {
    const char *platform, *token_file, *ca_file, *output;
    bool insecure, help, version;
    struct rg_flag_values files, gateways;
    bool dry_run, no_wait;
    const char *status, *timeout, *display_name, *description, *expires, *role, *admin, *count;
};

enum rg_cli_flag_id {
#define GLOBAL(id, ...) RG_CLI_FLAG_##id,
#define LOCAL(id, ...)  RG_CLI_FLAG_##id,
#include "control/cli/options.def"
#undef GLOBAL
#undef LOCAL
    RG_CLI_FLAGS
};

enum rg_cli_completion { RG_CLI_COMPLETE_NOTHING, RG_CLI_COMPLETE_FILE, RG_CLI_COMPLETE_FORMAT, RG_CLI_COMPLETE_KIND };

#define RG_CLI_BIT(id) (1u << RG_CLI_FLAG_##id)

extern const struct rg_flag_table rg_cli_flag_table; /* by id */
extern const enum rg_cli_completion rg_cli_flag_completions[RG_CLI_FLAGS];
extern const uint32_t rg_cli_global_flags; /* bits by id */

/* The flags that a command line gave, as bits. */
uint32_t rg_cli_flags_given(const struct rg_cli_options *options);

#endif
