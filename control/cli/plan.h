/*
 * What `rgctl apply` is about to do: for each document whether the platform's thing is made, changed or left, and for
 * each of its gateways what is to become of the deployment there. Made by asking alone; nothing is changed before the
 * whole plan is known to be sound.
 *
 * Owner: whoever made it; documents must outlive it. Thread: one.
 */
#ifndef RG_CLI_PLAN_H
#define RG_CLI_PLAN_H

#include "control/cli/gateways.h"

#define RG_DEPLOYMENT_ID_MAX 64u

enum rg_plan_action { RG_PLAN_CREATE, RG_PLAN_UPDATE, RG_PLAN_UNCHANGED };

enum rg_plan_todo {
    RG_PLAN_DEPLOY,
    RG_PLAN_AWAIT,    /* an equal deployment is on its way */
    RG_PLAN_LIVE,     /* nothing to do */
    RG_PLAN_UNDEPLOY, /* the file says so */
    RG_PLAN_ABSENT,   /* the same, and it is not there */
};

struct rg_plan_target {
    char gateway[RG_CLI_NAME_MAX];
    enum rg_plan_todo todo;
    char deployment[RG_DEPLOYMENT_ID_MAX]; /* the present one; once deployed, the new one; "": none */
    int64_t performed_ns;                  /* when the present one was last asked for; INT64_MIN: it is not known */
    uint64_t since_ms;                     /* when it was asked for */
    enum rg_cli_status status;
    bool is_known;  /* that it is done, not only asked for */
    json_t *reason; /* why it failed, for programs: an error of the report; NULL: it did not, or nobody said */
};

struct rg_plan_item {
    const struct rg_document *document;
    struct rg_cli_reference reference;
    json_t *body;
    enum rg_plan_action action;
    bool failed;    /* the thing itself could not be made or changed */
    json_t *reason; /* why, for programs; NULL: it did not fail */
    struct rg_plan_target *targets;
    unsigned n_targets;
    unsigned rank; /* the plan's order */
};

struct rg_plan {
    struct rg_plan_item *items; /* what refers to others comes after them */
    unsigned n;
    json_t *gateways; /* as known, with those that the plan makes */
};

/* RG_CLI_USAGE: a document is wrong, or where it goes is not said. The plan is to be fini'd in any case. */
enum rg_cli_status rg_plan_make(struct rg_cli *cli, const struct rg_documents *documents, struct rg_plan *ret);
void rg_plan_fini(struct rg_plan *plan);

/* What is live with the old value of a secret that was replaced is to be deployed again; a part of rg_plan_make. */
enum rg_cli_status rg_plan_heed_secrets(struct rg_cli *cli, struct rg_plan *plan);

/* For people. */
void rg_plan_print(const struct rg_cli *cli, const struct rg_plan *plan, FILE *out);

const char *rg_plan_action_name(enum rg_plan_action action);
/* An array: an object for each item and gateway. `applied`: with results. */
json_t *rg_plan_json(const struct rg_plan *plan, bool applied);

#endif
