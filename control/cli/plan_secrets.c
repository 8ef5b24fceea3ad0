/*
 * Why: a deployment has the values that secrets had when it was made live, and nothing in the file tells that one was
 * replaced since. Who has replaced a secret applies the files that name it again. Thread: one.
 */
#include <stdlib.h>
#include <string.h>

#include "control/cli/plan.h"
#include "control/common/instant.h"

/* As `secret "NAME"` stands in JSON, or between backticks. Too much found costs a deployment, once. */
static bool is_named(const char *text, const char *name)
{
    char quoted[RG_CLI_NAME_MAX + 8], ticked[RG_CLI_NAME_MAX + 8];
    snprintf(quoted, sizeof(quoted), "\\\"%.*s\\\"", (int)RG_CLI_NAME_MAX, name);
    snprintf(ticked, sizeof(ticked), "`%.*s`", (int)RG_CLI_NAME_MAX, name);
    return strstr(text, quoted) || strstr(text, ticked);
}

static bool is_replaced_since(const json_t *secrets, const char *text, int64_t then_ns)
{
    for (size_t i = 0; i < json_array_size(secrets); i++) {
        const json_t *secret = json_array_get(secrets, i);
        int64_t at_ns;
        if (is_named(text, rg_cli_text(secret, "id")) &&
            rg_instant_parse(rg_str_of(rg_cli_text(secret, "updatedAt")), &at_ns) && at_ns > then_ns)
            return true;
    }
    return false;
}

static bool has_live_target(const struct rg_plan_item *item)
{
    for (unsigned i = 0; i < item->n_targets; i++)
        if (item->targets[i].todo == RG_PLAN_LIVE || item->targets[i].todo == RG_PLAN_AWAIT)
            return true;
    return false;
}

static void heed(struct rg_plan_item *item, const json_t *secrets, const char *text)
{
    for (unsigned i = 0; i < item->n_targets; i++) {
        struct rg_plan_target *t = &item->targets[i];
        if ((t->todo == RG_PLAN_LIVE || t->todo == RG_PLAN_AWAIT) &&
            is_replaced_since(secrets, text, t->performed_ns)) {
            t->todo = RG_PLAN_DEPLOY;
            t->is_known = false;
        }
    }
}

enum rg_cli_status rg_plan_heed_secrets(struct rg_cli *cli, struct rg_plan *plan)
{
    enum rg_cli_status s = RG_CLI_DONE;
    json_t *secrets = NULL;
    for (unsigned i = 0; s == RG_CLI_DONE && i < plan->n; i++) {
        struct rg_plan_item *item = &plan->items[i];
        char *text = has_live_target(item) ? json_dumps(item->body, JSON_COMPACT) : NULL;
        if (text && strstr(text, "{{") && strstr(text, "secret")) {
            if (!secrets)
                s = rg_cli_list(cli, "list secrets", "/secrets", &secrets);
            heed(item, secrets, text);
        }
        free(text);
    }
    json_decref(secrets);
    return s;
}
