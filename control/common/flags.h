/*
 * The command line of a program: one table gives getopt its options, --help its text, and the documentation its rows.
 * Values are views into argv; what they mean is checked by whoever decodes them. Thread: main, before any other starts.
 */
#ifndef RG_COMMON_FLAGS_H
#define RG_COMMON_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define RG_FLAGS_MAX       32 /* rows of a table */
#define RG_FLAG_VALUES_MAX 16u

enum rg_flag_kind {
    RG_FLAG_SWITCH, /* bool */
    RG_FLAG_TEXT,   /* const char *; at most once */
    RG_FLAG_LIST    /* struct rg_flag_values; as often as there is room */
};

struct rg_flag_values {
    const char *list[RG_FLAG_VALUES_MAX];
    unsigned n;
};

struct rg_flag {
    char letter; /* 0: none */
    const char *name;
    const char *value; /* what follows it; NULL: nothing */
    enum rg_flag_kind kind;
    size_t offset;    /* of the member of the target */
    const char *help; /* NULL: known, not supported, not shown */
};

struct rg_flag_table {
    const struct rg_flag *flags;
    size_t count;
};

/* target holds the defaults. Negative errno after the errors were written to err (one line each, naming flag, value and
 * remedy). */
int rg_flags_take(const struct rg_flag_table *table, int argc, char **argv, void *target, FILE *err);
/* The same for a program that takes operands, too: they are moved to the end of argv, from *ret_first on. */
int rg_flags_take_operands(const struct rg_flag_table *table, int argc, char **argv, void *target, int *ret_first,
                           FILE *err);
/* A line for each flag that has a help text. */
void rg_flags_list(const struct rg_flag_table *table, FILE *out);

#endif
