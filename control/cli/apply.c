/*
 * `rgctl apply`: read everything, plan everything, then do it in the order in which things refer to each other. Those
 * of one rank are asked for together and awaited together; what fails is said with its place in the file and does not
 * keep the others from being done.
 */
#include <time.h>

#include "control/cli/commands.h"
#include "control/cli/plan.h"
#include "control/cli/wait.h"
#include "control/common/loop.h"

/* The worst of several: failed before timed out, because it is decided. */
static enum rg_cli_status worse(enum rg_cli_status a, enum rg_cli_status b)
{
    if (a == RG_CLI_FAILED || b == RG_CLI_FAILED)
        return RG_CLI_FAILED;
    return a > b ? a : b;
}

/* ---- the thing itself ---- */

static void place_of(const void *owner, const char *field, struct rg_cli_place *ret)
{
    const struct rg_plan_item *item = owner;
    ret->path[0] = '\0';
    if (field[0])
        rg_body_path(item->document, field, ret->path);
    rg_document_place(item->document, ret->path, ret->place, sizeof(ret->place));
}

/* What the platform refuses is told with its places in the file, at once and in the outcome for programs. */
static enum rg_cli_status ask(struct rg_cli *cli, struct rg_plan_item *item, json_t **reason, const char *what,
                              const char *method, const char *path, const json_t *body, json_t **ret)
{
    cli->place = place_of;
    cli->place_owner = item;
    enum rg_cli_status s = rg_cli_call(cli, what, method, path, body, ret);
    cli->place = NULL;
    if (s != RG_CLI_DONE)
        *reason = json_incref(rg_report_newest());
    return s;
}

static void settle(struct rg_cli *cli, struct rg_plan_item *item)
{
    const struct rg_cli_kind *kind = item->document->kind;
    bool is_new = item->action == RG_PLAN_CREATE;
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 64];
    if (item->action == RG_PLAN_UNCHANGED)
        return;
    snprintf(what, sizeof(what), "%s %s/%s", rg_plan_action_name(item->action), kind->name, item->reference.name);
    if (is_new)
        rg_cli_path(path, "/%s", kind->collection);
    else
        rg_cli_path(path, "/%s/%s", kind->collection, item->reference.name);
    item->failed = ask(cli, item, &item->reason, what, is_new ? "POST" : "PUT", path, item->body, NULL) != RG_CLI_DONE;
    if (!item->failed)
        rg_cli_tell(cli, "%s/%s %s", kind->name, item->reference.name, is_new ? "created" : "updated");
}

/* ---- its deployments ---- */

static json_t *deployment_body(const struct rg_plan_target *t)
{
    char name[32];
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(name, sizeof(name), "apply-%Y%m%d-%H%M%S", &tm);
    return json_pack("{s:s,s:s,s:s}", "name", name, "base", "current", "gatewayId", t->gateway);
}

static void deploy(struct rg_cli *cli, struct rg_plan_item *item, struct rg_plan_target *t)
{
    const struct rg_cli_kind *kind = item->document->kind;
    char path[RG_CLI_PATH_MAX], what[2 * RG_CLI_NAME_MAX + 64];
    json_t *body = deployment_body(t), *answer = NULL;
    snprintf(what, sizeof(what), "deploy %s/%s to %s", kind->name, item->reference.name, t->gateway);
    rg_cli_path(path, "/%s/%s/deployments", kind->collection, item->reference.name);
    t->status = ask(cli, item, &t->reason, what, "POST", path, body, &answer);
    snprintf(t->deployment, sizeof(t->deployment), "%s", rg_cli_text(answer, "deploymentId"));
    json_decref(answer);
    json_decref(body);
}

static void undeploy(struct rg_cli *cli, struct rg_plan_item *item, struct rg_plan_target *t)
{
    const struct rg_cli_kind *kind = item->document->kind;
    char path[RG_CLI_PATH_MAX], what[2 * RG_CLI_NAME_MAX + 64];
    snprintf(what, sizeof(what), "undeploy %s/%s from %s", kind->name, item->reference.name, t->gateway);
    rg_cli_path(path, "/%s/%s/deployments/%s/undeploy?gatewayId=%s", kind->collection, item->reference.name,
                t->deployment, t->gateway);
    t->status = ask(cli, item, &t->reason, what, "POST", path, NULL, NULL);
}

static void begin(struct rg_cli *cli, struct rg_plan_item *item)
{
    settle(cli, item);
    for (unsigned i = 0; i < item->n_targets; i++) {
        struct rg_plan_target *t = &item->targets[i];
        t->since_ms = rg_now_ms();
        if (item->failed)
            t->status = RG_CLI_FAILED;
        else if (t->todo == RG_PLAN_DEPLOY)
            deploy(cli, item, t);
        else if (t->todo == RG_PLAN_UNDEPLOY)
            undeploy(cli, item, t);
    }
}

/* ---- what became of them ---- */

static void explain(struct rg_cli *cli, const struct rg_plan_item *item, const struct rg_wait *wait,
                    const json_t *deployment, json_t **ret_reason)
{
    cli->place = place_of;
    cli->place_owner = item;
    rg_wait_explain(cli, wait, deployment);
    cli->place = NULL;
    *ret_reason = json_incref(rg_report_newest());
}

static void await(struct rg_cli *cli, const struct rg_plan_item *item, struct rg_plan_target *t)
{
    bool is_undeploy = t->todo == RG_PLAN_UNDEPLOY;
    struct rg_wait wait = {.artifact = &item->reference,
                           .deployment = t->deployment,
                           .gateway = t->gateway,
                           .wanted = is_undeploy ? "UNDEPLOYED" : "DEPLOYED",
                           .deadline_ms = t->since_ms + cli->timeout_ms};
    json_t *last = NULL;
    t->status = rg_wait_for(cli, &wait, &last);
    t->is_known = true;
    if (t->status == RG_CLI_DONE)
        rg_cli_tell(cli, "%s/%s %s %s (%llu ms, deployment %s)", item->document->kind->name, item->reference.name,
                    is_undeploy ? "is no longer served by" : "is live on", t->gateway,
                    (unsigned long long)(rg_now_ms() - t->since_ms), t->deployment);
    else if (t->status == RG_CLI_TIMED_OUT)
        rg_wait_complain(cli, &wait, last);
    else if (last)
        explain(cli, item, &wait, last, &t->reason);
    json_decref(last);
}

static bool is_awaited(const struct rg_cli *cli, const struct rg_plan_target *t)
{
    return !cli->options.no_wait && t->status == RG_CLI_DONE && !t->is_known;
}

static void tell_requested(const struct rg_cli *cli, const struct rg_plan_item *item, const struct rg_plan_target *t)
{
    bool is_asked_for = t->status == RG_CLI_DONE && !t->is_known && t->deployment[0];
    if (cli->options.no_wait && is_asked_for)
        rg_cli_tell(cli, "%s/%s was asked %s %s (deployment %s); rgctl deployments %s/%s shows what comes of it",
                    item->document->kind->name, item->reference.name,
                    t->todo == RG_PLAN_UNDEPLOY ? "to leave" : "for on", t->gateway, t->deployment,
                    item->document->kind->singular, item->reference.name);
}

static enum rg_cli_status end(struct rg_cli *cli, struct rg_plan_item *item)
{
    enum rg_cli_status s = item->failed ? RG_CLI_FAILED : RG_CLI_DONE;
    for (unsigned i = 0; i < item->n_targets; i++) {
        struct rg_plan_target *t = &item->targets[i];
        if (is_awaited(cli, t))
            await(cli, item, t);
        else
            tell_requested(cli, item, t);
        s = worse(s, t->status);
    }
    return s;
}

static enum rg_cli_status carry_out(struct rg_cli *cli, struct rg_plan *plan)
{
    enum rg_cli_status s = RG_CLI_DONE;
    for (unsigned first = 0, next; first < plan->n; first = next) {
        unsigned rank = plan->items[first].rank;
        for (next = first; next < plan->n && plan->items[next].rank == rank; next++)
            begin(cli, &plan->items[next]);
        for (unsigned i = first; i < next; i++)
            s = worse(s, end(cli, &plan->items[i]));
    }
    return s;
}

/* ---- the command ---- */

static bool read_files(const struct rg_cli *cli, const struct rg_cli_operands *operands, struct rg_documents *ret)
{
    const struct rg_flag_values *files = &cli->options.files;
    bool ok = true;
    if (files->n + operands->n == 0) {
        rg_cli_complain("apply: got no file, wanted at least one: rgctl apply -f FILE");
        return false;
    }
    for (unsigned i = 0; i < files->n; i++)
        ok = rg_documents_read(ret, files->list[i]) && ok;
    for (unsigned i = 0; i < operands->n; i++)
        ok = rg_documents_read(ret, operands->list[i]) && ok;
    return ok;
}

static void print_json(const struct rg_cli *cli, const struct rg_plan *plan, bool applied)
{
    json_t *all = rg_plan_json(plan, applied);
    rg_output_value(cli->style.format, all, stdout);
    json_decref(all);
}

static enum rg_cli_status apply(struct rg_cli *cli, struct rg_plan *plan)
{
    bool is_table = cli->style.format == RG_OUTPUT_TABLE;
    if (is_table)
        rg_plan_print(cli, plan, stdout);
    if (cli->options.dry_run) {
        if (!is_table)
            print_json(cli, plan, false);
        return RG_CLI_DONE;
    }
    enum rg_cli_status s = carry_out(cli, plan);
    if (!is_table)
        print_json(cli, plan, true);
    return s;
}

enum rg_cli_status rg_cli_apply(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct rg_documents documents;
    struct rg_plan plan = {0};
    enum rg_cli_status s = RG_CLI_USAGE;
    rg_documents_init(&documents);
    if (read_files(cli, operands, &documents))
        s = rg_plan_make(cli, &documents, &plan);
    if (s == RG_CLI_DONE)
        s = apply(cli, &plan);
    rg_plan_fini(&plan);
    rg_documents_fini(&documents);
    return s;
}
