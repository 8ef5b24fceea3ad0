/*
 * Waiting for a deployment: polled until the gateway's acknowledgement has decided, at growing intervals, because most
 * are decided within milliseconds and some never.
 *
 * Thread: one.
 */
#ifndef RG_CLI_WAIT_H
#define RG_CLI_WAIT_H

#include "control/cli/cli.h"
#include "control/cli/kinds.h"

/* One deployment of one artifact. Views. */
struct rg_wait {
    const struct rg_cli_reference *artifact;
    const char *deployment;
    const char *gateway;
    const char *wanted;   /* "DEPLOYED" or "UNDEPLOYED" */
    uint64_t deadline_ms; /* on rg_now_ms's clock */
};

/*
 * RG_CLI_DONE: it is as wanted. RG_CLI_FAILED: decided otherwise, or can't be known. RG_CLI_TIMED_OUT. *ret is the
 * deployment as it was seen last (the caller's reference), or NULL; nothing but failures to ask is complained of. A
 * platform that goes away for a while, to be restarted, is asked again.
 */
enum rg_cli_status rg_wait_for(struct rg_cli *cli, const struct rg_wait *wait, json_t **ret);

/* That it was waited for in vain. last: as it was seen last, may be NULL. */
void rg_wait_complain(const struct rg_cli *cli, const struct rg_wait *wait, const json_t *last);

/* That it was decided otherwise, with all that is wrong; with cli->place, where that stands. */
void rg_wait_explain(const struct rg_cli *cli, const struct rg_wait *wait, const json_t *deployment);

#endif
