/* `rgctl get`, `list`, `delete`: what the platform has, of any kind. Thread: one. */
#include "control/cli/body.h"
#include "control/cli/commands.h"
#include "control/cli/reference.h"
#include "control/cli/results.h"

/* As a file that can be applied. A table of one row would show less than is asked for, so that is YAML. */
static enum rg_cli_status get_one(struct rg_cli *cli, const struct rg_cli_reference *r)
{
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 64];
    json_t *value = NULL;
    snprintf(what, sizeof(what), "get %s/%s", r->kind->name, r->name);
    rg_cli_path(path, "/%s/%s", r->kind->collection, r->name);
    enum rg_cli_status s = rg_cli_call(cli, what, "GET", path, NULL, &value);
    json_t *document = s == RG_CLI_DONE ? rg_body_to_document(r->kind, value) : NULL;
    if (s == RG_CLI_DONE)
        rg_output_value(cli->style.format == RG_OUTPUT_JSON ? RG_OUTPUT_JSON : RG_OUTPUT_YAML, document, stdout);
    json_decref(document);
    json_decref(value);
    return s;
}

static enum rg_cli_status get_all(struct rg_cli *cli, const struct rg_cli_kind *kind)
{
    char path[RG_CLI_PATH_MAX], what[64], empty[64];
    snprintf(what, sizeof(what), "list %s", kind->collection);
    snprintf(empty, sizeof(empty), "No %s.", kind->collection);
    rg_cli_path(path, "/%s", kind->collection);
    return rg_results_list(cli, what, path, kind->columns, kind->n_columns, empty);
}

enum rg_cli_status rg_cli_get(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct rg_cli_reference r;
    unsigned used;
    if (!rg_reference_take(operands, false, false, &r, &used))
        return RG_CLI_USAGE;
    if (used < operands->n) {
        rg_cli_complain("got \"%s\" after %s, wanted one name; see rgctl get --help", operands->list[used],
                        operands->list[0]);
        return RG_CLI_USAGE;
    }
    return r.name[0] ? get_one(cli, &r) : get_all(cli, r.kind);
}

static enum rg_cli_status delete_one(struct rg_cli *cli, const struct rg_cli_reference *r)
{
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 64];
    snprintf(what, sizeof(what), "delete %s/%s", r->kind->name, r->name);
    rg_cli_path(path, "/%s/%s", r->kind->collection, r->name);
    enum rg_cli_status s = rg_cli_call(cli, what, "DELETE", path, NULL, NULL);
    if (s != RG_CLI_DONE)
        return s;
    return rg_results_done(cli,
                           json_pack("{s:s, s:s, s:s}", "kind", r->kind->name, "name", r->name, "result", "deleted"),
                           "%s/%s deleted", r->kind->name, r->name);
}

enum rg_cli_status rg_cli_delete(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct rg_cli_reference r;
    unsigned used;
    if (!rg_reference_take(operands, true, false, &r, &used))
        return RG_CLI_USAGE;
    if (used < operands->n) {
        rg_cli_complain("got \"%s\" after %s, wanted one name: each is deleted by a call of its own",
                        operands->list[used], operands->list[0]);
        return RG_CLI_USAGE;
    }
    return delete_one(cli, &r);
}

/* ---- gateways ---- */

enum rg_cli_status rg_cli_gateway_list(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    (void)operands;
    return get_all(cli, rg_cli_gateways);
}

enum rg_cli_status rg_cli_gateway_create(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    const struct rg_cli_options *o = &cli->options;
    const char *name = operands->list[0];
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s,s:s,s:s,s:b}", "id", name, "displayName", o->display_name ? o->display_name : name,
                             "functionalityType", "regular", "isCritical", 0);
    char what[RG_CLI_NAME_MAX + 64];
    if (!body) {
        rg_cli_complain("gateway create: got a name that is no UTF-8");
        return RG_CLI_USAGE;
    }
    if (o->description)
        json_object_set_new(body, "description", json_string(o->description));
    snprintf(what, sizeof(what), "create Gateway/%.*s", (int)RG_CLI_NAME_MAX, name);
    enum rg_cli_status s = rg_cli_call(cli, what, "POST", "/gateways", body, &answer);
    json_decref(body);
    if (s != RG_CLI_DONE)
        return s;
    return rg_results_done(cli, answer, "Gateway/%s created; it connects with a token: rgctl token create %s", name,
                           name);
}

enum rg_cli_status rg_cli_gateway_delete(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct rg_cli_reference r = {.kind = rg_cli_gateways};
    snprintf(r.name, sizeof(r.name), "%s", operands->list[0]);
    return delete_one(cli, &r);
}
