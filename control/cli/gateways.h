/*
 * Which gateways an artifact goes to. Always said by somebody (the command line, then the file), or there is only one:
 * never guessed. Thread: one.
 */
#ifndef RG_CLI_GATEWAYS_H
#define RG_CLI_GATEWAYS_H

#include "control/cli/body.h"
#include "control/cli/cli.h"

struct rg_gateway_names {
    char list[RG_GATEWAYS_MAX][RG_CLI_NAME_MAX];
    unsigned n;
};

/*
 * For --gateway, or else `said` (names separated by commas, may be NULL), or else the only one of `known` (an array of
 * gateways). `where` names what is about to go there, for complaints. false: complained of.
 */
bool rg_gateways_choose(const struct rg_cli *cli, const char *said, const json_t *known, const char *where,
                        struct rg_gateway_names *ret);

/* The gateway of that name; NULL: not in the array. */
const json_t *rg_gateways_find(const json_t *known, const char *name);

bool rg_gateways_are_connected(const json_t *known, const char *name);

#endif
