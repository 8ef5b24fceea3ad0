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
#include "control/common/problems.h"

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

/* Why a deployment failed, from itself or from its history. */
struct rg_wait_reason {
    char code[64], message[2100], path[RG_PROBLEM_PATH_MAX];
};
void rg_wait_reason(struct rg_cli *cli, const struct rg_wait *wait, const json_t *deployment,
                    struct rg_wait_reason *ret);

/* Gateways put the path of the field before what they say of it, too; here it is shown apart. */
const char *rg_wait_without_path(const char *message, const char *path);

/*
 * Gateways tell all problems in one text, with "; " between them: an array of {path, message}, a new reference; NULL:
 * no memory. There is at least one; its path may be "".
 */
json_t *rg_wait_problems(const struct rg_wait_reason *why);

/* A sentence on what to do about a code; "" for those that explain themselves. */
const char *rg_wait_remedy(const char *code);

#endif
