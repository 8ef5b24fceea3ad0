/* Why: from defaults, file and flags to the platform's checked settings. Thread: see options.h. */
#include "control/platform/options.h"

#include <unistd.h>

#include "control/options/options_load.h"
#include "datapath/base/assert.h"

static const char *const default_listen[] = {"127.0.0.1:9080", NULL};

static const struct rg_platform_flags *flags_of(const struct rg_options_load *l)
{
    return l->from->flags;
}

static struct rg_platform_settings *settings_of(const struct rg_options_load *l)
{
    return l->target;
}

int rg_platform_flags_parse(int argc, char **argv, struct rg_platform_flags *ret, FILE *err)
{
    struct rg_platform_flags given = {0};
    int r = rg_flags_take(&rg_platform_flags_table, argc, argv, &given, err);
    if (r < 0)
        return r;
    given.config_given = given.config_path != NULL;
    if (!given.config_given)
        given.config_path = RG_PLATFORM_CONFIG_DEFAULT;
    *ret = given;
    return 0;
}

void rg_platform_flags_help(FILE *out)
{
    fputs("Usage: ringgate-platform [-t] [-c FILE] [--listen ADDR]... [--data DIR] [--admin ADDR|off]\n\n"
          "The control plane of ringgate's gateways: what is to be deployed, and what became of it. Flags win over the "
          "file.\n\n",
          out);
    rg_flags_list(&rg_platform_flags_table, out);
    fputs(
        "\nWithout a listener it takes http on 127.0.0.1:9080 and https on port 9243, with a certificate of its own\n"
        "making. The first start writes DATA/admin.token, which rgctl needs. Options of the file: docs/PLATFORM.md.\n",
        out);
}

bool rg_platform_has_file(const struct rg_platform_flags *flags)
{
    return flags->config_given || access(flags->config_path, F_OK) == 0;
}

static void own_certificate(const struct rg_platform_settings *s, struct rg_certificate_settings *ret)
{
    snprintf(ret->cert, sizeof(ret->cert), "%.*s/tls.crt", RG_PLATFORM_DATA_MAX, s->data);
    snprintf(ret->key, sizeof(ret->key), "%.*s/tls.key", RG_PLATFORM_DATA_MAX, s->data);
}

bool rg_platform_is_own_certificate(const struct rg_platform_settings *settings, const char *cert)
{
    struct rg_certificate_settings own;
    own_certificate(settings, &own);
    return strcmp(cert, own.cert) == 0;
}

/* https beside http where nobody has said where to listen. */
static void add_https(struct rg_options_load *l)
{
    struct rg_settings *front = l->settings;
    struct rg_address_error why;
    if (flags_of(l)->listen.n > 0 || rg_options_is_given(l, "listeners"))
        return;
    struct rg_listener_settings *https = &front->listeners[front->n_listeners++];
    RG_ASSERT(rg_address_parse(RG_STR("[::]:9243"), RG_ADDRESS_LISTEN, &https->address, &why));
    https->tls.n_certificates = 1;
    own_certificate(settings_of(l), &https->tls.certificates[0]);
}

/* Names of files in it have to fit. */
static void check_data(struct rg_options_load *l)
{
    char got[48];
    size_t len = strlen(settings_of(l)->data);
    if (len <= RG_PLATFORM_DATA_MAX)
        return;
    snprintf(got, sizeof(got), "a path of %zu bytes", len);
    rg_conf_errors_add(&l->errors, rg_options_mark_of(l, "data"), "data", got,
                       "a directory whose path has at most 200 bytes", NULL);
}

/* What the datapath is told of the platform behind it: it is never down, and may take its time with a stream. */
static void settle_front(struct rg_settings *front)
{
    front->replica_idle = UINT16_MAX;
    front->replica_idle_ms = 4000; /* shorter than the server behind keeps them */
    front->health.enabled = false;
    front->health.is_self = true;
    front->steering = RG_STEERING_OFF;
}

static void check_database(struct rg_options_load *l)
{
    char got[RG_CONF_TEXT_MAX];
    if (!flags_of(l)->database)
        return;
    rg_conf_quote(rg_str_of(flags_of(l)->database), got, sizeof(got));
    rg_conf_errors_add(&l->errors, (struct rg_conf_mark){0, 0}, "--database", got, "the flag left out",
                       "this version keeps its SQLite database in --data DIR");
}

static void check_heartbeat(struct rg_options_load *l)
{
    char got[32], ping[32], wanted[96];
    if (settings_of(l)->pong_ms > settings_of(l)->ping_ms)
        return;
    rg_conf_format_duration(settings_of(l)->pong_ms, got, sizeof(got));
    rg_conf_format_duration(settings_of(l)->ping_ms, ping, sizeof(ping));
    snprintf(wanted, sizeof(wanted), "more than websocket.ping_interval, which is %s", ping);
    rg_conf_errors_add(&l->errors, rg_options_mark_of(l, "websocket.pong_timeout"), "websocket.pong_timeout", got,
                       wanted, NULL);
}

static void settle_share(struct rg_platform_settings *s)
{
    if (s->connections_per_gateway == 0)
        s->connections_per_gateway = s->connections / 2 + s->connections % 2;
}

static void load_rest(struct rg_options_load *l)
{
    rg_options_load_flag(l, "--data", "data", flags_of(l)->data);
    rg_options_load_flag(l, "--admin", "admin.address", flags_of(l)->admin);
    rg_options_check_listeners(l);
    rg_options_check_limits(l);
    check_data(l);
    check_database(l);
    check_heartbeat(l);
    add_https(l);
    settle_share(settings_of(l));
    settle_front(l->settings);
}

int rg_platform_options_load(const struct rg_platform_flags *flags, const struct rg_options_outside *outside,
                             struct rg_platform_settings *ret, FILE *err)
{
    const struct rg_options_source from = {
        .table = &rg_platform_options_table,
        .size = sizeof(*ret),
        .flags = flags,
        .config_path = flags->config_path,
        .config_given = flags->config_given,
        .may_be_missing = true,
        .listen = &flags->listen,
        .default_listen = default_listen,
        .outside = outside,
    };
    return rg_options_load_run(&from, load_rest, ret, err);
}
