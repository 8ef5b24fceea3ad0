/* See output.h. */
#include "control/cli/output.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/common/instant.h"
#include "control/common/yaml_write.h"
#include "datapath/base/str.h"

#define CELL_MAX 256u

bool rg_output_format_of(const char *name, enum rg_output_format *ret)
{
    static const char *const names[] = {"table", "json", "yaml"};
    for (unsigned i = 0; i < 3; i++) {
        if (!name || strcmp(name, names[i]) == 0) {
            *ret = (enum rg_output_format)i;
            return true;
        }
    }
    return false;
}

static bool takes_color(void)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && (!no_color || !no_color[0]) && !(term && strcmp(term, "dumb") == 0);
}

void rg_output_style_init(struct rg_output_style *style, enum rg_output_format format)
{
    style->format = format;
    style->color = takes_color();
}

bool rg_output_value(enum rg_output_format format, const json_t *value, FILE *out)
{
    char *text = NULL;
    size_t len = 0;
    if (format == RG_OUTPUT_YAML) {
        if (rg_yaml_write(value, &text, &len) < 0)
            return false;
        fwrite(text, 1, len, out);
        free(text);
        return !ferror(out);
    }
    bool ok = json_dumpf(value, out, JSON_INDENT(2) | JSON_ENCODE_ANY) == 0;
    fputc('\n', out);
    return ok && !ferror(out);
}

/* C0, DEL and, in UTF-8, C1 (C2 80 to C2 9F): what terminals obey. */
void rg_output_text(const char *text, size_t max, FILE *out)
{
    for (size_t i = 0; i < max && text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == 0xc2 && (unsigned char)text[i + 1] >= 0x80 && (unsigned char)text[i + 1] <= 0x9f) {
            fputc('?', out);
            i++;
        } else {
            fputc(c < 0x20 || c == 0x7f ? '?' : (char)c, out);
        }
    }
}

/* Characters, not bytes; those of double width are rare in names. */
static unsigned width_of(const char *cell)
{
    unsigned n = 0;
    for (; *cell; cell++)
        n += ((unsigned char)*cell & 0xc0) != 0x80;
    return n;
}

void rg_output_padded(const char *text, size_t max, unsigned width, FILE *out)
{
    char cell[CELL_MAX];
    snprintf(cell, sizeof(cell), "%.*s", (int)(max < CELL_MAX ? max : CELL_MAX - 1), text);
    unsigned n = width_of(cell);
    rg_output_text(cell, CELL_MAX, out);
    fprintf(out, "%*s", (int)(n < width ? width - n : 0) + 2, "");
}

static const char *color_of(const char *status)
{
    static const struct {
        const char *status, *color;
    } rows[] = {
        {"DEPLOYED", "32"},  {"ready", "32"},       {"connected", "32"}, {"live", "32"},
        {"FAILED", "31"},    {"not ready", "31"},   {"offline", "31"},   {"failed", "31"},
        {"DEPLOYING", "33"}, {"UNDEPLOYING", "33"}, {"UNDEPLOYED", "2"}, {"ARCHIVED", "2"},
        {"unchanged", "2"},  {"create", "32"},      {"update", "33"},    {"undeploy", "33"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(status, rows[i].status) == 0)
            return rows[i].color;
    return NULL;
}

void rg_output_status(const char *status, bool color, FILE *out)
{
    const char *code = color ? color_of(status) : NULL;
    if (code)
        fprintf(out, "\033[%sm", code);
    rg_output_text(status, CELL_MAX, out);
    if (code)
        fputs("\033[0m", out);
}

/* ---- tables ---- */

static const json_t *member_of(const json_t *object, const char *path)
{
    for (const char *dot; (dot = strchr(path, '.')) != NULL; path = dot + 1)
        object = json_object_getn(object, path, (size_t)(dot - path));
    return json_object_get(object, path);
}

/* "2026-08-22 09:15:04", UTC: what a line of a table has room for. */
static void format_instant(const char *text, char cell[CELL_MAX])
{
    int64_t ns;
    struct tm tm;
    time_t seconds;
    snprintf(cell, CELL_MAX, "%s", text);
    if (!rg_instant_parse(rg_str_of(text), &ns))
        return;
    seconds = (time_t)(ns / 1000000000);
    if (gmtime_r(&seconds, &tm))
        strftime(cell, CELL_MAX, "%Y-%m-%d %H:%M:%S", &tm);
}

/* "a, b": names of one thing, such as a gateway's instances. */
static void format_list(const json_t *list, char cell[CELL_MAX])
{
    size_t n = 0;
    cell[0] = '\0';
    for (size_t i = 0; i < json_array_size(list) && n < CELL_MAX; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        n += (size_t)snprintf(cell + n, CELL_MAX - n, "%s%s", i > 0 ? ", " : "", text ? text : "?");
    }
}

static void format_value(const json_t *value, char cell[CELL_MAX])
{
    char *text;
    if (!value || json_is_null(value)) {
        snprintf(cell, CELL_MAX, "-");
    } else if (json_is_array(value)) {
        format_list(value, cell);
    } else if (json_is_string(value)) {
        snprintf(cell, CELL_MAX, "%s", json_string_value(value));
    } else {
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        snprintf(cell, CELL_MAX, "%s", text ? text : "-");
        free(text);
    }
    if (!cell[0])
        snprintf(cell, CELL_MAX, "-");
}

static void format_cell(const struct rg_output_column *column, const json_t *row, char cell[CELL_MAX])
{
    const json_t *value = member_of(row, column->member);
    if (column->kind == RG_OUTPUT_YES_NO)
        snprintf(cell, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");
    else if (column->kind == RG_OUTPUT_INSTANT && json_is_string(value))
        format_instant(json_string_value(value), cell);
    else
        format_value(value, cell);
}

static void print_row(const struct rg_output_style *style, const struct rg_output_column *columns, unsigned n,
                      const unsigned *widths, const json_t *row, FILE *out)
{
    char cell[CELL_MAX];
    for (unsigned i = 0; i < n; i++) {
        format_cell(&columns[i], row, cell);
        rg_output_status(cell, style->color && columns[i].kind == RG_OUTPUT_STATUS, out);
        if (i + 1 < n)
            fprintf(out, "%*s", (int)(widths[i] - width_of(cell) + 2), "");
    }
    fputc('\n', out);
}

void rg_output_table(const struct rg_output_style *style, const struct rg_output_column *columns, unsigned n,
                     const json_t *rows, const char *empty, FILE *out)
{
    unsigned widths[RG_OUTPUT_COLUMNS_MAX];
    char cell[CELL_MAX];
    if (json_array_size(rows) == 0) {
        fprintf(out, "%s\n", empty);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        widths[i] = width_of(columns[i].head);
        for (size_t r = 0; r < json_array_size(rows); r++) {
            format_cell(&columns[i], json_array_get(rows, r), cell);
            unsigned width = width_of(cell);
            widths[i] = width > widths[i] ? width : widths[i];
        }
        fprintf(out, "%s%*s", columns[i].head, i + 1 < n ? (int)(widths[i] - width_of(columns[i].head) + 2) : 0, "");
    }
    fputc('\n', out);
    for (size_t r = 0; r < json_array_size(rows); r++)
        print_row(style, columns, n, widths, json_array_get(rows, r), out);
}
