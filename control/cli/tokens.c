/* `rgctl token`: what gateways connect with. `rgctl access-token`: what operators and programs use. Thread: one. */

#include "control/cli/commands.h"
#include "control/cli/results.h"

/* ---- tokens of gateways ---- */

enum rg_cli_status rg_cli_token_create(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    char path[RG_CLI_PATH_MAX], what[128], note[512];
    json_t *answer = NULL;
    const char *gateway = operands->list[0];
    snprintf(what, sizeof(what), "make a token for gateway %.60s", gateway);
    rg_cli_path(path, "/gateways/%s/tokens", gateway);
    enum rg_cli_status s = rg_cli_call(cli, what, "POST", path, NULL, &answer);
    if (s != RG_CLI_DONE)
        return s;
    snprintf(note, sizeof(note),
             "this token of %.60s (id %.60s) is not shown again; keep it in a file of mode 0600 and name that with "
             "ringgate --token-file",
             gateway, rg_cli_text(answer, "id"));
    return rg_results_secret(cli, answer, "token", note);
}

enum rg_cli_status rg_cli_token_list(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    static const struct rg_output_column columns[] = {
        {"ID", "id", RG_OUTPUT_PLAIN},
        {"STATUS", "status", RG_OUTPUT_PLAIN},
        {"CREATED (UTC)", "createdAt", RG_OUTPUT_INSTANT},
        {"REVOKED (UTC)", "revokedAt", RG_OUTPUT_INSTANT},
    };
    char path[RG_CLI_PATH_MAX], what[128];
    snprintf(what, sizeof(what), "list the tokens of gateway %.60s", operands->list[0]);
    rg_cli_path(path, "/gateways/%s/tokens", operands->list[0]);
    return rg_results_list(cli, what, path, columns, 4, "No tokens.");
}

enum rg_cli_status rg_cli_token_revoke(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    char path[RG_CLI_PATH_MAX], what[192];
    snprintf(what, sizeof(what), "revoke token %.60s of gateway %.60s", operands->list[1], operands->list[0]);
    rg_cli_path(path, "/gateways/%s/tokens/%s", operands->list[0], operands->list[1]);
    enum rg_cli_status s = rg_cli_call(cli, what, "DELETE", path, NULL, NULL);
    if (s != RG_CLI_DONE)
        return s;
    return rg_results_done(cli,
                           json_pack("{s:s, s:s, s:s, s:s}", "kind", "GatewayToken", "gateway", operands->list[0], "id",
                                     operands->list[1], "result", "revoked"),
                           "token %s of %s revoked", operands->list[1], operands->list[0]);
}

/* ---- tokens of operators and programs ---- */

enum rg_cli_status rg_cli_access_create(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    const char *name = operands->list[0], *role = cli->options.role ? cli->options.role : "operator";
    json_t *body = json_pack("{s:s,s:s}", "name", name, "role", role), *answer = NULL;
    char what[128];
    if (!body || !rg_results_set_expiry(cli, body)) {
        json_decref(body);
        return RG_CLI_USAGE;
    }
    snprintf(what, sizeof(what), "make the token %.60s", name);
    enum rg_cli_status s = rg_cli_call(cli, what, "POST", "/tokens", body, &answer);
    json_decref(body);
    return s == RG_CLI_DONE ? rg_results_secret(cli, answer, "token", "this token is not shown again") : s;
}

enum rg_cli_status rg_cli_access_list(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    static const struct rg_output_column columns[] = {
        {"ID", "id", RG_OUTPUT_PLAIN},
        {"NAME", "name", RG_OUTPUT_PLAIN},
        {"ROLE", "role", RG_OUTPUT_PLAIN},
        {"CREATED (UTC)", "createdAt", RG_OUTPUT_INSTANT},
        {"EXPIRES (UTC)", "expiresAt", RG_OUTPUT_INSTANT},
    };
    (void)operands;
    return rg_results_list(cli, "list tokens", "/tokens", columns, 5, "No tokens.");
}

enum rg_cli_status rg_cli_access_revoke(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    char path[RG_CLI_PATH_MAX], what[128];
    snprintf(what, sizeof(what), "revoke token %.60s", operands->list[0]);
    enum rg_cli_status s =
        rg_cli_call(cli, what, "DELETE", rg_cli_path(path, "/tokens/%s", operands->list[0]), NULL, NULL);
    if (s != RG_CLI_DONE)
        return s;
    return rg_results_done(
        cli, json_pack("{s:s, s:s, s:s}", "kind", "AccessToken", "id", operands->list[0], "result", "revoked"),
        "token %s revoked", operands->list[0]);
}
