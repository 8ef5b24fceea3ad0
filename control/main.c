/*
 * ringgate: options, listeners, steering, workers, then the control loop until all workers have drained.
 * Thread: main is the control thread; nothing of the datapath runs here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/agent/remote.h"
#include "control/agent/state_dir.h"
#include "control/common/address.h"
#include "control/gateway/access_trouble.h"
#include "control/gateway/certificates.h"
#include "control/gateway/gateway.h"
#include "control/gateway/listen_inherit.h"
#include "datapath/base/log.h"

static int start(struct rg_gateway *g, const struct rg_flags *flags, const struct rg_settings *settings)
{
    if (rg_gateway_init(g, flags, settings, NULL) < 0) {
        rg_error("can't set up the control thread: no memory or no descriptor");
        return RG_EXIT_FAILED;
    }
    if (rg_gateway_load_agent(g) < 0 || rg_gateway_load_certificates(g) < 0 || rg_gateway_open_listeners(g) < 0)
        return RG_EXIT_USAGE;
    rg_gateway_load_steering(g);
    rg_gateway_settle_sockmap(g, &g->current->settings);
    if (rg_gateway_start_workers(g) < 0)
        return RG_EXIT_FAILED;
    return EXIT_SUCCESS;
}

static int run(const struct rg_flags *flags, const struct rg_settings *settings)
{
    static struct rg_gateway gateway;
    int status = start(&gateway, flags, settings);
    if (status == EXIT_SUCCESS)
        status = rg_gateway_serve(&gateway);
    rg_gateway_fini(&gateway);
    return status;
}

static const char *name_of(const struct rg_flags *flags)
{
    return rg_options_has_file(flags) ? flags->config_path : "flags";
}

/* No error: whoever starts the gateway may have rights that the checker has not, and make the directory first. */
static void warn_of_access_log(const struct rg_flags *flags, const struct rg_settings *s)
{
    char remedy[RG_ACCESS_REMEDY_MAX];
    int r = s->access_log ? rg_access_check(s->access_log_path) : 0;
    if (r == 0)
        return;
    fprintf(stderr, "%s: warning: access_log.path: can't write %s: %s; %s\n", name_of(flags), s->access_log_path,
            strerror(-r), rg_access_remedy(s->access_log_path, -r, remedy));
}

/* No error: of two sockets that were inherited somebody else has made sure. */
static void warn_of_listeners(const struct rg_flags *flags, const struct rg_settings *s)
{
    for (unsigned i = 1; i < s->n_listeners; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct rg_address *a = &s->listeners[i].address, *earlier = &s->listeners[j].address;
            if (!rg_address_overlaps(a, earlier))
                continue;
            fprintf(stderr, "%s: warning: %s: got %s, which the listener %s takes already: leave one of the two out\n",
                    name_of(flags), flags->listen.n > 0 ? "--listen" : "listeners", a->text, earlier->text);
        }
    }
}

/* No error: whoever starts the gateway may make it first (systemd: StateDirectory=). */
static void warn_of_state(const struct rg_flags *flags, const struct rg_control_settings *s)
{
    char why[RG_STATE_DIR_WHY_MAX];
    if (s->url[0] && rg_state_dir_check(s->state_dir, why) < 0)
        fprintf(stderr, "%s: warning: control.state_dir: %s\n", name_of(flags), why);
}

static void warn_of_control(void *flags, const char *text)
{
    fprintf(stderr, "%s: warning: %s\n", name_of(flags), text);
}

static void inspect(const struct rg_settings *s, struct rg_options_findings *findings)
{
    rg_certificates_inspect(s, findings);
    rg_remote_inspect(s, findings);
}

int main(int argc, char **argv)
{
    static struct rg_settings settings;
    static struct rg_address v6_only[RG_LISTENERS_MAX];
    const struct rg_options_outside outside = {.inspect = inspect};
    struct rg_flags flags;
    if (rg_flags_parse(argc, argv, &flags, stderr) < 0)
        return RG_EXIT_USAGE;
    if (flags.show_help) {
        rg_flags_help(stdout);
        return EXIT_SUCCESS;
    }
    if (flags.show_version) {
        printf("ringgate %s\n", RG_VERSION);
        return EXIT_SUCCESS;
    }
    flags.v6_only = v6_only;
    flags.n_v6_only = rg_inherit_v6_only(v6_only, RG_LISTENERS_MAX);
    if (rg_options_load_with(&flags, &outside, &settings, stderr) < 0)
        return RG_EXIT_USAGE;
    if (flags.check_only) {
        warn_of_access_log(&flags, &settings);
        warn_of_listeners(&flags, &settings);
        rg_certificates_warn(&settings, name_of(&flags), stderr);
        warn_of_state(&flags, &settings.control);
        rg_remote_warn(&settings.control, warn_of_control, &flags);
        printf("%s: ok\n", rg_options_has_file(&flags) ? flags.config_path : "flags, without a file");
        return EXIT_SUCCESS;
    }
    return run(&flags, &settings);
}
