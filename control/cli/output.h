/*
 * What rgctl prints on standard output: tables for people, JSON and YAML for programs. Colours on a terminal only, and
 * not where NO_COLOR is set. Text of the platform is never trusted with the terminal: control characters are shown as
 * '?'.
 *
 * Thread: one. A table owns its texts.
 */
#ifndef RG_CLI_OUTPUT_H
#define RG_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum rg_output_format { RG_OUTPUT_TABLE, RG_OUTPUT_JSON, RG_OUTPUT_YAML };

struct rg_output_style {
    enum rg_output_format format;
    bool color;
};

/* NULL: table. false: no such format. */
bool rg_output_format_of(const char *name, enum rg_output_format *ret);
void rg_output_style_init(struct rg_output_style *style, enum rg_output_format format);

/* JSON (indented) or YAML; a table's format is not asked for here. false: could not be written. */
bool rg_output_value(enum rg_output_format format, const json_t *value, FILE *out);

/* Safe to show: at most max bytes of text, control characters replaced. */
void rg_output_text(const char *text, size_t max, FILE *out);

/* The same, in so many columns at least, and two blanks. */
void rg_output_padded(const char *text, size_t max, unsigned width, FILE *out);

/* A status word in its colour: DEPLOYED green, FAILED red, what is on its way yellow. */
void rg_output_status(const char *status, bool color, FILE *out);

#define RG_OUTPUT_COLUMNS_MAX 8u

struct rg_output_column {
    const char *head;
    const char *member; /* of the row's object; "a.b" leads into objects */
    enum { RG_OUTPUT_PLAIN, RG_OUTPUT_STATUS, RG_OUTPUT_YES_NO, RG_OUTPUT_INSTANT } kind;
};

/* One line for each object of the array, columns as wide as they need; `empty` instead of a table without rows. */
void rg_output_table(const struct rg_output_style *style, const struct rg_output_column *columns, unsigned n,
                     const json_t *rows, const char *empty, FILE *out);

#endif
