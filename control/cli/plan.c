/* See plan.h. */
#include "control/cli/plan.h"

#include <stdlib.h>
#include <string.h>

#include "control/common/instant.h"

/* What others refer to comes before them, and goes after them. */
static unsigned rank_of(const struct rg_plan_item *item)
{
    for (unsigned i = 0; i < item->n_targets; i++)
        if (item->targets[i].todo == RG_PLAN_UNDEPLOY && item->document->kind->rank < RG_CLI_RANK_LAST)
            return 2 * RG_CLI_RANK_LAST - item->document->kind->rank;
    return item->document->kind->rank;
}

static int by_rank(const void *a, const void *b)
{
    const struct rg_plan_item *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->document < y->document ? -1 : 1; /* the order of the files */
}

static bool make_items(const struct rg_documents *documents, struct rg_plan *plan)
{
    bool ok = true;
    plan->items = calloc(documents->n, sizeof(*plan->items));
    if (!plan->items) {
        rg_cli_complain("no memory for the plan");
        return false;
    }
    for (unsigned i = 0; i < documents->n; i++) {
        const struct rg_document *d = &documents->list[i];
        struct rg_plan_item *item = &plan->items[plan->n++];
        item->document = d;
        item->reference.kind = d->kind;
        snprintf(item->reference.name, sizeof(item->reference.name), "%s", d->name);
        item->body = rg_body_of(d);
        ok = item->body && ok;
    }
    return ok;
}

/* Gateways that the files describe can be deployed to in the same run. */
static void add_planned_gateways(struct rg_plan *plan)
{
    for (unsigned i = 0; i < plan->n; i++) {
        const struct rg_plan_item *item = &plan->items[i];
        if (item->document->kind == rg_cli_gateways && !rg_gateways_find(plan->gateways, item->reference.name))
            json_array_append_new(plan->gateways, json_pack("{s:s}", "id", item->reference.name));
    }
}

static bool choose_targets(const struct rg_cli *cli, const struct rg_plan *plan, struct rg_plan_item *item)
{
    struct rg_gateway_names names;
    char place[700], where[1000];
    if (!item->document->kind->deployable)
        return true;
    rg_document_place(item->document, "metadata", place, sizeof(place));
    snprintf(where, sizeof(where), "%s: %s/%s", place, item->document->kind->name, item->reference.name);
    if (!rg_gateways_choose(cli, rg_body_gateways(item->document), plan->gateways, where, &names))
        return false;
    item->targets = calloc(names.n, sizeof(*item->targets));
    if (!item->targets)
        return false;
    item->n_targets = names.n;
    for (unsigned i = 0; i < names.n; i++)
        snprintf(item->targets[i].gateway, sizeof(item->targets[i].gateway), "%s", names.list[i]);
    return true;
}

/* ---- what the platform has ---- */

/* The one of a gateway's deployments that is not of the past. */
static const json_t *present_of(const json_t *deployments, const char *gateway)
{
    for (size_t i = 0; i < json_array_size(deployments); i++) {
        const json_t *d = json_array_get(deployments, i);
        if (strcmp(rg_cli_text(d, "gatewayId"), gateway) == 0 && strcmp(rg_cli_text(d, "status"), "ARCHIVED") != 0)
            return d;
    }
    return NULL;
}

/* A deployment is a copy of the artifact as it was then. */
static bool is_of_now(const json_t *deployment, const json_t *existing)
{
    int64_t made, changed;
    return rg_instant_parse(rg_str_of(rg_cli_text(deployment, "createdAt")), &made) &&
           rg_instant_parse(rg_str_of(rg_cli_text(existing, "updatedAt")), &changed) && made >= changed;
}

static int64_t performed_at(const json_t *deployment)
{
    const char *last = rg_cli_text(deployment, "performedAt");
    int64_t at;
    if (!last[0])
        last = rg_cli_text(deployment, "createdAt");
    return rg_instant_parse(rg_str_of(last), &at) ? at : INT64_MIN;
}

static void decide(const struct rg_plan_item *item, struct rg_plan_target *t, const json_t *present,
                   const json_t *existing)
{
    const char *status = rg_cli_text(present, "status");
    bool is_gone = !present || strcmp(status, "UNDEPLOYED") == 0;
    bool is_equal = item->action == RG_PLAN_UNCHANGED && present && is_of_now(present, existing);
    snprintf(t->deployment, sizeof(t->deployment), "%s", rg_cli_text(present, "deploymentId"));
    t->performed_ns = performed_at(present);
    if (rg_body_is_undeployed(item->document))
        t->todo = is_gone ? RG_PLAN_ABSENT : RG_PLAN_UNDEPLOY;
    else if (is_equal && strcmp(status, "DEPLOYED") == 0)
        t->todo = RG_PLAN_LIVE;
    else if (is_equal && strcmp(status, "DEPLOYING") == 0)
        t->todo = RG_PLAN_AWAIT;
    else
        t->todo = RG_PLAN_DEPLOY;
    t->is_known = t->todo == RG_PLAN_LIVE || t->todo == RG_PLAN_ABSENT;
}

static enum rg_cli_status look(struct rg_cli *cli, struct rg_plan_item *item)
{
    const struct rg_cli_kind *kind = item->document->kind;
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 64];
    json_t *existing = NULL, *deployments = NULL;
    snprintf(what, sizeof(what), "look at %s/%s", kind->name, item->reference.name);
    enum rg_cli_status s =
        rg_cli_find(cli, what, rg_cli_path(path, "/%s/%s", kind->collection, item->reference.name), &existing);
    if (s != RG_CLI_DONE)
        return s;
    item->action = !existing                               ? RG_PLAN_CREATE
                   : rg_body_is_same(item->body, existing) ? RG_PLAN_UNCHANGED
                                                           : RG_PLAN_UPDATE;
    if (existing && item->n_targets > 0)
        s = rg_cli_list(cli, what, rg_cli_path(path, "/%s/%s/deployments", kind->collection, item->reference.name),
                        &deployments);
    for (unsigned i = 0; s == RG_CLI_DONE && i < item->n_targets; i++)
        decide(item, &item->targets[i], present_of(deployments, item->targets[i].gateway), existing);
    json_decref(deployments);
    json_decref(existing);
    return s;
}

enum rg_cli_status rg_plan_make(struct rg_cli *cli, const struct rg_documents *documents, struct rg_plan *ret)
{
    bool ok;
    *ret = (struct rg_plan){0};
    ok = make_items(documents, ret);
    if (!ok)
        return RG_CLI_USAGE;
    enum rg_cli_status s = rg_cli_list(cli, "list gateways", "/gateways", &ret->gateways);
    if (s != RG_CLI_DONE)
        return s;
    add_planned_gateways(ret);
    for (unsigned i = 0; i < ret->n; i++)
        ok = choose_targets(cli, ret, &ret->items[i]) && ok;
    for (unsigned i = 0; ok && s == RG_CLI_DONE && i < ret->n; i++)
        s = look(cli, &ret->items[i]);
    if (ok && s == RG_CLI_DONE)
        s = rg_plan_heed_secrets(cli, ret);
    for (unsigned i = 0; i < ret->n; i++)
        ret->items[i].rank = rank_of(&ret->items[i]);
    qsort(ret->items, ret->n, sizeof(*ret->items), by_rank);
    return ok ? s : RG_CLI_USAGE;
}

void rg_plan_fini(struct rg_plan *plan)
{
    for (unsigned i = 0; i < plan->n; i++) {
        json_decref(plan->items[i].body);
        json_decref(plan->items[i].reason);
        for (unsigned t = 0; t < plan->items[i].n_targets; t++)
            json_decref(plan->items[i].targets[t].reason);
        free(plan->items[i].targets);
    }
    free(plan->items);
    json_decref(plan->gateways);
}

/* ---- shown ---- */

const char *rg_plan_action_name(enum rg_plan_action action)
{
    static const char *const names[] = {"create", "update", "unchanged"};
    return names[action];
}

static const char *todo_name(enum rg_plan_todo todo)
{
    static const char *const names[] = {"deploy to", "being deployed to", "live on", "undeploy from", "not on"};
    return names[todo];
}

void rg_plan_print(const struct rg_cli *cli, const struct rg_plan *plan, FILE *out)
{
    fputs("Plan:\n", out);
    for (unsigned i = 0; i < plan->n; i++) {
        const struct rg_plan_item *item = &plan->items[i];
        const char *action = rg_plan_action_name(item->action);
        fputs("  ", out);
        rg_output_status(action, cli->style.color, out);
        fprintf(out, "%*s%s/", (int)(strlen("unchanged") - strlen(action) + 2), "", item->document->kind->name);
        rg_output_text(item->reference.name, RG_CLI_NAME_MAX, out);
        for (unsigned t = 0; t < item->n_targets; t++) {
            const struct rg_plan_target *target = &item->targets[t];
            bool waits = target->todo == RG_PLAN_DEPLOY && !rg_gateways_are_connected(plan->gateways, target->gateway);
            fprintf(out, "%s %s ", t > 0 ? "," : ":", todo_name(target->todo));
            rg_output_text(target->gateway, RG_CLI_NAME_MAX, out);
            fputs(waits ? " (not connected now)" : "", out);
        }
        fputc('\n', out);
    }
}

static json_t *item_json(const struct rg_plan_item *item)
{
    return json_pack("{s:s,s:s,s:s}", "kind", item->document->kind->name, "name", item->reference.name, "action",
                     rg_plan_action_name(item->action));
}

static const char *result_name(const struct rg_plan_target *t)
{
    bool is_gone = t->todo == RG_PLAN_UNDEPLOY || t->todo == RG_PLAN_ABSENT;
    if (t->status == RG_CLI_DONE && !t->is_known)
        return "requested";
    if (t->status == RG_CLI_DONE)
        return is_gone ? "undeployed" : "live";
    return t->status == RG_CLI_TIMED_OUT ? "timed out" : "failed";
}

static json_t *target_json(const struct rg_plan_item *item, const struct rg_plan_target *target, bool applied)
{
    static const char *const todos[] = {"deploy", "await", "none", "undeploy", "none"};
    json_t *row = json_pack("{s:s,s:s}", "gateway", target->gateway, "todo", todos[target->todo]);
    if (!applied)
        return row;
    if (target->deployment[0])
        json_object_set_new(row, "deploymentId", json_string(target->deployment));
    json_object_set_new(row, "result", json_string(item->failed ? "failed" : result_name(target)));
    if (target->reason)
        json_object_set(row, "reason", target->reason);
    return row;
}

/* The thing itself, or its deployment to a gateway. */
static bool has_failed(const struct rg_plan_item *item)
{
    bool failed = item->failed;
    for (unsigned t = 0; t < item->n_targets; t++)
        failed |= item->targets[t].status == RG_CLI_FAILED;
    return failed;
}

json_t *rg_plan_json(const struct rg_plan *plan, bool applied)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < plan->n; i++) {
        const struct rg_plan_item *item = &plan->items[i];
        json_t *row = item_json(item), *targets = json_array();
        for (unsigned t = 0; t < item->n_targets; t++)
            json_array_append_new(targets, target_json(item, &item->targets[t], applied));
        if (applied)
            json_object_set_new(row, "failed", json_boolean(has_failed(item)));
        if (item->reason)
            json_object_set(row, "reason", item->reason);
        json_object_set_new(row, "gateways", targets);
        json_array_append_new(all, row);
    }
    return all;
}
