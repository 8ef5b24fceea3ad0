/* ringgate-platform: options, then platform.c. Thread: main becomes the control thread. */
#include <stdlib.h>

#include "control/gateway/certificates.h"
#include "control/platform/platform.h"

static const char *source(const struct rg_platform_flags *flags)
{
    return rg_platform_has_file(flags) ? flags->config_path : "flags";
}

int main(int argc, char **argv)
{
    static struct rg_platform_settings settings;
    const struct rg_options_outside outside = {.inspect = rg_certificates_inspect};
    struct rg_platform_flags flags;
    if (rg_platform_flags_parse(argc, argv, &flags, stderr) < 0)
        return RG_EXIT_USAGE;
    if (flags.show_help) {
        rg_platform_flags_help(stdout);
        return EXIT_SUCCESS;
    }
    if (flags.show_version) {
        printf("ringgate-platform %s\n", RG_VERSION);
        return EXIT_SUCCESS;
    }
    if (rg_platform_options_load(&flags, &outside, &settings, stderr) < 0)
        return RG_EXIT_USAGE;
    if (flags.check_only) {
        rg_certificates_warn(&settings.front, source(&flags), stderr);
        printf("%s: ok\n", rg_platform_has_file(&flags) ? flags.config_path : "flags, without a file");
        return EXIT_SUCCESS;
    }
    return rg_platform_run(&flags, &settings);
}
