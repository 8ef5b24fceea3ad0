/*
 * The operator's log: one line a message on standard error (or what rg_log_open names), key=value after the text.
 * Thread: any, but never on the hot path: it formats and writes. Journald-style "<3>" prefixes when stderr is a journal.
 */
#ifndef RG_BASE_LOG_H
#define RG_BASE_LOG_H

#include "datapath/base/str.h"

enum rg_log_level { RG_LOG_ERROR, RG_LOG_WARN, RG_LOG_INFO, RG_LOG_DEBUG };

void rg_log_set_level(enum rg_log_level level);
enum rg_log_level rg_log_get_level(void);
const char *rg_log_level_name(enum rg_log_level level);
bool rg_log_level_parse(struct rg_str name, enum rg_log_level *ret);

void rg_log(enum rg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define rg_error(...) rg_log(RG_LOG_ERROR, __VA_ARGS__)
#define rg_warn(...)  rg_log(RG_LOG_WARN, __VA_ARGS__)
#define rg_info(...)  rg_log(RG_LOG_INFO, __VA_ARGS__)
#define rg_debug(...) rg_log(RG_LOG_DEBUG, __VA_ARGS__)

#endif
