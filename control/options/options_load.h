/*
 * Loading options, for each program that listens with the datapath: its file and its flags over the defaults of its
 * table, then what listeners and limits mean together. What else a program's options mean it adds itself.
 *
 * The decoded struct begins with struct rg_settings, and its table has the rows of options_listeners.def and
 * options_limits.def. Thread: control thread, or main before it starts.
 */
#ifndef RG_OPTIONS_OPTIONS_LOAD_H
#define RG_OPTIONS_OPTIONS_LOAD_H

#include "control/common/conf.h"
#include "control/options/options.h"

/* What a program loads, and where from; borrowed. */
struct rg_options_source {
    const struct rg_conf_table *table;
    size_t size;       /* of the settings; struct rg_settings is their first member */
    const void *flags; /* the program's own, for its part */
    const char *config_path;
    bool config_given;          /* the file must exist */
    bool may_be_missing;        /* flags say enough, if it was not given */
    const char *missing_remedy; /* else */
    const struct rg_flag_values *listen;
    const char *const *default_listen; /* NULL at the end */
    const struct rg_address *v6_only;
    uint16_t n_v6_only;
    const struct rg_options_outside *outside;
};

struct rg_options_load {
    const struct rg_options_source *from;
    void *target;                                                  /* the settings, until all of them are good */
    struct rg_settings *settings;                                  /* of the target */
    struct rg_listener_settings plain_listeners[RG_LISTENERS_MAX]; /* as they are by default */
    struct rg_conf_tree *tree;                                     /* NULL: no file */
    struct {
        const char *flag, *path;
    } by_flag[RG_FLAGS_MAX]; /* what came from the command line */
    unsigned n_by_flag;
    struct rg_conf_errors errors;
};

/* A program's own part: its flags, what its options mean together. */
typedef void rg_options_load_rest(struct rg_options_load *l);

/*
 * Presets, then the file and --listen, then the rest. Negative errno when anything is wrong, and all of it was printed:
 * *ret is untouched; else it has what holds.
 */
int rg_options_load_run(const struct rg_options_source *from, rg_options_load_rest *rest, void *ret, FILE *err);

/* A flag's value in the place of the file's; text NULL: it was not given. */
void rg_options_load_flag(struct rg_options_load *l, const char *flag, const char *path, const char *text);

void rg_options_check_listeners(struct rg_options_load *l); /* each once, whom they trust, TLS; files are inspected */
void rg_options_check_limits(struct rg_options_load *l);    /* and how many workers auto is */

/* The position of an option in the file; when it is not there, of its section, or of the file's beginning. */
struct rg_conf_mark rg_options_mark_of(const struct rg_options_load *l, const char *path);
bool rg_options_is_given(const struct rg_options_load *l, const char *path); /* in the file */
bool rg_options_file_was_read(const struct rg_options_load *l);

/* A listener as the operator knows it: by its flag, by its place in the file, or as the default. */
void rg_options_name_listener(const struct rg_options_load *l, unsigned i, char *buf, size_t len);

#endif
