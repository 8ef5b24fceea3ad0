/* The kinds of things that rgctl deals with: how files, commands and the platform's API name them.
 * Thread: any (constant data). */
#ifndef RG_CLI_KINDS_H
#define RG_CLI_KINDS_H

#include "control/cli/output.h"

#define RG_CLI_NAME_MAX 256u
#define RG_CLI_SHORT_ID 13u /* of a deployment's id, where lines are short: the millisecond of its making */

#define RG_CLI_RANK_LAST 3u

struct rg_cli_kind {
    const char *name;       /* of a file: "RestApi" */
    const char *collection; /* of the API: "rest-apis" */
    const char *singular;   /* of a command: "rest-api" */
    bool deployable;
    unsigned rank; /* what refers to another comes after it; at most RG_CLI_RANK_LAST */
    struct rg_output_column columns[RG_OUTPUT_COLUMNS_MAX];
    unsigned n_columns;
};

extern const struct rg_cli_kind rg_cli_kinds[];
extern const unsigned rg_cli_kinds_count;

extern const struct rg_cli_kind *const rg_cli_gateways;

/* A word of the command line; case and hyphens don't matter. NULL: none. */
const struct rg_cli_kind *rg_cli_kind_of(const char *word);
/* kind: of a file, exactly. */
const struct rg_cli_kind *rg_cli_kind_named(const char *name);
const char *rg_cli_kind_meant(const char *word); /* the likely collection; NULL: none is near */

/* One thing of a kind, as the command line names it. */
struct rg_cli_reference {
    const struct rg_cli_kind *kind;
    char name[RG_CLI_NAME_MAX]; /* "": all of the kind */
};

#endif
