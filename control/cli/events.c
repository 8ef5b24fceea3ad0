/* `rgctl events`: the platform's stream of what happens. Thread: one. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "control/cli/commands.h"
#include "control/cli/sse.h"
#include "control/common/conf.h"
#include "control/common/json.h"

struct follow {
    struct rg_cli *cli;
    struct rg_sse sse;
    uint64_t left; /* events until the end; UINT64_MAX: no end */
};

/* What a line of a table has room for: where, what, and the reason. */
static void print_event(const struct rg_cli *cli, const char *type, const json_t *value)
{
    static const char *const members[] = {"kind",   "artifact", "id",        "gateway",   "deploymentId",
                                          "status", "instance", "errorCode", "fieldPath", "errorMessage"};
    char now[32];
    time_t t = time(NULL);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(now, sizeof(now), "%H:%M:%S", &tm);
    printf("%s  ", now);
    rg_output_text(type, 64, stdout);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *text = rg_cli_text(value, members[i]);
        if (!text[0])
            continue;
        fputs("  ", stdout);
        if (strcmp(members[i], "status") == 0)
            rg_output_status(text, cli->style.color, stdout);
        else
            rg_output_text(text, 1000, stdout);
    }
    fputc('\n', stdout);
}

/* An object a line, which holds for YAML, too. */
static void print_value(const char *type, json_t *value, const char *data)
{
    json_t *line = value ? json_pack("{s:s,s:O}", "type", type, "data", value)
                         : json_pack("{s:s,s:s?}", "type", type, "data", data);
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
        print_event(f->cli, type, value);
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
