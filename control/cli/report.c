/* See report.h. */
#include "control/cli/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/common/json.h"

const struct rg_cli_status_info rg_cli_statuses[RG_CLI_STATUSES] = {
#define STATUS(id, word, help) {word, help},
#include "control/cli/statuses.def"
#undef STATUS
};

static struct {
    enum rg_output_format format;
    json_t *errors, *warnings; /* for programs; NULL: none yet */
} report;

bool rg_report_is_for_people(void)
{
    return report.format == RG_OUTPUT_TABLE;
}

/* ---- lines for people ---- */

/* What comes from the platform or from a file may be anything, and goes to a terminal. */
static void print_lines(const char *before, const char *text)
{
    fflush(stdout); /* in the order in which it happened */
    fputs(before, stderr);
    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL) {
        rg_output_text(line, strcspn(line, "\n"), stderr);
        fputc('\n', stderr);
    }
}

/* ---- an object for programs ---- */

static void append(json_t **list, json_t *value)
{
    if (!*list)
        *list = json_array();
    json_array_append_new(*list, value);
}

static json_t *text_of(const char *text)
{
    return rg_json_text(rg_str_of(text));
}

json_t *rg_report_newest(void)
{
    size_t n = json_array_size(report.errors);
    return n > 0 ? json_array_get(report.errors, n - 1) : NULL;
}

void rg_report_note(const char *member, json_t *value)
{
    json_t *error = rg_report_newest();
    if (error)
        json_object_set_new(error, member, value);
    else
        json_decref(value);
}

static void append_to_newest(const char *member, json_t *value)
{
    json_t *list = json_object_get(rg_report_newest(), member);
    if (!list) {
        list = json_array();
        rg_report_note(member, json_incref(list));
        json_array_append_new(list, value);
        json_decref(list);
    } else {
        json_array_append_new(list, value);
    }
}

static void set_text(json_t *object, const char *member, const char *text)
{
    if (text[0])
        json_object_set_new(object, member, text_of(text));
}

static json_t *problem_json(const struct rg_cli_problem *p)
{
    json_t *value = json_pack("{s:o}", "message", text_of(p->message));
    set_text(value, "place", p->place);
    set_text(value, "path", p->path);
    return value;
}

/* ---- either ---- */

__attribute__((format(printf, 1, 0))) static char *format_text(const char *format, va_list args)
{
    char *text;
    return vasprintf(&text, format, args) < 0 ? NULL : text;
}

void rg_cli_complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    if (text && rg_report_is_for_people())
        print_lines("rgctl: ", text);
    else if (text)
        append(&report.errors, json_pack("{s:o}", "message", text_of(text)));
    free(text);
}

void rg_cli_detail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    if (text && rg_report_is_for_people())
        print_lines("  ", text);
    else if (text)
        append_to_newest("details", text_of(text));
    free(text);
}

void rg_cli_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    if (text && rg_report_is_for_people())
        print_lines("rgctl: warning: ", text);
    else if (text)
        append(&report.warnings, text_of(text));
    free(text);
}

void rg_cli_problem(const struct rg_cli_problem *p, const char *code)
{
    char *text;
    if (!rg_report_is_for_people())
        append_to_newest("problems", problem_json(p));
    else if (asprintf(&text, "%s%s%s%s%s%s%s%s", p->place, p->place[0] ? ": " : "", p->path,
                      p->path[0] && p->message[0] ? ": " : "", p->message, code[0] ? " (" : "", code,
                      code[0] ? ")" : "") >= 0) {
        print_lines("  ", text);
        free(text);
    }
}

static json_t *file_error_json(const char *file, const struct rg_conf_error *e)
{
    char path[RG_PROBLEM_PATH_MAX], place[700] = "";
    size_t skip = e->path_len > 0 ? e->path_len + 2 : 0; /* with the ": " behind it */
    snprintf(path, sizeof(path), "%.*s", (int)e->path_len, e->text);
    if (e->mark.line > 0)
        snprintf(place, sizeof(place), "%s:%u:%u", file, e->mark.line, e->mark.col);
    return problem_json(&(struct rg_cli_problem){place, path, e->text + skip});
}

void rg_report_file(const char *file, struct rg_conf_errors *errors)
{
    if (rg_report_is_for_people()) {
        rg_conf_errors_print(errors, file, stderr);
        return;
    }
    for (uint32_t i = 0; i < errors->count; i++)
        append(&report.errors, file_error_json(file, &errors->list[i]));
    if (errors->more > 0)
        rg_cli_complain("%s: and %u more errors", file, errors->more);
}

/* ---- the whole ---- */

void rg_report_begin(enum rg_output_format format)
{
    report.format = format;
}

void rg_report_end(enum rg_cli_status status)
{
    bool is_empty = status == RG_CLI_DONE && !report.errors && !report.warnings;
    json_t *all = rg_report_is_for_people() || is_empty
                      ? NULL
                      : json_pack("{s:s, s:i, s:o, s:O*}", "outcome", rg_cli_statuses[status].word, "exitStatus",
                                  (int)status, "errors", report.errors ? json_incref(report.errors) : json_array(),
                                  "warnings", report.warnings);
    if (all)
        rg_output_value(report.format, all, stderr);
    json_decref(all);
    json_decref(report.errors);
    json_decref(report.warnings);
    report.errors = report.warnings = NULL;
}
