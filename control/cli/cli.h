/*
 * rgctl: what its commands share. A command is a function that gets the options and operands of one call, talks to the
 * platform and returns the exit status; what went wrong was then said, once, with its remedy (report.h).
 *
 * Standard output has results alone, so that it can be piped; errors go to standard error.
 * Thread: the program has one.
 */
#ifndef RG_CLI_CLI_H
#define RG_CLI_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "control/cli/client.h"
#include "control/cli/options.h"
#include "control/cli/output.h"
#include "control/cli/report.h"

/* Where a field of the API stands in a file. */
struct rg_cli_place {
    char place[700], path[RG_PROBLEM_PATH_MAX];
};

struct rg_cli {
    struct rg_cli_options options;
    struct rg_client client;
    struct rg_output_style style;
    uint64_t timeout_ms;
    /* While a file is applied, for the problems of a refusal. NULL: no file. */
    void (*place)(const void *owner, const char *field, struct rg_cli_place *ret);
    const void *place_owner;
};

struct rg_cli_operands {
    char **list;
    unsigned n;
};

/* Progress, on standard output: silent where only programs read (-o json, -o yaml). */
void rg_cli_tell(const struct rg_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The platform's API, base path included. Each %s of the path is escaped. `what` is what the caller is after ("create
 * RestApi/hello"), for the complaint when the answer is not 2xx. *ret may be NULL where no body is wanted; else the
 * caller's reference (JSON null when the answer had none).
 */
enum rg_cli_status rg_cli_call(struct rg_cli *cli, const char *what, const char *method, const char *path,
                               const json_t *body, json_t **ret);
/* GET. Where there is no such thing (404), RG_CLI_DONE and *ret NULL. */
enum rg_cli_status rg_cli_find(struct rg_cli *cli, const char *what, const char *path, json_t **ret);
/*
 * GET for one who asks again: where the platform can't be reached or is busy, *ret_later is set and nothing is
 * complained of; cli->client.trouble says why.
 */
enum rg_cli_status rg_cli_poll(struct rg_cli *cli, const char *what, const char *path, json_t **ret, bool *ret_later);
/* All pages of a list, as one array. The path may have a query. */
enum rg_cli_status rg_cli_list(struct rg_cli *cli, const char *what, const char *path, json_t **ret);

/* For an answer that is no success: what it says, and the remedy where it is the token. */
void rg_cli_complain_of_answer(const struct rg_cli *cli, const char *what, const struct rg_client_answer *answer);

/* {"field", "message"} of the platform's answer as a problem of the error before; `code` as rg_cli_problem has it. */
void rg_cli_show_problem(const struct rg_cli *cli, const json_t *item, const char *code);

/* A path below /api/v0.9; every %s is a segment or a value of the query, and escaped. Cut paths are refused by the
 * platform as not found, which is what names of such a length are. */
#define RG_CLI_PATH_MAX 1024
const char *rg_cli_path(char buf[RG_CLI_PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A member that is a string, or "". Valid as long as the object. */
const char *rg_cli_text(const json_t *object, const char *member);

#endif
