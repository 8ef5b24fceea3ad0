/*
 * `rgctl token` and `rgctl api-key`: secrets that the platform makes and shows once. They go alone to standard output,
 * so that they can be put into a file; what is to be said about them goes to standard error. Thread: one.
 */
#include <string.h>

#include "control/cli/commands.h"
#include "control/cli/reference.h"
#include "control/common/conf.h"
#include "control/common/instant.h"

#include <time.h>

/* *answer is consumed. The member has the secret. */
static enum rg_cli_status show_secret(const struct rg_cli *cli, json_t *answer, const char *member, const char *note)
{
    const char *secret = rg_cli_text(answer, member);
    enum rg_cli_status s = RG_CLI_DONE;
    if (cli->style.format != RG_OUTPUT_TABLE) {
        rg_output_value(cli->style.format, answer, stdout);
    } else if (secret[0]) {
        printf("%s\n", secret);
        rg_cli_complain("%s", note);
    } else {
        rg_cli_complain("the platform's answer has no %s in it; is it of another version?", member);
        s = RG_CLI_FAILED;
    }
    json_decref(answer);
    return s;
}

static enum rg_cli_status list(struct rg_cli *cli, const char *what, const char *path,
                               const struct rg_output_column *columns, unsigned n, const char *empty)
{
    json_t *all = NULL;
    enum rg_cli_status s = rg_cli_list(cli, what, path, &all);
    if (s != RG_CLI_DONE)
        return s;
    if (cli->style.format == RG_OUTPUT_TABLE)
        rg_output_table(&cli->style, columns, n, all, empty, stdout);
    else
        rg_output_value(cli->style.format, all, stdout);
    json_decref(all);
    return RG_CLI_DONE;
}

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
    return show_secret(cli, answer, "token", note);
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
    return list(cli, what, path, columns, 4, "No tokens.");
}

enum rg_cli_status rg_cli_token_revoke(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    char path[RG_CLI_PATH_MAX], what[192];
    snprintf(what, sizeof(what), "revoke token %.60s of gateway %.60s", operands->list[1], operands->list[0]);
    rg_cli_path(path, "/gateways/%s/tokens/%s", operands->list[0], operands->list[1]);
    enum rg_cli_status s = rg_cli_call(cli, what, "DELETE", path, NULL, NULL);
    if (s == RG_CLI_DONE)
        rg_cli_tell(cli, "token %s of %s revoked", operands->list[1], operands->list[0]);
    return s;
}

/* ---- keys of artifacts ---- */

/* KIND/NAME alone: the last operand is the key's name. */
static bool take_artifact(const struct rg_cli_operands *operands, struct rg_cli_reference *ret)
{
    const struct rg_cli_operands first = {operands->list, 1};
    unsigned used;
    return rg_reference_take(&first, true, true, ret, &used);
}

static bool set_expiry(const struct rg_cli *cli, json_t *body)
{
    uint64_t ms;
    char text[RG_INSTANT_TEXT_MAX];
    struct timespec now;
    if (!cli->options.expires)
        return true;
    if (!rg_conf_parse_duration(rg_str_of(cli->options.expires), &ms) || ms == 0 || ms > 1000ull * 86400 * 36500) {
        rg_cli_complain("--expires: got \"%s\", wanted a duration, as 720h", cli->options.expires);
        return false;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    rg_instant_format(((int64_t)now.tv_sec * 1000 + (int64_t)ms) * 1000000, text);
    json_object_set_new(body, "expiresAt", json_string(text));
    return true;
}

enum rg_cli_status rg_cli_key_create(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct rg_cli_reference r;
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 128];
    json_t *answer = NULL, *body;
    if (!take_artifact(operands, &r))
        return RG_CLI_USAGE;
    body = json_pack("{s:s,s:s}", "name", operands->list[1], "displayName", operands->list[1]);
    if (!body || !set_expiry(cli, body)) {
        json_decref(body);
        return RG_CLI_USAGE;
    }
    snprintf(what, sizeof(what), "make the key %.60s of %s/%s", operands->list[1], r.kind->name, r.name);
    rg_cli_path(path, "/%s/%s/api-keys", r.kind->collection, r.name);
    enum rg_cli_status s = rg_cli_call(cli, what, "POST", path, body, &answer);
    json_decref(body);
    return s == RG_CLI_DONE ? show_secret(cli, answer, "apiKey", "this key is not shown again") : s;
}

enum rg_cli_status rg_cli_key_list(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    static const struct rg_output_column columns[] = {
        {"NAME", "name", RG_OUTPUT_PLAIN},
        {"KEY", "maskedApiKey", RG_OUTPUT_PLAIN},
        {"STATUS", "status", RG_OUTPUT_PLAIN},
        {"CREATED (UTC)", "createdAt", RG_OUTPUT_INSTANT},
        {"EXPIRES (UTC)", "expiresAt", RG_OUTPUT_INSTANT},
    };
    struct rg_cli_reference r;
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 64];
    if (!take_artifact(operands, &r))
        return RG_CLI_USAGE;
    snprintf(what, sizeof(what), "list the keys of %s/%s", r.kind->name, r.name);
    rg_cli_path(path, "/%s/%s/api-keys", r.kind->collection, r.name);
    return list(cli, what, path, columns, 5, "No keys.");
}

enum rg_cli_status rg_cli_key_revoke(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct rg_cli_reference r;
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 128];
    if (!take_artifact(operands, &r))
        return RG_CLI_USAGE;
    snprintf(what, sizeof(what), "revoke the key %.60s of %s/%s", operands->list[1], r.kind->name, r.name);
    rg_cli_path(path, "/%s/%s/api-keys/%s", r.kind->collection, r.name, operands->list[1]);
    enum rg_cli_status s = rg_cli_call(cli, what, "DELETE", path, NULL, NULL);
    if (s == RG_CLI_DONE)
        rg_cli_tell(cli, "key %s of %s/%s revoked", operands->list[1], r.kind->name, r.name);
    return s;
}
