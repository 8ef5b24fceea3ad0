/* Operands that name things: KIND/NAME, or KIND NAME. Thread: one. */
#ifndef RG_CLI_REFERENCE_H
#define RG_CLI_REFERENCE_H

#include "control/cli/cli.h"
#include "control/cli/kinds.h"

/*
 * From the first operand, or the first two. *ret_used is their number. `needs_name`: without one it is refused;
 * `deployable`: other kinds are refused. false: complained of.
 */
bool rg_reference_take(const struct rg_cli_operands *operands, bool needs_name, bool deployable,
                       struct rg_cli_reference *ret, unsigned *ret_used);

#endif
