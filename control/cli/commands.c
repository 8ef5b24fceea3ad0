/* See commands.h. The order is that of the help: what a newcomer needs first. */
#include "control/cli/commands.h"

#include <string.h>

#include "control/common/conf.h"

#define ONE_GATEWAY RG_CLI_BIT(GATEWAY)
#define WAITING     (RG_CLI_BIT(NO_WAIT) | RG_CLI_BIT(TIMEOUT))

#define REFERENCE "KIND/NAME"

/* Results for programs. What the platform answers is passed on; its /api/v0.9/openapi.yaml has the members. */
#define LIST_OF(things) "a list of " things ", each as the platform's API has it"
#define DEPLOYMENT      "the deployment as it is then, as the platform's API has it, also where it failed"

const struct rg_cli_command rg_cli_commands[] = {
    {"status", "", 0, 0, RG_CLI_COMPLETE_NOTHING, RG_CLI_BIT(ADMIN), false, rg_cli_status_of,
     "is the platform there, and which gateways are connected",
     "With --admin, the state of one gateway on this machine: whether it is ready and what each worker does. Exit "
     "status "
     "1 when the platform can't be asked or the gateway is not ready.",
     "rgctl status\n"
     "rgctl status --admin 127.0.0.1:9901\n",
     "{platform, status, gateways}; with --admin {admin, ready, reasons, replica, detail, workers}, also where it is "
     "not ready; "
     "reasons and workers are lists"},
    {"apply", "[FILE...]", 0, RG_CLI_OPERANDS_MAX, RG_CLI_COMPLETE_FILE,
     RG_CLI_BIT(FILES) | ONE_GATEWAY | RG_CLI_BIT(DRY_RUN) | WAITING, false, rg_cli_apply,
     "create or update what files describe, deploy it, and wait until it is live",
     "Takes YAML with one or several documents (Gateway, RestApi, LlmProviderTemplate, LlmProvider, LlmProxy) and "
     "directories of *.yaml and *.yml. A plan is printed first. Exit status 0 "
     "means that every gateway has acknowledged; a deployment that fails is shown with its reason and the place in the "
     "file, and what was live before stays live. What the platform has and a file describes in the same way is left as "
     "it is, unless a password stands in it, which can't be compared, or it names a secret that was set anew since it "
     "was deployed. An artifact goes to the gateways of --gateway, else to those that its annotation ringgate/gateway "
     "or its label gateway names (separated by commas), else to the only one there is. With "
     "spec.deploymentState: undeployed it is taken off them.",
     "rgctl apply -f hello.yaml\n"
     "rgctl apply -f deploy/ --gateway edge-1 --timeout 2m\n"
     "cat hello.yaml | rgctl apply -f - --dry-run\n",
     "a list of {kind, name, action: create, update or unchanged, failed, reason, gateways: [{gateway, todo: deploy, "
     "await, "
     "undeploy or none, deploymentId, result: live, requested, undeployed, timed out or failed, reason}]}, also where "
     "something failed; reason is there where it did, an error as on standard error; after --dry-run there are no "
     "failed, deploymentId, result and reason"},
    {"get", "KIND [NAME]", 1, 2, RG_CLI_COMPLETE_KIND, 0, false, rg_cli_get, "show all of a kind, or one in full",
     "KIND is gateways, rest-apis, llm-provider-templates, llm-providers or llm-proxies, in the singular, too, or the "
     "kind of a file (RestApi). KIND/NAME is understood. One is shown as a file that apply takes, in YAML or with -o "
     "json in JSON; status in it is what only the platform knows, and apply passes over it. A password is not shown, "
     "and stays what it is where a file without it is applied.",
     "rgctl get rest-apis\n"
     "rgctl get rest-api/hello-v1.0 >hello.yaml\n",
     "of a kind a list, each as the platform's API has it; one as a file that apply takes"},
    {"list", "KIND", 1, 1, RG_CLI_COMPLETE_KIND, 0, false, rg_cli_get, "show all of a kind", "The same as get KIND.",
     "rgctl list llm-providers\n", LIST_OF("what is of the kind")},
    {"delete", REFERENCE, 1, 2, RG_CLI_COMPLETE_KIND, 0, false, rg_cli_delete,
     "delete an artifact, template or gateway; gateways stop serving it", "", "rgctl delete rest-api/hello-v1.0\n",
     "{kind, name, result: deleted}"},
    {"deployments", REFERENCE, 1, 2, RG_CLI_COMPLETE_KIND, ONE_GATEWAY | RG_CLI_BIT(STATUS), false, rg_cli_deployments,
     "the deployments of an artifact, newest first, with their status",
     "LIVE says which one a gateway answers requests by. Where the newest one has FAILED, or is still on its way, that "
     "is an older one, though its status is ARCHIVED: another has taken its place in what is wanted.",
     "rgctl deployments rest-api/hello-v1.0\n"
     "rgctl deployments rest-api/hello-v1.0 --gateway edge-1 --status FAILED\n",
     LIST_OF("deployments")},
    {"history", REFERENCE " [DEPLOYMENT]", 1, 2, RG_CLI_COMPLETE_KIND, ONE_GATEWAY, false, rg_cli_history,
     "what happened to a deployment: each transition with actor and reason",
     "Without DEPLOYMENT, all of the artifact's. A beginning of its id is enough.",
     "rgctl history rest-api/hello-v1.0\n"
     "rgctl history rest-api/hello-v1.0 0199c1d3-02b4\n",
     LIST_OF("transitions") ", the oldest first"},
    {"undeploy", REFERENCE, 1, 2, RG_CLI_COMPLETE_KIND, ONE_GATEWAY | WAITING, false, rg_cli_undeploy,
     "take an artifact off a gateway, and wait until it no longer serves it", "",
     "rgctl undeploy rest-api/hello-v1.0\n", DEPLOYMENT},
    {"restore", REFERENCE " [DEPLOYMENT]", 1, 2, RG_CLI_COMPLETE_KIND, ONE_GATEWAY | WAITING, false, rg_cli_restore,
     "make an earlier deployment live again, and wait for it",
     "Without DEPLOYMENT, the one that was undeployed, or else the newest before the present one; one that was never "
     "live is passed over for one that was. A beginning of its id is enough.",
     "rgctl restore rest-api/hello-v1.0\n"
     "rgctl restore rest-api/hello-v1.0 0199c1d3-02b4\n",
     DEPLOYMENT},
    {"gateway list", "", 0, 0, RG_CLI_COMPLETE_NOTHING, 0, false, rg_cli_gateway_list,
     "gateways, and whether they are connected", "", "rgctl gateway list\n", LIST_OF("gateways")},
    {"gateway create", "NAME", 1, 1, RG_CLI_COMPLETE_NOTHING, RG_CLI_BIT(DISPLAY_NAME) | RG_CLI_BIT(DESCRIPTION), false,
     rg_cli_gateway_create, "make a gateway known", "It connects with a token: see token create.",
     "rgctl gateway create edge-1 --display-name 'Edge 1'\n", "the gateway, as the platform's API has it"},
    {"gateway delete", "NAME", 1, 1, RG_CLI_COMPLETE_NOTHING, 0, false, rg_cli_gateway_delete,
     "forget a gateway and its tokens; what it serves is undeployed", "", "rgctl gateway delete edge-1\n",
     "{kind: Gateway, name, result: deleted}"},
    {"token create", "GATEWAY", 1, 1, RG_CLI_COMPLETE_NOTHING, 0, false, rg_cli_token_create,
     "make a token with which a gateway connects",
     "The token is printed alone on standard output, this once: the platform keeps its hash. A gateway has at most "
     "two, "
     "so that one can be replaced while the other is in use.",
     "rgctl token create edge-1 >/etc/ringgate/token\n", "{id, token, ...}, as the platform's API has it"},
    {"token list", "GATEWAY", 1, 1, RG_CLI_COMPLETE_NOTHING, 0, false, rg_cli_token_list, "the tokens of a gateway", "",
     "rgctl token list edge-1\n", LIST_OF("tokens")},
    {"token revoke", "GATEWAY TOKEN-ID", 2, 2, RG_CLI_COMPLETE_NOTHING, 0, false, rg_cli_token_revoke,
     "make a token worthless; connections made with it are closed", "",
     "rgctl token revoke edge-1 5d3c2c1e-5a0e-4a1b-8d2a-1b1f0f7f3c11\n",
     "{kind: GatewayToken, gateway, id, result: revoked}"},
    {"api-key create", REFERENCE " NAME", 2, 2, RG_CLI_COMPLETE_KIND, RG_CLI_BIT(EXPIRES), false, rg_cli_key_create,
     "make a key with which clients call an artifact that has api-key-auth",
     "The key is printed alone on standard output, this once.",
     "rgctl api-key create rest-api/hello-v1.0 ci --expires 720h\n",
     "{name, apiKey, ...}, as the platform's API has it"},
    {"api-key list", REFERENCE, 1, 1, RG_CLI_COMPLETE_KIND, 0, false, rg_cli_key_list, "the keys of an artifact", "",
     "rgctl api-key list rest-api/hello-v1.0\n", LIST_OF("keys")},
    {"api-key revoke", REFERENCE " NAME", 2, 2, RG_CLI_COMPLETE_KIND, 0, false, rg_cli_key_revoke,
     "make a key worthless", "", "rgctl api-key revoke rest-api/hello-v1.0 ci\n",
     "{kind: ApiKey, artifact: KIND/NAME, name, result: revoked}"},
    {"secret set", "NAME", 1, 1, RG_CLI_COMPLETE_NOTHING, RG_CLI_BIT(FILES), false, rg_cli_secret_set,
     "keep a secret that artifacts name as {{ secret \"NAME\" }}",
     "The secret is the text of --file (a newline at its end does not count), or of standard input with --file -. The "
     "platform keeps it sealed and gives it to gateways whose deployments name it; nobody is shown it again. What is "
     "live keeps the value that it "
     "began with: after a change, apply again what names it.",
     "rgctl secret set openai-key -f openai.key\n", "{kind: Secret, name, result: created or replaced}"},
    {"secret list", "", 0, 0, RG_CLI_COMPLETE_NOTHING, 0, false, rg_cli_secret_list, "the names of secrets", "",
     "rgctl secret list\n", LIST_OF("secrets")},
    {"secret delete", "NAME", 1, 1, RG_CLI_COMPLETE_NOTHING, 0, false, rg_cli_secret_delete, "forget a secret", "",
     "rgctl secret delete openai-key\n", "{kind: Secret, name, result: deleted}"},
    {"access-token create", "NAME", 1, 1, RG_CLI_COMPLETE_NOTHING, RG_CLI_BIT(ROLE) | RG_CLI_BIT(EXPIRES), false,
     rg_cli_access_create, "make a token for an operator or a program",
     "It is printed alone on standard output, this once. NAME stands in histories as the actor.",
     "rgctl access-token create ci --role operator --expires 720h >ci.token\n",
     "{id, name, role, token, ...}, as the platform's API has it"},
    {"access-token list", "", 0, 0, RG_CLI_COMPLETE_NOTHING, 0, false, rg_cli_access_list,
     "tokens of operators and programs", "", "rgctl access-token list\n", LIST_OF("tokens")},
    {"access-token revoke", "TOKEN-ID", 1, 1, RG_CLI_COMPLETE_NOTHING, 0, false, rg_cli_access_revoke,
     "make such a token worthless", "", "rgctl access-token revoke 5d3c2c1e-5a0e-4a1b-8d2a-1b1f0f7f3c11\n",
     "{kind: AccessToken, id, result: revoked}"},
    {"events", "", 0, 0, RG_CLI_COMPLETE_NOTHING, RG_CLI_BIT(COUNT) | RG_CLI_BIT(TIMEOUT), false, rg_cli_events,
     "what happens on the platform, as it happens",
     "Follows until it is interrupted, --count events have come, or --timeout has passed (exit status 3); "
     "ends with status 1 when the platform does.",
     "rgctl events\n"
     "rgctl events -o json | jq .type\n",
     "an object a line, as soon as it has come, as the platform's stream has it"},
    {"completion", "", 0, 0, RG_CLI_COMPLETE_NOTHING, 0, true, rg_cli_completion, "print the completion for bash", "",
     "source <(rgctl completion)\n", ""},
    {"help", "[COMMAND]", 0, 2, RG_CLI_COMPLETE_NOTHING, 0, true, rg_cli_help, "print help, of a command or of all", "",
     "rgctl help apply\n", ""},
};
const unsigned rg_cli_commands_count = sizeof(rg_cli_commands) / sizeof(rg_cli_commands[0]);

static bool is_named(const struct rg_cli_command *c, char **words, unsigned n, unsigned *ret_words)
{
    const char *blank = strchr(c->name, ' ');
    size_t first = blank ? (size_t)(blank - c->name) : strlen(c->name);
    if (n == 0 || strlen(words[0]) != first || strncmp(words[0], c->name, first) != 0)
        return false;
    *ret_words = blank ? 2 : 1;
    return !blank || (n > 1 && strcmp(words[1], blank + 1) == 0);
}

const struct rg_cli_command *rg_cli_command_of(char **words, unsigned n, unsigned *ret_words)
{
    for (unsigned i = 0; i < rg_cli_commands_count; i++)
        if (is_named(&rg_cli_commands[i], words, n, ret_words))
            return &rg_cli_commands[i];
    return NULL;
}

bool rg_cli_command_begins(const struct rg_cli_command *command, const char *word)
{
    size_t len = strlen(word);
    return strncmp(command->name, word, len) == 0 && (command->name[len] == '\0' || command->name[len] == ' ');
}

/* What was typed may be a command of two words, or one of one word with operands. */
const char *rg_cli_command_meant(char **words, unsigned n)
{
    char both[64];
    const char *best = NULL;
    unsigned best_distance = 0, distance;
    if (n == 0)
        return NULL;
    snprintf(both, sizeof(both), "%s%s%s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
    for (unsigned i = 0; i < rg_cli_commands_count; i++) {
        const char *name = rg_cli_commands[i].name;
        const char *typed = strchr(name, ' ') ? both : words[0];
        if (rg_conf_is_near(rg_str_of(typed), rg_str_of(name), &distance) && (!best || distance < best_distance)) {
            best = name;
            best_distance = distance;
        }
    }
    return best;
}
