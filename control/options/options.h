/*
 * The gateway's options: flags and file, decoded into struct rg_settings. Declared once in options.def, from which the
 * decoder, the defaults, docs/OPTIONS.md and the JSON Schema are made.
 * Thread: control thread (or main before it starts).
 */
#ifndef RG_OPTIONS_OPTIONS_H
#define RG_OPTIONS_OPTIONS_H

#include <stdio.h>

#include "control/common/flags.h"
#include "datapath/settings.h"

struct rg_flags {
    const char *config_path; /* -c, or the default path */
    bool config_given;       /* -c was given: the file must exist */
    bool check_only;         /* -t */
    bool show_version;       /* -V */
    bool show_help;          /* -h */
    struct rg_flag_values listen;
    const char *replica, *workers, *admin, *control, *token_file, *state_dir; /* NULL: not given */
    /* No flags, but given with the start like them: inherited sockets of [::] that take no IPv4. */
    const struct rg_address *v6_only;
    uint16_t n_v6_only;
};

/* Views into argv. Negative errno after the errors were written to err (one line each, naming flag, value and remedy).
 */
int rg_flags_parse(int argc, char **argv, struct rg_flags *ret, FILE *err);
void rg_flags_help(FILE *out);

/*
 * Defaults, then the file, then the flags. All errors at once to err, as `file:line:col: path: got X, wanted Y; did you
 * mean Z?`; negative errno then and *ret is untouched. Without -c a missing default file is fine when a --replica is
 * given.
 */
int rg_options_load(const struct rg_flags *flags, struct rg_settings *ret, FILE *err);

struct rg_options_findings; /* where rg_options_refuse puts what it is told */

/* What lies outside of options and flags, as the caller deals with it. */
struct rg_options_outside {
    /* Looks into the files that settings name. May be called with settings that have errors. NULL: nobody looks. */
    void (*inspect)(const struct rg_settings *s, struct rg_options_findings *findings);
};

/* The same with these. */
int rg_options_load_with(const struct rg_flags *flags, const struct rg_options_outside *outside,
                         struct rg_settings *ret, FILE *err);
/* An error at an option, for rg_options_outside.inspect: whole phrases; remedy may be NULL. */
void rg_options_refuse(struct rg_options_findings *findings, const char *path, const char *got, const char *wanted,
                       const char *remedy);

/* Whether rg_options_load reads a file: one that was named, or the default one when it is there. */
bool rg_options_has_file(const struct rg_flags *flags);

/* Where an option's value comes from, for messages: the flag when it was given or when there is no file. */
bool rg_options_by_flag(const struct rg_flags *flags, bool given);

/*
 * For a reload: what can't change while running is set back in next to its value in running; each such option whose
 * value differed is reported by path with both values. Returns how many.
 */
unsigned rg_options_keep_fixed(const struct rg_settings *running, struct rg_settings *next,
                               void (*report)(const char *path, const char *running, const char *wanted, void *arg),
                               void *arg);

/*
 * For a reload, before that: listeners and admin endpoint stay those that are running, and the new replica must not be
 * one of them. Negative errno after the error was written to err.
 */
int rg_options_check_kept(const struct rg_settings *running, const struct rg_settings *next, FILE *err);

/* The settings as JSON (for the admin's /config), without the last brace: a program may have more to say. */
void rg_options_begin_json(const struct rg_settings *s, FILE *out);

#endif
