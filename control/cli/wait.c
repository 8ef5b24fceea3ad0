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

const char *rg_wait_without_path(const char *message, const char *path)
{
    size_t n = strlen(path);
    return n > 0 && strncmp(message, path, n) == 0 && message[n] == ':' ? message + n + 1 + (message[n + 1] == ' ')
                                                                        : message;
}

static void take_reason(const json_t *from, const char *code, const char *message, const char *path,
                        struct rg_wait_reason *to)
{
    snprintf(to->code, sizeof(to->code), "%s", rg_cli_text(from, code));
    snprintf(to->path, sizeof(to->path), "%s", rg_cli_text(from, path));
    snprintf(to->message, sizeof(to->message), "%s", rg_wait_without_path(rg_cli_text(from, message), to->path));
}

/* The newest transition into FAILED. A platform without history leaves it at the code. */
static void take_history(struct rg_cli *cli, const struct rg_wait *w, struct rg_wait_reason *to)
{
    char path[RG_CLI_PATH_MAX];
    json_t *events = NULL;
    rg_cli_path(path, "/%s/%s/deployments/%s/events", w->artifact->kind->collection, w->artifact->name, w->deployment);
    if (rg_cli_find(cli, "read the deployment's history", path, &events) != RG_CLI_DONE || !events)
        return;
    const json_t *list = json_is_array(events) ? events : json_object_get(events, "list");
    for (size_t i = json_array_size(list); i-- > 0;) {
        const json_t *event = json_array_get(list, i);
        if (strcmp(rg_cli_text(event, "toStatus"), "FAILED") == 0) {
            take_reason(event, "errorCode", "errorMessage", "fieldPath", to);
            break;
        }
    }
    json_decref(events);
}

void rg_wait_reason(struct rg_cli *cli, const struct rg_wait *wait, const json_t *deployment,
                    struct rg_wait_reason *ret)
{
    take_reason(deployment, "statusReason", "statusMessage", "statusFieldPath", ret);
    if (!ret->message[0])
        take_history(cli, wait, ret);
}

/* The length of a path such as `spec.policies[0].name` that begins a problem's text; 0: none does. */
static size_t path_length(const char *text)
{
    size_t n = 0;
    if (strncmp(text, "spec", 4) != 0 && strncmp(text, "metadata", 8) != 0)
        return 0;
    while (text[n] && !strchr(": ;,\"", text[n]))
        n++;
    return n < RG_PROBLEM_PATH_MAX && strncmp(text + n, ": ", 2) == 0 ? n : 0;
}

/* Remedies come after "; ", too: another problem begins where a path follows. */
static const char *next_problem(const char *text)
{
    const char *at = strstr(text, "; ");
    while (at && path_length(at + 2) == 0)
        at = strstr(at + 2, "; ");
    return at;
}

json_t *rg_wait_problems(const struct rg_wait_reason *why)
{
    json_t *all = json_array();
    const char *path = why->path, *message = why->message[0] ? why->message : "no reason was given";
    size_t path_len = strlen(path);
    while (all && message) {
        const char *end = next_problem(message);
        json_t *one = json_pack("{s:s%,s:s%}", "path", path, path_len, "message", message,
                                end ? (size_t)(end - message) : strlen(message));
        if (json_array_append_new(all, one) < 0) {
            json_decref(all);
            return NULL;
        }
        path = end ? end + 2 : NULL;
        path_len = end ? path_length(path) : 0;
        message = end ? path + path_len + 2 : NULL;
    }
    return all;
}

const char *rg_wait_remedy(const char *code)
{
    if (strcmp(code, "DEPLOYMENT_TIMEOUT") == 0)
        return "the gateway did not answer: is it connected (rgctl gateway list)? It applies it when it comes back";
    if (strcmp(code, "DEPLOYMENT_ID_MISMATCH") == 0)
        return "the gateway serves another deployment by now: rgctl deployments shows which";
    return "";
}
