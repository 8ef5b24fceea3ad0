/*
 * `rgctl api-key`: what clients of an artifact use. `rgctl secret`: what artifacts name by {{ secret "NAME" }}, read
 * from a file and never from the command line, where others see it. Thread: one.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/commands.h"
#include "control/cli/reference.h"
#include "control/cli/results.h"
#include "control/common/file.h"

#define SECRET_MAX 65536u

/* ---- keys of artifacts ---- */

/* KIND/NAME alone: the last operand is the key's name. */
static bool take_artifact(const struct rg_cli_operands *operands, struct rg_cli_reference *ret)
{
    const struct rg_cli_operands first = {operands->list, 1};
    unsigned used;
    return rg_reference_take(&first, true, true, ret, &used);
}

enum rg_cli_status rg_cli_key_create(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct rg_cli_reference r;
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 128];
    json_t *answer = NULL, *body;
    if (!take_artifact(operands, &r))
        return RG_CLI_USAGE;
    body = json_pack("{s:s,s:s}", "name", operands->list[1], "displayName", operands->list[1]);
    if (!body || !rg_results_set_expiry(cli, body)) {
        json_decref(body);
        return RG_CLI_USAGE;
    }
    snprintf(what, sizeof(what), "make the key %.60s of %s/%s", operands->list[1], r.kind->name, r.name);
    rg_cli_path(path, "/%s/%s/api-keys", r.kind->collection, r.name);
    enum rg_cli_status s = rg_cli_call(cli, what, "POST", path, body, &answer);
    json_decref(body);
    return s == RG_CLI_DONE ? rg_results_secret(cli, answer, "apiKey", "this key is not shown again") : s;
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
    return rg_results_list(cli, what, path, columns, 5, "No keys.");
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
    if (s != RG_CLI_DONE)
        return s;
    return rg_results_done(cli,
                           json_pack("{s:s, s:s++, s:s, s:s}", "kind", "ApiKey", "artifact", r.kind->name, "/", r.name,
                                     "name", operands->list[1], "result", "revoked"),
                           "key %s of %s/%s revoked", operands->list[1], r.kind->name, r.name);
}

/* ---- secrets ---- */

/* One newline at the end is the editor's, not the secret's. */
static bool read_value(const char *file, char value[SECRET_MAX + 1])
{
    bool is_stdin = strcmp(file, "-") == 0;
    ssize_t n = is_stdin ? rg_file_read(STDIN_FILENO, value, SECRET_MAX + 1)
                         : rg_file_load(file, RG_FILE_ANY, value, SECRET_MAX + 1);
    if (n < 0) {
        rg_cli_complain("can't read %s: %s", file, strerror((int)-n));
        return false;
    }
    bool bad = n > SECRET_MAX || memchr(value, '\0', (size_t)n);
    const char *got = n > SECRET_MAX ? "more bytes" : bad ? "a zero byte" : "nothing";
    n -= n > 0 && value[n - 1] == '\n';
    value[bad ? 0 : n] = '\0';
    if (bad || n == 0)
        rg_cli_complain("%s: got %s, wanted a secret, text of 1 to %u bytes", is_stdin ? "standard input" : file, got,
                        SECRET_MAX);
    return !bad && n > 0;
}

static json_t *outcome(const char *name, const char *result)
{
    return json_pack("{s:s, s:s, s:s}", "kind", "Secret", "name", name, "result", result);
}

static enum rg_cli_status set(struct rg_cli *cli, const char *name, const char *value)
{
    char path[RG_CLI_PATH_MAX], what[128];
    json_t *known = NULL;
    json_t *body = json_pack("{s:s,s:s,s:s}", "id", name, "displayName", name, "value", value);
    snprintf(what, sizeof(what), "set the secret %.60s", name);
    rg_cli_path(path, "/secrets/%s", name);
    if (!body) {
        rg_cli_complain("can't %s: its name or its value is not UTF-8", what);
        return RG_CLI_USAGE;
    }
    enum rg_cli_status s = rg_cli_find(cli, what, path, &known);
    if (s == RG_CLI_DONE)
        s = rg_cli_call(cli, what, known ? "PUT" : "POST", known ? path : "/secrets", body, NULL);
    if (s == RG_CLI_DONE)
        s = rg_results_done(cli, outcome(name, known ? "replaced" : "created"), "secret %s %s", name,
                            known ? "replaced; rgctl apply brings it to what names it" : "created");
    json_decref(known);
    json_decref(body);
    return s;
}

enum rg_cli_status rg_cli_secret_set(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    const struct rg_flag_values *files = &cli->options.files;
    char value[SECRET_MAX + 1];
    if (files->n != 1) {
        rg_cli_complain("secret set: got %s --file, wanted one with the secret: --file FILE, or - for standard input",
                        files->n == 0 ? "no" : "more than one");
        return RG_CLI_USAGE;
    }
    enum rg_cli_status s = read_value(files->list[0], value) ? set(cli, operands->list[0], value) : RG_CLI_USAGE;
    explicit_bzero(value, sizeof(value));
    return s;
}

enum rg_cli_status rg_cli_secret_list(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    static const struct rg_output_column columns[] = {
        {"NAME", "id", RG_OUTPUT_PLAIN},
        {"CREATED (UTC)", "createdAt", RG_OUTPUT_INSTANT},
        {"UPDATED (UTC)", "updatedAt", RG_OUTPUT_INSTANT},
    };
    (void)operands;
    return rg_results_list(cli, "list secrets", "/secrets", columns, 3, "No secrets.");
}

enum rg_cli_status rg_cli_secret_delete(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    char path[RG_CLI_PATH_MAX], what[128];
    snprintf(what, sizeof(what), "delete the secret %.60s", operands->list[0]);
    enum rg_cli_status s =
        rg_cli_call(cli, what, "DELETE", rg_cli_path(path, "/secrets/%s", operands->list[0]), NULL, NULL);
    if (s == RG_CLI_DONE)
        s = rg_results_done(cli, outcome(operands->list[0], "deleted"), "secret %s deleted", operands->list[0]);
    return s;
}
