/* See results.h. */
#include "control/cli/results.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/common/conf.h"
#include "control/common/instant.h"

enum rg_cli_status rg_results_done(const struct rg_cli *cli, json_t *outcome, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    if (cli->style.format == RG_OUTPUT_TABLE && vasprintf(&text, format, args) >= 0)
        rg_cli_tell(cli, "%s", text);
    else if (outcome)
        rg_output_value(cli->style.format, outcome, stdout);
    va_end(args);
    free(text);
    json_decref(outcome);
    return RG_CLI_DONE;
}

enum rg_cli_status rg_results_secret(const struct rg_cli *cli, json_t *answer, const char *member, const char *note)
{
    const char *secret = rg_cli_text(answer, member);
    enum rg_cli_status s = RG_CLI_DONE;
    if (cli->style.format != RG_OUTPUT_TABLE) {
        rg_output_value(cli->style.format, answer, stdout);
    } else if (secret[0]) {
        rg_output_text(secret, strlen(secret), stdout);
        fputc('\n', stdout);
        rg_cli_complain("%s", note);
    } else {
        rg_cli_complain("the platform's answer has no %s in it; is it of another version?", member);
        s = RG_CLI_FAILED;
    }
    json_decref(answer);
    return s;
}

enum rg_cli_status rg_results_list(struct rg_cli *cli, const char *what, const char *path,
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

bool rg_results_set_expiry(const struct rg_cli *cli, json_t *body)
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
