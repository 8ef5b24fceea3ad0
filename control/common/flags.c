/* See flags.h. */
#include "control/common/flags.h"

#include <errno.h>
#include <getopt.h>

#include "control/common/conf.h"
#include "datapath/base/assert.h"

#define FIRST_LONG 256 /* getopt's value of the table's first row; the rows follow */

void rg_flags_list(const struct rg_flag_table *table, FILE *out)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct rg_flag *f = &table->flags[i];
        char left[40];
        if (!f->help)
            continue;
        snprintf(left, sizeof(left), "%c%c%s--%s%s%s", f->letter ? '-' : ' ', f->letter ? f->letter : ' ',
                 f->letter ? ", " : "  ", f->name, f->value ? " " : "", f->value ? f->value : "");
        fprintf(out, "  %-26s%s\n", left, f->help);
    }
}

/* One run over a command line. */
struct parse {
    const struct rg_flag_table *table;
    char **argv;
    void *target;
    FILE *err;
    const char *given[RG_FLAGS_MAX]; /* the value, by row */
};

static void fill_getopt(const struct rg_flag_table *table, struct option *longs, char *shorts)
{
    char *s = shorts;
    *s++ = ':'; /* tell a missing value from an unknown flag */
    for (size_t i = 0; i < table->count; i++) {
        const struct rg_flag *f = &table->flags[i];
        longs[i] = (struct option){f->name, f->value ? required_argument : no_argument, NULL, FIRST_LONG + (int)i};
        if (!f->letter)
            continue;
        *s++ = f->letter;
        if (f->value)
            *s++ = ':';
    }
    *s = '\0';
    longs[table->count] = (struct option){0};
}

static const struct rg_flag *flag_of(const struct rg_flag_table *table, int code)
{
    if (code >= FIRST_LONG && code < FIRST_LONG + (int)table->count)
        return &table->flags[code - FIRST_LONG];
    for (size_t i = 0; i < table->count; i++)
        if (code != 0 && table->flags[i].letter == code)
            return &table->flags[i];
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

static bool append(const struct rg_flag *f, const char *value, struct rg_flag_values *values, FILE *err)
{
    if (values->n == RG_FLAG_VALUES_MAX) {
        fprintf(err, "--%s: got more than %u of them, wanted at most %u\n", f->name, RG_FLAG_VALUES_MAX,
                RG_FLAG_VALUES_MAX);
        return false;
    }
    values->list[values->n++] = value;
    return true;
}

/* What else may be empty its reader knows. */
static bool is_no_file(const struct rg_flag *f, const char *value, FILE *err)
{
    if (!f->value || strcmp(f->value, "FILE") != 0 || *value)
        return false;
    fprintf(err, "--%s: got \"\", wanted the name of a file\n", f->name);
    return true;
}

static bool take(struct parse *p, const struct rg_flag *f, const char *value)
{
    const char **given = &p->given[f - p->table->flags];
    char *member = (char *)p->target + f->offset;
    if (is_no_file(f, value, p->err))
        return false;
    switch (f->kind) {
    case RG_FLAG_SWITCH:
        *(bool *)member = true;
        return true;
    case RG_FLAG_TEXT:
        if (!is_first(f, *given, value, p->err))
            return false;
        *given = value;
        *(const char **)(void *)member = value;
        return true;
    case RG_FLAG_LIST:
        return append(f, value, (struct rg_flag_values *)(void *)member, p->err);
    }
    return false;
}

/* A flag that is likely meant by a name that is none: the one that it abbreviates, or the nearest. */
static const char *likely_meant(const struct rg_flag_table *table, struct rg_str name)
{
    const char *best = NULL;
    unsigned best_distance = 0, distance;
    for (size_t i = 0; i < table->count; i++) {
        const struct rg_flag *f = &table->flags[i];
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
static void print_unknown(const struct parse *p, const char *typed)
{
    FILE *err = p->err;
    struct rg_str name = {typed, strcspn(typed, "=")};
    const char *best = likely_meant(p->table, (struct rg_str){name.ptr + 2, name.len > 2 ? name.len - 2 : 0});
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

static void print_error(const struct parse *p, int code)
{
    const struct rg_flag *f = flag_of(p->table, optopt);
    const char *typed = p->argv[optind - 1];
    FILE *err = p->err;
    if (f && optopt >= FIRST_LONG && !is_whole_name(f, typed)) {
        print_unknown(p, typed);
    } else if (code == ':' && f) {
        fprintf(err, "%s%s: got no value, wanted %s\n", optopt < FIRST_LONG ? "-" : "--",
                optopt < FIRST_LONG ? (char[]){f->letter, '\0'} : f->name, f->value);
    } else if (f) {
        fprintf(err, "--%s: got a value, wanted the flag alone\n", f->name);
    } else if (optopt != 0) {
        fprintf(err, "-%c: got an unknown flag, wanted one of those that --help lists\n", optopt);
    } else {
        print_unknown(p, typed);
    }
}

/* One flag that getopt has read, or its complaint. */
static bool take_next(struct parse *p, int code)
{
    const struct rg_flag *f = code == '?' || code == ':' ? NULL : flag_of(p->table, code);
    if (!f) {
        print_error(p, code);
        return false;
    }
    if (code >= FIRST_LONG && !is_whole_name(f, word_of(f, p->argv))) {
        print_unknown(p, word_of(f, p->argv));
        return false;
    }
    return take(p, f, optarg);
}

int rg_flags_take_operands(const struct rg_flag_table *table, int argc, char **argv, void *target, int *ret_first,
                           FILE *err)
{
    struct option longs[RG_FLAGS_MAX + 1];
    char shorts[2 * RG_FLAGS_MAX + 2];
    struct parse p = {.table = table, .argv = argv, .target = target, .err = err};
    bool ok = true;
    int code;
    RG_ASSERT(table->count <= RG_FLAGS_MAX);
    fill_getopt(table, longs, shorts);
    optind = 0; /* glibc: begin anew, also after an earlier parse */
    opterr = 0;
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
        ok = take_next(&p, code) && ok;
    *ret_first = optind;
    return ok ? 0 : -EINVAL;
}

int rg_flags_take(const struct rg_flag_table *table, int argc, char **argv, void *target, FILE *err)
{
    int first;
    int r = rg_flags_take_operands(table, argc, argv, target, &first, err);
    for (int i = first; i < argc; i++) {
        fprintf(err, "%s: got an operand, wanted flags only; see --help\n", argv[i]);
        r = -EINVAL;
    }
    return r;
}
