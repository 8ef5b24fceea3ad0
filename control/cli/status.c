/* `rgctl status`: the platform and its gateways, or one gateway by its admin endpoint. Thread: one. */
#include <string.h>

#include "control/cli/commands.h"
#include "control/cli/kinds.h"
#include "control/common/address.h"

static void print_count(const char *status, const json_t *count)
{
    fputs("Deployments ", stdout);
    rg_output_text(status, 64, stdout);
    printf(": %lld\n", json_integer_value(count));
}

static void print_platform(const struct rg_cli *cli, const json_t *about, const json_t *gateways)
{
    const char *version = rg_cli_text(about, "version");
    const json_t *counts = json_object_get(about, "deployments");
    size_t connected = 0;
    for (size_t i = 0; i < json_array_size(gateways); i++)
        connected += json_is_true(json_object_get(json_array_get(gateways, i), "isActive"));
    printf("Platform %s: ", cli->client.config.url);
    rg_output_status("ready", cli->style.color, stdout);
    fputs(version[0] ? ", version " : "", stdout);
    rg_output_text(version, 64, stdout);
    printf("\nGateways: %zu of %zu connected\n", connected, json_array_size(gateways));
    for (void *i = json_object_iter((json_t *)(uintptr_t)counts); i;
         i = json_object_iter_next((json_t *)(uintptr_t)counts, i))
        print_count(json_object_iter_key(i), json_object_iter_value(i));
    fputc('\n', stdout);
    rg_output_table(&cli->style, rg_cli_gateways->columns, rg_cli_gateways->n_columns, gateways,
                    "No gateways. Make one with: rgctl gateway create NAME", stdout);
}

static enum rg_cli_status of_platform(struct rg_cli *cli)
{
    json_t *gateways = NULL, *about = NULL;
    enum rg_cli_status s = rg_cli_list(cli, "ask the platform for its gateways", "/gateways", &gateways);
    if (s == RG_CLI_DONE)
        s = rg_cli_find(cli, "ask the platform for its state", "/status", &about);
    if (s == RG_CLI_DONE && cli->style.format == RG_OUTPUT_TABLE) {
        print_platform(cli, about, gateways);
    } else if (s == RG_CLI_DONE) {
        json_t *all =
            json_pack("{s:s,s:O*,s:O}", "platform", cli->client.config.url, "status", about, "gateways", gateways);
        rg_output_value(cli->style.format, all, stdout);
        json_decref(all);
    }
    json_decref(about);
    json_decref(gateways);
    return s;
}

/* ---- an admin endpoint ---- */

static bool ask(struct rg_client *client, const char *path, struct rg_client_answer *ret)
{
    if (rg_client_call(client, "GET", path, NULL, ret) == 0)
        return true;
    rg_cli_complain("can't ask the gateway: %s", client->trouble);
    return false;
}

static void print_replica(const json_t *ready)
{
    const char *detail = rg_cli_text(ready, "detail");
    fputs("Replica: ", stdout);
    rg_output_text(rg_cli_text(ready, "replica"), 64, stdout);
    if (detail[0]) {
        fputs(" (", stdout);
        rg_output_text(detail, 512, stdout);
        fputc(')', stdout);
    }
    fputs("\n\n", stdout);
}

static void print_gateway(const struct rg_cli *cli, const char *where, const json_t *ready, const json_t *workers)
{
    static const struct rg_output_column columns[] = {
        {"WORKER", "worker", RG_OUTPUT_PLAIN},
        {"CLIENTS", "counters.connections_open", RG_OUTPUT_PLAIN},
        {"REQUESTS", "counters.exchanges_open", RG_OUTPUT_PLAIN},
        {"ACCEPTED", "counters.connections_accepted_total", RG_OUTPUT_PLAIN},
        {"STEERED", "steering.active", RG_OUTPUT_YES_NO},
        {"HUNG", "hung", RG_OUTPUT_YES_NO},
    };
    bool is_ready = json_is_true(json_object_get(ready, "ready"));
    const json_t *reasons = json_object_get(ready, "reasons");
    printf("Gateway %s: ", where);
    rg_output_status(is_ready ? "ready" : "not ready", cli->style.color, stdout);
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        fputs(i == 0 ? " (" : ", ", stdout);
        const char *reason = json_string_value(json_array_get(reasons, i));
        rg_output_text(reason ? reason : "?", 64, stdout);
    }
    fputs(json_array_size(reasons) > 0 ? ")\n" : "\n", stdout);
    print_replica(ready);
    rg_output_table(&cli->style, columns, sizeof(columns) / sizeof(columns[0]), workers, "No workers.", stdout);
}

static json_t *gateway_value(const char *where, json_t *ready, json_t *workers)
{
    return json_pack("{s:s,s:O,s:O,s:O*,s:O*,s:O}", "admin", where, "ready", json_object_get(ready, "ready"), "reasons",
                     json_object_get(ready, "reasons"), "replica", json_object_get(ready, "replica"), "detail",
                     json_object_get(ready, "detail"), "workers", workers);
}

static bool is_ready_answer(const struct rg_client_answer *a)
{
    return (a->status == 200 || a->status == 503) && json_is_boolean(json_object_get(a->json, "ready")) &&
           json_is_array(json_object_get(a->json, "reasons"));
}

static enum rg_cli_status of_admin(struct rg_cli *cli, struct rg_client *client, const char *where)
{
    struct rg_client_answer ready = {0}, workers = {0};
    enum rg_cli_status s = RG_CLI_FAILED;
    if (!ask(client, "/ready", &ready) || !ask(client, "/workers", &workers))
        goto out;
    json_t *list = json_object_get(workers.json, "workers");
    if (!is_ready_answer(&ready) || !json_is_array(list)) {
        rg_cli_complain("%s answered %ld to /ready and %ld to /workers, not as a gateway's admin endpoint does", where,
                        ready.status, workers.status);
        goto out;
    }
    if (cli->style.format == RG_OUTPUT_TABLE) {
        print_gateway(cli, where, ready.json, list);
    } else {
        json_t *all = gateway_value(where, ready.json, list);
        rg_output_value(cli->style.format, all, stdout);
        json_decref(all);
    }
    s = ready.status == 200 ? RG_CLI_DONE : RG_CLI_FAILED;
out:
    rg_client_answer_fini(&ready);
    rg_client_answer_fini(&workers);
    return s;
}

static enum rg_cli_status of_gateway(struct rg_cli *cli)
{
    struct rg_address address;
    struct rg_address_error why;
    struct rg_client client;
    char url[RG_ADDRESS_TEXT_MAX + 16];
    if (!rg_address_parse(rg_str_of(cli->options.admin), RG_ADDRESS_LOCAL, &address, &why)) {
        rg_cli_complain("--admin: got \"%s\", wanted %s%s%s", cli->options.admin, why.wanted, why.hint[0] ? "; " : "",
                        why.hint);
        return RG_CLI_USAGE;
    }
    bool is_unix = strncmp(address.text, "unix:", 5) == 0;
    snprintf(url, sizeof(url), "http://%s", is_unix ? "localhost" : address.text);
    const struct rg_client_config config = {
        .url = url, .unix_socket = is_unix ? address.text + 5 : NULL, .is_admin = true};
    if (rg_client_init(&client, &config) < 0) {
        rg_cli_complain("%s", client.trouble);
        return RG_CLI_FAILED;
    }
    enum rg_cli_status s = of_admin(cli, &client, address.text);
    rg_client_fini(&client);
    return s;
}

enum rg_cli_status rg_cli_status_of(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    (void)operands;
    return cli->options.admin ? of_gateway(cli) : of_platform(cli);
}
