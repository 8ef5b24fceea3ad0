/* ringgate-platform: options, then platform.c. Thread: main becomes the control thread. */
#include <stdlib.h>

#include "control/gateway/certificates.h"
#include "control/platform/platform.h"
#include "control/platform/store_look.h"

static const char *source(const struct rg_platform_flags *flags)
{
    return rg_platform_has_file(flags) ? flags->config_path : "flags";
}

static int check(const struct rg_platform_flags *flags, const struct rg_platform_settings *settings)
{
    struct rg_store_look look;
    rg_store_look(settings->data, &look);
    rg_certificates_warn(&settings->front, source(flags), stderr);
    if (look.wrong[0] || look.known[0])
        fprintf(stderr, "%s: data: %s\n", source(flags), look.wrong[0] ? look.wrong : look.known);
    if (look.wrong[0])
        return RG_EXIT_USAGE;
    printf("%s: ok\n", rg_platform_has_file(flags) ? flags->config_path : "flags, without a file");
    return EXIT_SUCCESS;
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
    if (flags.check_only)
        return check(&flags, &settings);
    return rg_platform_run(&flags, &settings);
}
