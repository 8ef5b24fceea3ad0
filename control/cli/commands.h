/*
 * The table of rgctl's commands, from which the program, its help, completion and docs/RGCTL.md are made.
 * Thread: any (constant data).
 */
#ifndef RG_CLI_COMMANDS_H
#define RG_CLI_COMMANDS_H

#include "control/cli/cli.h"

struct rg_cli_command {
    const char *name;                /* one word or two: "apply", "token create" */
    const char *operands;            /* as the usage shows them; "" where there are none */
    unsigned min, max;               /* their number */
    enum rg_cli_completion complete; /* of the first operand */
    uint32_t flags;                  /* bits of RG_CLI_BIT, beside the global ones */
    bool offline;                    /* needs no platform */
    enum rg_cli_status (*run)(struct rg_cli *cli, const struct rg_cli_operands *operands);
    const char *help;    /* one line */
    const char *detail;  /* sentences; lines without an end of their own */
    const char *example; /* command lines, each ends in \n */
    const char *result;  /* what -o json and yaml print on standard output; "": it prints text alone */
};

#define RG_CLI_OPERANDS_MAX 64u

extern const struct rg_cli_command rg_cli_commands[];
extern const unsigned rg_cli_commands_count;

/* By its words; *ret_words says how many of them are its name. NULL: none. */
const struct rg_cli_command *rg_cli_command_of(char **words, unsigned n, unsigned *ret_words);
/* Whether a command's name is this word, or begins with it as its first word of two. */
bool rg_cli_command_begins(const struct rg_cli_command *command, const char *word);
/* One that is likely meant by words that name none; NULL: none is near. */
const char *rg_cli_command_meant(char **words, unsigned n);

/* Runs the command that the words (those of a command line without its flags) name. */
enum rg_cli_status rg_cli_dispatch(struct rg_cli *cli, char **words, unsigned n);

/* ---- the commands ---- */

#define RG_CLI_COMMAND(name) \
    enum rg_cli_status rg_cli_##name(struct rg_cli *cli, const struct rg_cli_operands *operands)

RG_CLI_COMMAND(apply);
RG_CLI_COMMAND(get);
RG_CLI_COMMAND(delete);
RG_CLI_COMMAND(gateway_list);
RG_CLI_COMMAND(gateway_create);
RG_CLI_COMMAND(gateway_delete);
RG_CLI_COMMAND(token_create);
RG_CLI_COMMAND(token_list);
RG_CLI_COMMAND(token_revoke);
RG_CLI_COMMAND(deployments);
RG_CLI_COMMAND(history);
RG_CLI_COMMAND(undeploy);
RG_CLI_COMMAND(restore);
RG_CLI_COMMAND(key_create);
RG_CLI_COMMAND(key_list);
RG_CLI_COMMAND(key_revoke);
RG_CLI_COMMAND(secret_set);
RG_CLI_COMMAND(secret_list);
RG_CLI_COMMAND(secret_delete);
RG_CLI_COMMAND(access_create);
RG_CLI_COMMAND(access_list);
RG_CLI_COMMAND(access_revoke);
RG_CLI_COMMAND(status_of);
RG_CLI_COMMAND(events);
RG_CLI_COMMAND(completion);
RG_CLI_COMMAND(help);

#endif
