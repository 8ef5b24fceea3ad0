/*
 * Why: the command line. One table gives getopt its options and --help its text; values are checked with the file's, in
 * options.c. Thread: main, before any other starts.
 */
#include "control/agent/options.h"

#include <errno.h>
#include <getopt.h>

#include "control/agent/options_flags.h"
#include "control/common/conf.h"

#define VIEW(member) offsetof(struct rg_flags, member)

const struct rg_flag rg_flags_table[] = {
    {'c', "config", "FILE", RG_FLAG_FILE, 0, "configuration, YAML (default " RG_CONFIG_DEFAULT ")"},
    {'t', "test", NULL, RG_FLAG_SWITCH, VIEW(check_only), "check the configuration and exit: 0 good, 2 not"},
    {'V', "version", NULL, RG_FLAG_SWITCH, VIEW(show_version), "print the version and exit"},
    {'h', "help", NULL, RG_FLAG_SWITCH, VIEW(show_help), "print this and exit"},
    {0, "listen", "ADDR", RG_FLAG_LISTEN, 0, "where clients connect; may be given several times (default [::]:80)"},
    {0, "replica", "ADDR", RG_FLAG_TEXT, VIEW(replica), "the service behind the gateway"},
    {0, "workers", "N|auto", RG_FLAG_TEXT, VIEW(workers), "worker threads (default auto: one for each CPU)"},
    {0, "admin", "ADDR|off", RG_FLAG_TEXT, VIEW(admin), "metrics, state and commands (default 127.0.0.1:9901)"},
    {0, "control", "URL", RG_FLAG_TEXT, VIEW(control), NULL},
    {0, "token-file", "FILE", RG_FLAG_TEXT, VIEW(token_file), NULL},
    {0, "state-dir", "DIR", RG_FLAG_TEXT, VIEW(state_dir), NULL},
};
const size_t rg_flags_count = sizeof(rg_flags_table) / sizeof(rg_flags_table[0]);

#define FLAGS      (sizeof(rg_flags_table) / sizeof(rg_flags_table[0]))
#define FIRST_LONG 256 /* getopt's value of the table's first row; the rows follow */

void rg_flags_help(FILE *out)
{
    fputs("Usage: ringgate [-t] [-c FILE] [--listen ADDR]... [--replica ADDR] [--workers N|auto] [--admin ADDR|off]\n\n"
          "An HTTP/1.1 and HTTP/2 gateway in front of one service. Flags win over the file; TLS needs a file.\n\n",
          out);
    for (size_t i = 0; i < FLAGS; i++) {
        const struct rg_flag *f = &rg_flags_table[i];
        char left[40];
        if (!f->help)
            continue;
        snprintf(left, sizeof(left), "%c%c%s--%s%s%s", f->letter ? '-' : ' ', f->letter ? f->letter : ' ',
                 f->letter ? ", " : "  ", f->name, f->value ? " " : "", f->value ? f->value : "");
        fprintf(out, "  %-26s%s\n", left, f->help);
    }
    fputs("\nADDR is 80, 127.0.0.1:80, [::]:80 or unix:/path; a replica may also be http://127.0.0.1:80.\n"
          "Options of the file: docs/OPTIONS.md.\n",
          out);
}

static void fill_getopt(struct option longs[FLAGS + 1], char shorts[2 * FLAGS + 2])
{
    char *s = shorts;
    *s++ = ':'; /* tell a missing value from an unknown flag */
    for (size_t i = 0; i < FLAGS; i++) {
        const struct rg_flag *f = &rg_flags_table[i];
        longs[i] = (struct option){f->name, f->value ? required_argument : no_argument, NULL, FIRST_LONG + (int)i};
        if (!f->letter)
            continue;
        *s++ = f->letter;
        if (f->value)
            *s++ = ':';
    }
    *s = '\0';
    longs[FLAGS] = (struct option){0};
}

static const struct rg_flag *flag_of(int code)
{
    if (code >= FIRST_LONG && code < FIRST_LONG + (int)FLAGS)
        return &rg_flags_table[code - FIRST_LONG];
    for (size_t i = 0; i < FLAGS; i++)
        if (code != 0 && rg_flags_table[i].letter == code)
            return &rg_flags_table[i];
    return NULL;
}

/* Of a flag that has one value: which of two is meant can't be known. */
static bool is_first(const struct rg_flag *f, const char *earlier, const char *value, FILE *err)
{
    char was[RG_CONF_TEXT_MAX], is[RG_CONF_TEXT_MAX];
    if (!earlier)
        return true;
    rg_conf_quote(rg_str_of(earlier), was, sizeof(was));
    rg_conf_quote(rg_str_of(value), is, sizeof(is));
    fprintf(err, "--%s: got %s and %s, wanted the flag once\n", f->name, was, is);
    return false;
}

static bool take(const struct rg_flag *f, const char *value, struct rg_flags *flags, FILE *err)
{
    const char **text = (const char **)((char *)flags + f->offset);
    switch (f->kind) {
    case RG_FLAG_SWITCH:
        *(bool *)((char *)flags + f->offset) = true;
        return true;
    case RG_FLAG_TEXT:
        if (!is_first(f, *text, value, err))
            return false;
        *text = value;
        return true;
    case RG_FLAG_FILE:
        if (!is_first(f, flags->config_given ? flags->config_path : NULL, value, err))
            return false;
        flags->config_path = value;
        flags->config_given = true;
        return true;
    case RG_FLAG_LISTEN:
        if (flags->n_listen == RG_LISTENERS_MAX) {
            fprintf(err, "--listen: got more than %u of them, wanted at most %u\n", RG_LISTENERS_MAX, RG_LISTENERS_MAX);
            return false;
        }
        flags->listen[flags->n_listen++] = value;
        return true;
    }
    return false;
}

/* A flag that is likely meant by a name that is none: the one that it abbreviates, or the nearest. */
static const char *likely_meant(struct rg_str name)
{
    const char *best = NULL;
    unsigned best_distance = 0, distance;
    for (size_t i = 0; i < FLAGS; i++) {
        const struct rg_flag *f = &rg_flags_table[i];
        if (!f->help || name.len == 0)
            continue;
        if (strncmp(f->name, name.ptr, name.len) == 0)
            return f->name;
        if (rg_conf_is_near(name, rg_str_of(f->name), &distance) && (!best || distance < best_distance)) {
            best = f->name;
            best_distance = distance;
        }
    }
    return best;
}

/* The flag as it was typed, without its value. */
static void print_unknown(const char *typed, FILE *err)
{
    struct rg_str name = {typed, strcspn(typed, "=")};
    const char *best = likely_meant((struct rg_str){name.ptr + 2, name.len > 2 ? name.len - 2 : 0});
    fprintf(err, "%.*s: got an unknown flag, wanted one of those that --help lists", (int)name.len, name.ptr);
    if (best)
        fprintf(err, "; did you mean --%s?", best);
    fputc('\n', err);
}

/*
 * getopt takes any beginning of a long name that is not ambiguous. One that works today is another flag, or none, when
 * a later version has one more. `typed` is the word of the command line.
 */
static bool is_whole_name(const struct rg_flag *f, const char *typed)
{
    size_t len = strcspn(typed, "=");
    return len == strlen(f->name) + 2 && strncmp(typed + 2, f->name, len - 2) == 0;
}

/* The word that getopt has just read a flag from: its value may have been the next one. */
static const char *word_of(const struct rg_flag *f, char **argv)
{
    bool apart = f->value && optarg == argv[optind - 1];
    return argv[optind - (apart ? 2 : 1)];
}

static void print_error(int code, char **argv, FILE *err)
{
    const struct rg_flag *f = flag_of(optopt);
    const char *typed = argv[optind - 1];
    if (f && optopt >= FIRST_LONG && !is_whole_name(f, typed)) {
        print_unknown(typed, err);
    } else if (code == ':' && f) {
        fprintf(err, "%s%s: got no value, wanted %s\n", optopt < FIRST_LONG ? "-" : "--",
                optopt < FIRST_LONG ? (char[]){f->letter, '\0'} : f->name, f->value);
    } else if (f) {
        fprintf(err, "--%s: got a value, wanted the flag alone\n", f->name);
    } else if (optopt != 0) {
        fprintf(err, "-%c: got an unknown flag, wanted one of those that --help lists\n", optopt);
    } else {
        print_unknown(typed, err);
    }
}

/* One flag that getopt has read, or its complaint. */
static bool take_next(int code, char **argv, struct rg_flags *flags, FILE *err)
{
    const struct rg_flag *f = code == '?' || code == ':' ? NULL : flag_of(code);
    if (!f) {
        print_error(code, argv, err);
        return false;
    }
    if (code >= FIRST_LONG && !is_whole_name(f, word_of(f, argv))) {
        print_unknown(word_of(f, argv), err);
        return false;
    }
    return take(f, optarg, flags, err);
}

int rg_flags_parse(int argc, char **argv, struct rg_flags *ret, FILE *err)
{
    struct option longs[FLAGS + 1];
    char shorts[2 * FLAGS + 2];
    struct rg_flags flags = {.config_path = RG_CONFIG_DEFAULT};
    bool ok = true;
    int code;
    fill_getopt(longs, shorts);
    optind = 0; /* glibc: begin anew, also after an earlier parse */
    opterr = 0;
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
        ok = take_next(code, argv, &flags, err) && ok;
    for (int i = optind; i < argc; i++) {
        fprintf(err, "%s: got an operand, wanted flags only; see --help\n", argv[i]);
        ok = false;
    }
    if (!ok)
        return -EINVAL;
    *ret = flags;
    return 0;
}
