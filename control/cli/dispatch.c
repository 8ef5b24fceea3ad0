/*
 * Why: from the words and flags of a command line to the command that they mean, and the refusal of those that mean
 * none. Thread: the program has one.
 */
#include <stdlib.h>
#include <string.h>

#include "control/cli/help.h"
#include "control/cli/token.h"
#include "control/common/conf.h"

#define TIMEOUT_DEFAULT_MS 60000u
#define TIMEOUT_MIN_MS     100u
#define TIMEOUT_MAX_MS     (24u * 3600 * 1000)

static enum rg_cli_status refuse_words(char **words, unsigned n)
{
    const char *meant = rg_cli_command_meant(words, n);
    bool is_group = rg_report_is_for_people() && rg_help_group(words[0], stderr);
    if (is_group && n == 1)
        return RG_CLI_USAGE;
    rg_cli_complain("got an unknown command \"%s%s%s\", wanted one that rgctl --help lists%s%s%s", words[0],
                    n > 1 ? " " : "", n > 1 ? words[1] : "", meant ? "; did you mean \"" : "", meant ? meant : "",
                    meant ? "\"?" : "");
    return RG_CLI_USAGE;
}

static bool takes_flags(const struct rg_cli_command *c, const struct rg_cli_options *options)
{
    uint32_t wrong = rg_cli_flags_given(options) & ~(c->flags | rg_cli_global_flags);
    for (unsigned i = 0; i < RG_CLI_FLAGS; i++)
        if (wrong >> i & 1)
            rg_cli_complain("--%s: got a flag that \"rgctl %s\" does not have; see rgctl %s --help",
                            rg_cli_flag_table.flags[i].name, c->name, c->name);
    return wrong == 0;
}

static bool takes_operands(const struct rg_cli_command *c, unsigned n)
{
    if (n >= c->min && n <= c->max)
        return true;
    rg_cli_complain("got %s operands, wanted: rgctl %s%s%s; see rgctl %s --help", n < c->min ? "too few" : "too many",
                    c->name, c->operands[0] ? " " : "", c->operands, c->name);
    return false;
}

static bool read_timeout(const struct rg_cli_options *options, uint64_t *ret)
{
    *ret = TIMEOUT_DEFAULT_MS;
    if (!options->timeout ||
        (rg_conf_parse_duration(rg_str_of(options->timeout), ret) && *ret >= TIMEOUT_MIN_MS && *ret <= TIMEOUT_MAX_MS))
        return true;
    rg_cli_complain("--timeout: got \"%s\", wanted a duration from 100ms to 24h, like 90s or 5m", options->timeout);
    return false;
}

/* What the flags and the environment say, checked before anything is sent. */
static bool set_up(struct rg_cli *cli)
{
    enum rg_output_format format;
    if (!rg_output_format_of(cli->options.output, &format)) {
        rg_cli_complain("--output: got \"%s\", wanted table, json or yaml", cli->options.output);
        return false;
    }
    rg_output_style_init(&cli->style, format);
    return read_timeout(&cli->options, &cli->timeout_ms);
}

static enum rg_cli_status run_with_platform(struct rg_cli *cli, const struct rg_cli_command *c,
                                            const struct rg_cli_operands *operands)
{
    char token[RG_CLIENT_TOKEN_MAX];
    const char *url = cli->options.platform ? cli->options.platform : getenv("RINGGATE_PLATFORM");
    struct rg_client_config config = {.url = url && url[0] ? url : RG_CLIENT_URL_DEFAULT,
                                      .ca_file = cli->options.ca_file,
                                      .insecure = cli->options.insecure};
    if (!rg_token_load(cli->options.token_file, token))
        return RG_CLI_USAGE;
    config.token = token[0] ? token : NULL;
    if (config.token)
        rg_token_warn_of_clear_text(config.url);
    if (rg_client_init(&cli->client, &config) < 0) {
        rg_cli_complain("%s", cli->client.trouble);
        return RG_CLI_USAGE;
    }
    enum rg_cli_status s = c->run(cli, operands);
    rg_client_fini(&cli->client);
    explicit_bzero(token, sizeof(token));
    return s;
}

/* No command: all of them. */
static enum rg_cli_status greet(const struct rg_cli_options *options)
{
    if (options->help || rg_report_is_for_people())
        rg_help_all(options->help ? stdout : stderr);
    else
        rg_cli_complain("got no command, wanted one that rgctl --help lists");
    return options->help ? RG_CLI_DONE : RG_CLI_USAGE;
}

enum rg_cli_status rg_cli_dispatch(struct rg_cli *cli, char **words, unsigned n)
{
    unsigned used = 0;
    const struct rg_cli_command *c = rg_cli_command_of(words, n, &used);
    if (cli->options.version) {
        printf("rgctl %s\n", RG_VERSION);
        return RG_CLI_DONE;
    }
    if (n == 0)
        return greet(&cli->options);
    if (!c && cli->options.help && n == 1 && rg_help_group(words[0], stdout))
        return RG_CLI_DONE;
    if (!c)
        return refuse_words(words, n);
    if (cli->options.help) {
        rg_help_command(c, stdout);
        return RG_CLI_DONE;
    }
    struct rg_cli_operands operands = {words + used, n - used};
    if (!takes_flags(c, &cli->options) || !takes_operands(c, operands.n) || !set_up(cli))
        return RG_CLI_USAGE;
    return c->offline ? c->run(cli, &operands) : run_with_platform(cli, c, &operands);
}

enum rg_cli_status rg_cli_help(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    cli->options.help = true;
    return rg_cli_dispatch(cli, operands->list, operands->n);
}
