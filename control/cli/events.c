/* `rgctl events`: the platform's stream of what happens. Thread: one. */
#include <errno.h>

#include "control/cli/commands.h"
#include "control/cli/kinds.h"
#include "control/cli/sse.h"
#include "control/common/conf.h"
#include "control/common/json.h"

struct follow {
    struct rg_cli *cli;
    struct rg_sse sse;
    uint64_t left; /* events until the end; UINT64_MAX: no end */
};

/* The platform names the type in the value; a stream may name it in its own way. */
static const char *type_of(const char *named, const json_t *value)
{
    const char *type = rg_cli_text(value, "type");
    return type[0] ? type : named;
}

/* Which artifact, what of it, on which gateway, and the reason where it failed. */
static void print_deployment(const struct rg_cli *cli, const json_t *value)
{
    static const char *const members[] = {"errorCode", "errorMessage"};
    const char *gateway = rg_cli_text(value, "gatewayId");
    rg_output_text(rg_cli_text(value, "kind"), 64, stdout);
    fputc('/', stdout);
    rg_output_text(rg_cli_text(value, "artifactId"), RG_CLI_NAME_MAX, stdout);
    fputs("  ", stdout);
    rg_output_status(rg_cli_text(value, "status"), cli->style.color, stdout);
    fputs(gateway[0] ? " on " : "", stdout);
    rg_output_text(gateway, RG_CLI_NAME_MAX, stdout);
    fputs("  ", stdout);
    rg_output_text(rg_cli_text(value, "deploymentId"), RG_CLI_SHORT_ID, stdout);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *text = rg_cli_text(value, members[i]);
        fputs(text[0] ? "  " : "", stdout);
        rg_output_text(text, 2000, stdout);
    }
}

static void print_event(const struct rg_cli *cli, const char *type, const json_t *value)
{
    const char *at = rg_cli_text(value, "timestamp");
    if (at[0])
        rg_output_padded(at, 40, 24, stdout);
    rg_output_text(type, 64, stdout);
    fputs("  ", stdout);
    if (json_object_get(value, "artifactId"))
        print_deployment(cli, value);
    else
        rg_output_text(rg_cli_text(value, "gatewayId"), RG_CLI_NAME_MAX, stdout);
    fputc('\n', stdout);
}

/* An object a line, which holds for YAML, too. */
static void print_value(const char *type, json_t *value, const char *data)
{
    json_t *line = json_is_object(value) ? json_incref(value) : json_pack("{s:s?}", "data", data);
    if (line && !json_object_get(line, "type"))
        json_object_set_new(line, "type", json_string(type));
    if (line)
        json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    fputc('\n', stdout);
    json_decref(line);
}

static bool on_event(void *owner, const char *type, const char *data)
{
    struct follow *f = owner;
    char why[160];
    json_t *value = rg_json_parse(rg_str_of(data), why, sizeof(why));
    if (f->cli->style.format == RG_OUTPUT_TABLE)
        print_event(f->cli, type_of(type, value), value);
    else
        print_value(type, value, data);
    json_decref(value);
    f->left -= f->left != UINT64_MAX;
    return fflush(stdout) == 0 && f->left > 0;
}

static bool on_bytes(void *owner, const char *bytes, size_t n)
{
    struct follow *f = owner;
    return rg_sse_take(&f->sse, bytes, n, on_event, f);
}

static bool read_count(const struct rg_cli *cli, uint64_t *ret)
{
    *ret = UINT64_MAX;
    if (!cli->options.count ||
        (rg_conf_parse_uint(rg_str_of(cli->options.count), ret) && *ret > 0 && *ret < UINT64_MAX))
        return true;
    rg_cli_complain("--count: got \"%s\", wanted a whole number from 1", cli->options.count);
    return false;
}

static enum rg_cli_status follow(struct rg_cli *cli, struct follow *f)
{
    struct rg_client_answer answer = {0};
    long limit = cli->options.timeout ? (long)cli->timeout_ms : 0;
    int r = rg_client_stream(&cli->client, RG_CLIENT_API "/events", limit, on_bytes, f, &answer);
    enum rg_cli_status s = RG_CLI_FAILED;
    if (r == -ETIMEDOUT && limit > 0)
        s = RG_CLI_TIMED_OUT;
    else if (r < 0)
        rg_cli_complain("can't follow events: the platform %s", cli->client.trouble);
    else if (answer.status == 200 && f->left == 0)
        s = RG_CLI_DONE;
    else if (answer.status == 200)
        rg_cli_complain("the platform ended the stream of events; is it being restarted?");
    else
        rg_cli_complain_of_answer(cli, "follow events", &answer);
    if (f->sse.dropped > 0)
        rg_cli_warn("%lu events longer than %u bytes were left out", f->sse.dropped, RG_SSE_EVENT_MAX);
    rg_client_answer_fini(&answer);
    return s;
}

enum rg_cli_status rg_cli_events(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    struct follow f = {.cli = cli};
    (void)operands;
    if (!read_count(cli, &f.left))
        return RG_CLI_USAGE;
    if (rg_sse_init(&f.sse) < 0) {
        rg_cli_complain("no memory to follow events");
        return RG_CLI_FAILED;
    }
    enum rg_cli_status s = follow(cli, &f);
    rg_sse_fini(&f.sse);
    return s;
}
