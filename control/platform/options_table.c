/* Why: makes the tables of options.def and of the flags. Thread: any (constant data). */
#include "control/options/options_rows.h"
#include "control/platform/options.h"
#include "control/platform/store.h"

static const struct rg_conf_word words_timeout_mode[] = {
    {"strict", RG_TIMEOUT_STRICT, NULL},
    {"lenient", RG_TIMEOUT_LENIENT, NULL},
    {0},
};

#define RG_PLATFORM_OPTION(p, t, m, d, ...)                 \
    {.path = p,                                             \
     .type = RG_CONF_##t,                                   \
     .offset = offsetof(struct rg_platform_settings, m),    \
     .size = sizeof(((struct rg_platform_settings *)0)->m), \
     .preset = d,                                           \
     __VA_ARGS__},

static const struct rg_conf_option options[] = {
#include "control/platform/options.def"
};

const struct rg_conf_table rg_platform_options_table = {options, sizeof(options) / sizeof(options[0])};

#define VIEW(member) offsetof(struct rg_platform_flags, member)

static const struct rg_flag flags[] = {
    {'c', "config", "FILE", RG_FLAG_TEXT, VIEW(config_path),
     "configuration, YAML (default " RG_PLATFORM_CONFIG_DEFAULT ", if it is there)"},
    {'t', "test", NULL, RG_FLAG_SWITCH, VIEW(check_only), "check the configuration and exit: 0 good, 2 not"},
    {'V', "version", NULL, RG_FLAG_SWITCH, VIEW(show_version), "print the version and exit"},
    {'h', "help", NULL, RG_FLAG_SWITCH, VIEW(show_help), "print this and exit"},
    {0, "listen", "ADDR", RG_FLAG_LIST, VIEW(listen),
     "where rgctl and gateways connect, without TLS; may be given several times"},
    {0, "data", "DIR", RG_FLAG_TEXT, VIEW(data), "database, keys and admin.token (default /var/lib/ringgate-platform)"},
    {0, "admin", "ADDR|off", RG_FLAG_TEXT, VIEW(admin), "metrics and state, without authentication (default off)"},
    {0, "database", "URL", RG_FLAG_TEXT, VIEW(database), NULL},
};

const struct rg_flag_table rg_platform_flags_table = {flags, sizeof(flags) / sizeof(flags[0])};
