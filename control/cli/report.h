/*
 * What goes wrong, on standard error: for people a line as soon as it happens, for programs (-o json, -o yaml) one
 * object when rgctl ends, so that it can be read as a whole:
 *
 *   {"outcome": "failed", "exitStatus": 1, "errors": [{"message", ...}], "warnings": ["..."]}
 *
 * An error has, where they are known, `place` (file:line:col) and `path` of a field, `code`, `httpStatus` and
 * `trackingId` of the platform's answer, `problems` (each {message, place, path}) and `details`, sentences on what to
 * do.
 *
 * Owner and thread: the program has one report and one thread.
 */
#ifndef RG_CLI_REPORT_H
#define RG_CLI_REPORT_H

#include "control/cli/output.h"
#include "control/common/problems.h"

enum rg_cli_status {
#define STATUS(id, word, help) RG_CLI_##id,
#include "control/cli/statuses.def"
#undef STATUS
    RG_CLI_STATUSES
};

struct rg_cli_status_info {
    const char *word, *help;
};
extern const struct rg_cli_status_info rg_cli_statuses[RG_CLI_STATUSES];

/* Until it is called, lines are for people. */
void rg_report_begin(enum rg_output_format format);
bool rg_report_is_for_people(void);
/* For programs: the object, unless there is nothing to tell. */
void rg_report_end(enum rg_cli_status status);

/* An error: "rgctl: ", the text and a newline. */
void rg_cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What belongs to the error before: indented, and nothing before it, so that file:line:col can be clicked on. */
void rg_cli_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Nothing failed, but somebody should know. */
void rg_cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One thing that is wrong, of those that the error before is about; texts may be "". */
struct rg_cli_problem {
    const char *place, *path, *message;
};
/* `code`, for people alone, stands behind it. */
void rg_cli_problem(const struct rg_cli_problem *problem, const char *code);

/* For programs, of the error before; takes value over. */
void rg_report_note(const char *member, json_t *value);
/* The error before, for a result that tells it, too; the report's own. NULL: this is for people. */
json_t *rg_report_newest(void);

/* Errors of a file; each is one of the report. */
void rg_report_file(const char *file, struct rg_conf_errors *errors);

#endif
