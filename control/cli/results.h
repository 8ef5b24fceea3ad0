/* Results that several commands show in the same way. Thread: one. */
#ifndef RG_CLI_RESULTS_H
#define RG_CLI_RESULTS_H

#include "control/cli/cli.h"

/* All pages of a list, in the format that is asked for; `empty` stands for a table without rows. */
enum rg_cli_status rg_results_list(struct rg_cli *cli, const char *what, const char *path,
                                   const struct rg_output_column *columns, unsigned n, const char *empty);

/* What a command has done: a line for people, `outcome` (consumed) for programs. */
enum rg_cli_status rg_results_done(const struct rg_cli *cli, json_t *outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * A secret that the platform has made and shows this once: alone on standard output, so that it can be put into a file;
 * `note` goes to standard error. answer is consumed; `member` of it has the secret.
 */
enum rg_cli_status rg_results_secret(const struct rg_cli *cli, json_t *answer, const char *member, const char *note);

/* --expires as expiresAt of a body. false: complained of. */
bool rg_results_set_expiry(const struct rg_cli *cli, json_t *body);

#endif
