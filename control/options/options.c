/*
 * Why: from defaults, file and flags to checked settings. Thread: control thread, or main before it starts.
 */
#include "control/options/options.h"

#include <unistd.h>

#include "control/options/options_load.h"
#include "control/options/options_table.h"

#define REPLICA_WANTED "the address of the service behind the gateway"

static const struct rg_flags *flags_of(const struct rg_options_load *l)
{
    return l->from->flags;
}

static const char *const default_listen[] = {"[::]:80", NULL};
static const struct rg_conf_mark no_mark = {0, 0};

bool rg_options_has_file(const struct rg_flags *flags)
{
    return flags->config_given || access(flags->config_path, F_OK) == 0;
}

bool rg_options_by_flag(const struct rg_flags *flags, bool given)
{
    return given || !rg_options_has_file(flags);
}

/* --- the flags --- */

static void load_flags(struct rg_options_load *l)
{
    rg_options_load_flag(l, "--replica", "replica.address", flags_of(l)->replica);
    rg_options_load_flag(l, "--workers", "workers", flags_of(l)->workers);
    rg_options_load_flag(l, "--admin", "admin.address", flags_of(l)->admin);
    rg_options_load_flag(l, "--control", "control.url", flags_of(l)->control);
    rg_options_load_flag(l, "--token-file", "control.token_file", flags_of(l)->token_file);
    rg_options_load_flag(l, "--state-dir", "control.state_dir", flags_of(l)->state_dir);
}

/* --- what options mean together --- */

static void check_replica(struct rg_options_load *l)
{
    if (l->settings->replica.len > 0 || flags_of(l)->replica || rg_options_is_given(l, "replica.address"))
        return;
    if (rg_conf_errors_any(&l->errors) && !rg_options_file_was_read(l))
        return; /* the file that may have it could not be read: one error says that already */
    rg_conf_errors_add(&l->errors, rg_options_mark_of(l, "replica"), "replica.address", "nothing", REPLICA_WANTED,
                       "give it here or by --replica ADDR");
}

/* An address of h2c:// says what is spoken there; a flag's says it for the file, too. */
static void check_replica_protocol(struct rg_options_load *l)
{
    struct rg_settings *s = l->settings;
    if (!s->replica.h2c)
        return;
    if (!flags_of(l)->replica && rg_options_is_given(l, "replica.protocol") && s->replica_protocol != RG_REPLICA_H2C)
        rg_conf_errors_add(&l->errors, rg_options_mark_of(l, "replica.protocol"), "replica.protocol", "\"http1\"",
                           "h2c, as replica.address says", "leave it out, or write the address without h2c://");
    s->replica_protocol = RG_REPLICA_H2C;
}

static void refuse_place(struct rg_options_load *l, const char *path, const char *flag, const char *given,
                         const char *got, const char *wanted, const char *remedy)
{
    bool by_flag = rg_options_by_flag(flags_of(l), given != NULL);
    rg_conf_errors_add(&l->errors, by_flag ? no_mark : rg_options_mark_of(l, path), by_flag ? flag : path, got, wanted,
                       remedy);
}

/* The admin endpoint must not sit where clients connect: it has no authentication. */
static void check_admin(struct rg_options_load *l)
{
    const struct rg_settings *s = l->settings;
    for (unsigned i = 0; i < s->n_listeners && s->admin_enabled; i++) {
        char name[RG_ADDRESS_TEXT_MAX + 32], got[2 * RG_ADDRESS_TEXT_MAX + 80];
        if (s->listeners[i].address.len == 0 || !rg_address_overlaps(&s->admin, &s->listeners[i].address))
            continue;
        rg_options_name_listener(l, i, name, sizeof(name));
        snprintf(got, sizeof(got), "\"%s\", where clients connect (%s)", s->admin.text, name);
        refuse_place(l, "admin.address", "--admin", flags_of(l)->admin, got, "an address of its own", NULL);
    }
}

/* A request must not go round in a circle, nor a client's reach the admin endpoint. */
static void check_loop(struct rg_options_load *l)
{
    const struct rg_settings *s = l->settings;
    char name[RG_ADDRESS_TEXT_MAX + 32], got[2 * RG_ADDRESS_TEXT_MAX + 80];
    if (s->replica.len == 0)
        return;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        if (s->listeners[i].address.len == 0 || !rg_address_reaches(&s->listeners[i].address, &s->replica))
            continue;
        rg_options_name_listener(l, i, name, sizeof(name));
        snprintf(got, sizeof(got), "\"%s\", where the gateway itself listens (%s)", s->replica.text, name);
        refuse_place(l, "replica.address", "--replica", flags_of(l)->replica, got, REPLICA_WANTED,
                     "requests would go round in a circle");
        return;
    }
    if (!s->admin_enabled || !rg_address_reaches(&s->admin, &s->replica))
        return;
    snprintf(got, sizeof(got), "\"%s\", which is the admin endpoint (%s)", s->replica.text,
             rg_options_by_flag(flags_of(l), flags_of(l)->admin != NULL) ? "--admin" : "admin.address");
    refuse_place(l, "replica.address", "--replica", flags_of(l)->replica, got, REPLICA_WANTED,
                 "clients would reach the admin endpoint");
}

/* Without a token no control plane knows the gateway; a wait that can't grow is a slip. */
static void check_control(struct rg_options_load *l)
{
    const struct rg_control_settings *s = &l->settings->control;
    char got[32], initial[32], wanted[96];
    bool by_flag = rg_options_by_flag(flags_of(l), flags_of(l)->control != NULL);
    if (s->url[0] && !s->token_file[0] && !flags_of(l)->token_file)
        rg_conf_errors_add(&l->errors, by_flag ? no_mark : rg_options_mark_of(l, "control"),
                           by_flag ? "--token-file" : "control.token_file", "nothing",
                           "a file with the gateway's registration token", "control.url needs it");
    if (s->reconnect_max_ms >= s->reconnect_initial_ms)
        return;
    rg_conf_format_duration(s->reconnect_max_ms, got, sizeof(got));
    rg_conf_format_duration(s->reconnect_initial_ms, initial, sizeof(initial));
    snprintf(wanted, sizeof(wanted), "at least control.reconnect_initial, which is %s", initial);
    rg_conf_errors_add(&l->errors, rg_options_mark_of(l, "control.reconnect_max"), "control.reconnect_max", got, wanted,
                       NULL);
}

static void load_rest(struct rg_options_load *l)
{
    load_flags(l);
    check_replica(l);
    check_replica_protocol(l);
    rg_options_check_listeners(l);
    check_admin(l);
    check_loop(l);
    check_control(l);
    rg_options_check_limits(l);
}

int rg_options_load(const struct rg_flags *flags, struct rg_settings *ret, FILE *err)
{
    static const struct rg_options_outside nothing;
    return rg_options_load_with(flags, &nothing, ret, err);
}

int rg_options_load_with(const struct rg_flags *flags, const struct rg_options_outside *outside,
                         struct rg_settings *ret, FILE *err)
{
    const struct rg_options_source from = {
        .table = &rg_options_table,
        .size = sizeof(*ret),
        .flags = flags,
        .config_path = flags->config_path,
        .config_given = flags->config_given,
        .may_be_missing = flags->replica != NULL,
        .missing_remedy = "give replica.address in a file that -c FILE names, or start without one by --replica ADDR",
        .listen = &flags->listen,
        .default_listen = default_listen,
        .v6_only = flags->v6_only,
        .n_v6_only = flags->n_v6_only,
        .outside = outside,
    };
    return rg_options_load_run(&from, load_rest, ret, err);
}
