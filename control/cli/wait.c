/* See wait.h. */
#include "control/cli/wait.h"

#include <string.h>
#include <time.h>

#include "control/common/loop.h"

#define INTERVAL_FIRST_MS 20u
#define INTERVAL_MAX_MS   500u

static void sleep_ms(uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* Whether it still may become what is wanted. */
static bool is_on_its_way(const char *status)
{
    return strcmp(status, "DEPLOYING") == 0 || strcmp(status, "UNDEPLOYING") == 0;
}

/* *ret keeps what was seen before where the platform does not answer now. */
static enum rg_cli_status look(struct rg_cli *cli, const struct rg_wait *w, json_t **ret, bool *ret_later)
{
    char path[RG_CLI_PATH_MAX], what[RG_CLI_NAME_MAX + 64];
    json_t *now = NULL;
    snprintf(what, sizeof(what), "see what became of %s/%s", w->artifact->kind->name, w->artifact->name);
    rg_cli_path(path, "/%s/%s/deployments/%s", w->artifact->kind->collection, w->artifact->name, w->deployment);
    enum rg_cli_status s = rg_cli_poll(cli, what, path, &now, ret_later);
    if (now) {
        json_decref(*ret);
        *ret = now;
    }
    return s;
}

/* False: the time is over. */
static bool rest(const struct rg_wait *w, uint64_t *interval)
{
    uint64_t at = rg_now_ms(), left = w->deadline_ms > at ? w->deadline_ms - at : 0;
    if (left == 0)
        return false;
    sleep_ms(*interval < left ? *interval : left);
    *interval = *interval * 3 / 2 < INTERVAL_MAX_MS ? *interval * 3 / 2 : INTERVAL_MAX_MS;
    return true;
}

enum rg_cli_status rg_wait_for(struct rg_cli *cli, const struct rg_wait *wait, json_t **ret)
{
    uint64_t interval = INTERVAL_FIRST_MS;
    bool later;
    *ret = NULL;
    do {
        enum rg_cli_status s = look(cli, wait, ret, &later);
        const char *status = rg_cli_text(*ret, "status");
        if (s != RG_CLI_DONE)
            return s;
        if (!later && strcmp(status, wait->wanted) == 0)
            return RG_CLI_DONE;
        if (!later && !is_on_its_way(status))
            return RG_CLI_FAILED;
    } while (rest(wait, &interval));
    if (later)
        rg_cli_complain("the platform %s", cli->client.trouble);
    return RG_CLI_TIMED_OUT;
}

void rg_wait_complain(const struct rg_cli *cli, const struct rg_wait *wait, const json_t *last)
{
    const struct rg_cli_reference *artifact = wait->artifact;
    const char *status = rg_cli_text(last, "status");
    rg_cli_complain("%s/%s is still %s on %s after %llu ms (deployment %s), and goes on without rgctl",
                    artifact->kind->name, artifact->name, status[0] ? status : "not known to be done", wait->gateway,
                    (unsigned long long)cli->timeout_ms, wait->deployment);
    rg_cli_detail("is %s connected? rgctl gateway list; what came of it: rgctl deployments %s/%s", wait->gateway,
                  artifact->kind->singular, artifact->name);
}

/* ---- why it failed ---- */

/* A sentence on what to do about a code; "" for those that explain themselves. */
static const char *remedy_of(const char *code)
{
    if (strcmp(code, "DEPLOYMENT_TIMEOUT") == 0)
        return "the gateway did not answer: is it connected (rgctl gateway list)? It applies it when it comes back";
    if (strcmp(code, "DEPLOYMENT_ID_MISMATCH") == 0)
        return "the gateway serves another deployment by now: rgctl deployments shows which";
    return "";
}

void rg_wait_explain(const struct rg_cli *cli, const struct rg_wait *wait, const json_t *deployment)
{
    const char *code = rg_cli_text(deployment, "statusReason"), *message = rg_cli_text(deployment, "statusMessage");
    const json_t *errors = json_object_get(deployment, "statusErrors");
    size_t n = json_array_size(errors);
    rg_cli_complain("%s/%s %s on %s (deployment %s)", wait->artifact->kind->name, wait->artifact->name,
                    rg_cli_text(deployment, "status"), wait->gateway, wait->deployment);
    rg_report_note("code", json_string(code));
    for (size_t i = 0; i < n; i++)
        rg_cli_show_problem(cli, json_array_get(errors, i), i + 1 == n ? code : "");
    if (n == 0) {
        json_t *sentence = json_string(message[0] ? message : "no reason was given");
        rg_cli_show_problem(cli, sentence, code);
        json_decref(sentence);
    }
    if (remedy_of(code)[0])
        rg_cli_detail("%s", remedy_of(code));
}
