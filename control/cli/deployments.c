/*
 * `rgctl deployments`, `history`, `undeploy`, `restore`: an artifact's deployments after they were made. Thread: one.
 */
#include <stdlib.h>
#include <string.h>

#include "control/cli/commands.h"
#include "control/cli/reference.h"
#include "control/cli/wait.h"
#include "control/common/instant.h"
#include "control/common/loop.h"

#define STATUS_WIDTH 11u /* of UNDEPLOYING, the longest */

/* One call's artifact, and its deployments, newest first as the platform lists them. */
struct subject {
    struct rg_cli_reference artifact;
    json_t *deployments;
    const char *id; /* the operand that names one; NULL: none was given */
};

static bool take_operands(const struct rg_cli_operands *operands, bool has_id, struct subject *ret)
{
    unsigned used;
    bool by_slash = strchr(operands->list[0], '/') != NULL;
    *ret = (struct subject){0};
    if (!rg_reference_take(operands, true, true, &ret->artifact, &used))
        return false;
    if (used < operands->n && has_id && by_slash)
        ret->id = operands->list[used++];
    if (used < operands->n) {
        rg_cli_complain("got \"%s\" after %s, wanted nothing more", operands->list[used], operands->list[0]);
        return false;
    }
    return true;
}

/* verb: what is asked for, which is for the complaint. */
static enum rg_cli_status load(struct rg_cli *cli, struct subject *s, const char *verb)
{
    const struct rg_flag_values *gateways = &cli->options.gateways;
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 64];
    if (gateways->n > 1) {
        rg_cli_complain("--gateway: got %u of them, wanted one", gateways->n);
        return RG_CLI_USAGE;
    }
    snprintf(what, sizeof(what), "%s %s/%s", verb, s->artifact.kind->name, s->artifact.name);
    const char *collection = s->artifact.kind->collection, *name = s->artifact.name, *status = cli->options.status;
    if (gateways->n == 1 && status)
        rg_cli_path(path, "/%s/%s/deployments?gatewayId=%s&status=%s", collection, name, gateways->list[0], status);
    else if (gateways->n == 1)
        rg_cli_path(path, "/%s/%s/deployments?gatewayId=%s", collection, name, gateways->list[0]);
    else if (status)
        rg_cli_path(path, "/%s/%s/deployments?status=%s", collection, name, status);
    else
        rg_cli_path(path, "/%s/%s/deployments", collection, name);
    return rg_cli_list(cli, what, path, &s->deployments);
}

/* By a beginning of its id that is no other's. */
static const json_t *find(const struct subject *s, const char *id)
{
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(s->deployments); i++) {
        const json_t *d = json_array_get(s->deployments, i);
        const char *known = rg_cli_text(d, "deploymentId");
        if (strncmp(known, id, strlen(id)) != 0)
            continue;
        if (strcmp(known, id) == 0)
            return d;
        if (found) {
            rg_cli_complain("got %s, which several deployments begin with; wanted more of the id", id);
            return NULL;
        }
        found = d;
    }
    if (!found)
        rg_cli_complain("%s/%s has no deployment %s; rgctl deployments %s/%s lists them", s->artifact.kind->name,
                        s->artifact.name, id, s->artifact.kind->singular, s->artifact.name);
    return found;
}

enum rg_cli_status rg_cli_deployments(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    static const struct rg_output_column columns[] = {
        {"DEPLOYMENT", "deploymentId", RG_OUTPUT_PLAIN},
        {"NAME", "name", RG_OUTPUT_PLAIN},
        {"GATEWAY", "gatewayId", RG_OUTPUT_PLAIN},
        {"STATUS", "status", RG_OUTPUT_STATUS},
        {"LIVE", "live", RG_OUTPUT_YES_NO},
        {"CREATED (UTC)", "createdAt", RG_OUTPUT_INSTANT},
        {"REASON", "statusReason", RG_OUTPUT_PLAIN},
        {"MESSAGE", "statusMessage", RG_OUTPUT_PLAIN},
    };
    struct subject s;
    if (!take_operands(operands, false, &s))
        return RG_CLI_USAGE;
    enum rg_cli_status status = load(cli, &s, "list the deployments of");
    if (status == RG_CLI_DONE && cli->style.format == RG_OUTPUT_TABLE)
        rg_output_table(&cli->style, columns, sizeof(columns) / sizeof(columns[0]), s.deployments, "No deployments.",
                        stdout);
    else if (status == RG_CLI_DONE)
        rg_output_value(cli->style.format, s.deployments, stdout);
    json_decref(s.deployments);
    return status;
}

/* ---- history ---- */

static enum rg_cli_status append_history(struct rg_cli *cli, const struct subject *s, const json_t *deployment,
                                         json_t *all)
{
    const char *id = rg_cli_text(deployment, "deploymentId");
    char path[RG_CLI_PATH_MAX], what[160];
    json_t *events = NULL;
    snprintf(what, sizeof(what), "read the history of deployment %.60s", id);
    rg_cli_path(path, "/%s/%s/deployments/%s/events", s->artifact.kind->collection, s->artifact.name, id);
    enum rg_cli_status status = rg_cli_list(cli, what, path, &events);
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *event = json_array_get(events, i);
        if (!json_object_get(event, "deploymentId"))
            json_object_set_new(event, "deploymentId", json_string(id));
        if (!json_object_get(event, "gatewayId"))
            json_object_set(event, "gatewayId", json_object_get(deployment, "gatewayId"));
        json_array_append(all, event);
    }
    json_decref(events);
    return status;
}

static void print_event(const struct rg_cli *cli, const json_t *event)
{
    const char *status = rg_cli_text(event, "toStatus");
    const char *words[] = {rg_cli_text(event, "actor"), rg_cli_text(event, "instance"), rg_cli_text(event, "errorCode"),
                           rg_cli_text(event, "errorMessage")};
    rg_output_padded(rg_cli_text(event, "at"), 40, 24, stdout);
    rg_output_padded(rg_cli_text(event, "deploymentId"), RG_CLI_SHORT_ID, 0, stdout);
    rg_output_padded(rg_cli_text(event, "event"), 40, 14, stdout);
    rg_output_status(status, cli->style.color, stdout);
    fprintf(stdout, "%*s", (int)(STATUS_WIDTH - strnlen(status, STATUS_WIDTH)), "");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        fputs(words[i][0] ? "  " : "", stdout);
        rg_output_text(words[i], 2000, stdout);
    }
    fputc('\n', stdout);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = 0, y = 0;
    rg_instant_parse(rg_str_of(rg_cli_text(*(json_t *const *)a, "at")), &x);
    rg_instant_parse(rg_str_of(rg_cli_text(*(json_t *const *)b, "at")), &y);
    if (x != y)
        return x < y ? -1 : 1;
    json_int_t first = json_integer_value(json_object_get(*(json_t *const *)a, "id"));
    json_int_t second = json_integer_value(json_object_get(*(json_t *const *)b, "id"));
    return first < second ? -1 : first > second;
}

/* A new array; NULL: no memory. What several deployments did to each other is read in the order of time. */
static json_t *sort_history(const json_t *all)
{
    size_t n = json_array_size(all);
    json_t **events = calloc(n > 0 ? n : 1, sizeof(*events)), *sorted = events ? json_array() : NULL;
    for (size_t i = 0; sorted && i < n; i++)
        events[i] = json_array_get(all, i);
    if (sorted)
        qsort(events, n, sizeof(*events), by_time);
    for (size_t i = 0; sorted && i < n; i++)
        json_array_append(sorted, events[i]);
    free(events);
    return sorted;
}

static void print_history(const struct rg_cli *cli, const json_t *all)
{
    if (cli->style.format != RG_OUTPUT_TABLE) {
        rg_output_value(cli->style.format, all, stdout);
        return;
    }
    if (json_array_size(all) == 0)
        printf("Nothing has happened.\n");
    for (size_t i = 0; i < json_array_size(all); i++)
        print_event(cli, json_array_get(all, i));
}

enum rg_cli_status rg_cli_history(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct subject s;
    json_t *all = json_array();
    const json_t *one = NULL;
    enum rg_cli_status status = take_operands(operands, true, &s) ? load(cli, &s, "show the history of") : RG_CLI_USAGE;
    if (status == RG_CLI_DONE && s.id && !(one = find(&s, s.id)))
        status = RG_CLI_FAILED;
    for (size_t i = json_array_size(s.deployments); status == RG_CLI_DONE && i-- > 0;) { /* the oldest first */
        const json_t *d = json_array_get(s.deployments, i);
        if (!one || d == one)
            status = append_history(cli, &s, d, all);
    }
    json_t *sorted = sort_history(all);
    if (status == RG_CLI_DONE)
        print_history(cli, sorted);
    json_decref(sorted);
    json_decref(all);
    json_decref(s.deployments);
    return status;
}

/* ---- undeploy, restore ---- */

static bool is_status(const json_t *deployment, const char *status)
{
    return strcmp(rg_cli_text(deployment, "status"), status) == 0;
}

static bool can_undeploy(const json_t *d)
{
    return is_status(d, "DEPLOYED") || is_status(d, "DEPLOYING") || is_status(d, "FAILED");
}

static bool can_restore(const json_t *d)
{
    return is_status(d, "UNDEPLOYED") || is_status(d, "ARCHIVED");
}

/* The newest that fits, where all that fit are of one gateway. */
static const json_t *choose(const struct rg_cli *cli, const struct subject *s, bool (*fits)(const json_t *d),
                            const char *none)
{
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(s->deployments); i++) {
        const json_t *d = json_array_get(s->deployments, i);
        if (!fits(d))
            continue;
        if (found && strcmp(rg_cli_text(found, "gatewayId"), rg_cli_text(d, "gatewayId")) != 0) {
            rg_cli_complain("%s/%s has such deployments on %s and on %s: choose with --gateway NAME",
                            s->artifact.kind->name, s->artifact.name, rg_cli_text(found, "gatewayId"),
                            rg_cli_text(d, "gatewayId"));
            return NULL;
        }
        /* what was undeployed comes before what was replaced */
        if (!found || (is_status(d, "UNDEPLOYED") && !is_status(found, "UNDEPLOYED")))
            found = d;
    }
    if (!found)
        rg_cli_complain("%s/%s %s on %s", s->artifact.kind->name, s->artifact.name, none,
                        cli->options.gateways.n > 0 ? cli->options.gateways.list[0] : "any gateway");
    return found;
}

static enum rg_cli_status await(struct rg_cli *cli, const struct rg_wait *wait)
{
    json_t *last = NULL;
    enum rg_cli_status s = rg_wait_for(cli, wait, &last);
    if (s == RG_CLI_DONE)
        rg_cli_tell(cli, "%s/%s %s on %s (deployment %s)", wait->artifact->kind->name, wait->artifact->name,
                    wait->wanted, wait->gateway, wait->deployment);
    else if (s == RG_CLI_TIMED_OUT)
        rg_wait_complain(cli, wait, last);
    else if (last)
        rg_wait_explain(cli, wait, last);
    if (last && cli->style.format != RG_OUTPUT_TABLE)
        rg_output_value(cli->style.format, last, stdout);
    json_decref(last);
    return s;
}

/* --no-wait: what the platform has answered. */
static void tell_requested(const struct rg_cli *cli, const struct rg_wait *wait, const json_t *answer)
{
    const struct rg_cli_reference *r = wait->artifact;
    rg_cli_tell(cli, "%s/%s %s on %s (deployment %s); rgctl deployments %s/%s shows what comes of it", r->kind->name,
                r->name, rg_cli_text(answer, "status"), wait->gateway, wait->deployment, r->kind->singular, r->name);
    if (cli->style.format != RG_OUTPUT_TABLE)
        rg_output_value(cli->style.format, answer, stdout);
}

/* verb: "undeploy" or "restore". */
static enum rg_cli_status move(struct rg_cli *cli, const struct subject *s, const json_t *d, const char *verb,
                               const char *wanted)
{
    struct rg_wait wait = {.artifact = &s->artifact,
                           .deployment = rg_cli_text(d, "deploymentId"),
                           .gateway = rg_cli_text(d, "gatewayId"),
                           .wanted = wanted,
                           .deadline_ms = rg_now_ms() + cli->timeout_ms};
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 128];
    snprintf(what, sizeof(what), "%s %s/%s", verb, s->artifact.kind->name, s->artifact.name);
    rg_cli_path(path, "/%s/%s/deployments/%s/%s?gatewayId=%s", s->artifact.kind->collection, s->artifact.name,
                wait.deployment, verb, wait.gateway);
    json_t *answer = NULL;
    enum rg_cli_status status = rg_cli_call(cli, what, "POST", path, NULL, &answer);
    if (status == RG_CLI_DONE && cli->options.no_wait)
        tell_requested(cli, &wait, answer);
    else if (status == RG_CLI_DONE)
        status = await(cli, &wait);
    json_decref(answer);
    return status;
}

static bool is_of(const json_t *d, const json_t *other)
{
    return strcmp(rg_cli_text(d, "gatewayId"), rg_cli_text(other, "gatewayId")) == 0;
}

static enum rg_cli_status look_back(struct rg_cli *cli, const struct subject *s, const json_t *d, bool *ret_was_live)
{
    json_t *events = json_array();
    enum rg_cli_status status = append_history(cli, s, d, events);
    *ret_was_live = false;
    for (size_t i = 0; i < json_array_size(events); i++)
        *ret_was_live |= strcmp(rg_cli_text(json_array_get(events, i), "toStatus"), "DEPLOYED") == 0;
    json_decref(events);
    return status;
}

/* What was asked for last may have failed, and would again: of the same gateway's, the newest that was ever live. */
static enum rg_cli_status prefer_live(struct rg_cli *cli, const struct subject *s, const json_t **chosen)
{
    bool was_live;
    const json_t *first = *chosen;
    enum rg_cli_status status = look_back(cli, s, first, &was_live);
    for (size_t i = 0; status == RG_CLI_DONE && !was_live && i < json_array_size(s->deployments); i++) {
        const json_t *d = json_array_get(s->deployments, i);
        if (d == first || !can_restore(d) || !is_of(d, first))
            continue;
        status = look_back(cli, s, d, &was_live);
        if (was_live)
            *chosen = d;
    }
    return status;
}

enum rg_cli_status rg_cli_undeploy(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct subject s;
    enum rg_cli_status status = take_operands(operands, false, &s) ? load(cli, &s, "undeploy") : RG_CLI_USAGE;
    if (status == RG_CLI_DONE) {
        const json_t *d = choose(cli, &s, can_undeploy, "is not deployed");
        status = d ? move(cli, &s, d, "undeploy", "UNDEPLOYED") : RG_CLI_FAILED;
    }
    json_decref(s.deployments);
    return status;
}

enum rg_cli_status rg_cli_restore(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct subject s;
    enum rg_cli_status status = take_operands(operands, true, &s) ? load(cli, &s, "restore") : RG_CLI_USAGE;
    if (status == RG_CLI_DONE) {
        const json_t *d = s.id ? find(&s, s.id) : choose(cli, &s, can_restore, "has no earlier deployment");
        status = d ? RG_CLI_DONE : RG_CLI_FAILED;
        if (d && !s.id)
            status = prefer_live(cli, &s, &d);
        if (status == RG_CLI_DONE)
            status = move(cli, &s, d, "restore", "DEPLOYED");
    }
    json_decref(s.deployments);
    return status;
}
