/*
 * The platform's options: flags and file, decoded into struct rg_platform_settings. Declared once in options.def.
 * Thread: main, before any other starts; the control thread for a reload.
 */
#ifndef RG_PLATFORM_OPTIONS_H
#define RG_PLATFORM_OPTIONS_H

#include "control/common/conf.h"
#include "control/common/flags.h"
#include "control/options/options.h"

#define RG_PLATFORM_DATA_MAX       200 /* bytes of the data directory's path */
#define RG_PLATFORM_CONFIG_DEFAULT "/etc/ringgate/platform.yaml"

struct rg_platform_settings {
    struct rg_settings front; /* of the workers in front of it; first */
    char data[256];
    uint32_t timeout_ms, sweep_ms;
    uint8_t timeout_mode; /* enum rg_timeout_mode */
    uint32_t kept;
    uint32_t connections, connections_per_gateway, connects_per_minute, streams; /* none is 0 once loaded */
    uint32_t ping_ms, pong_ms;
};

struct rg_platform_flags {
    const char *config_path; /* -c, or the default path */
    bool config_given;
    bool check_only, show_version, show_help;
    struct rg_flag_values listen;
    const char *data, *database, *admin; /* NULL: not given */
};

extern const struct rg_conf_table rg_platform_options_table;
extern const struct rg_flag_table rg_platform_flags_table;

int rg_platform_flags_parse(int argc, char **argv, struct rg_platform_flags *ret, FILE *err);
void rg_platform_flags_help(FILE *out);

/* Defaults, then the file, then the flags. All errors at once to err; negative errno then, and *ret is untouched. */
int rg_platform_options_load(const struct rg_platform_flags *flags, const struct rg_options_outside *outside,
                             struct rg_platform_settings *ret, FILE *err);

bool rg_platform_has_file(const struct rg_platform_flags *flags);

/* Whether this is the certificate that the platform makes itself, in its data directory. */
bool rg_platform_is_own_certificate(const struct rg_platform_settings *settings, const char *cert);

#endif
