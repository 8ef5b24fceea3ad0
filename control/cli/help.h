/* What rgctl says about itself, made from the tables of commands and flags. Thread: any. */
#ifndef RG_CLI_HELP_H
#define RG_CLI_HELP_H

#include "control/cli/commands.h"

void rg_help_all(FILE *out);
void rg_help_command(const struct rg_cli_command *command, FILE *out);
/* Commands of two words that begin with this one. false: there are none. */
bool rg_help_group(const char *word, FILE *out);

/* docs/RGCTL.md */
void rg_docs_rgctl(FILE *out);

#endif
