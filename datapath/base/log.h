/*
 * The operator's log: one line a message on standard error, key=value after the text. Time (UTC) and level stand in
 * front, or a "<3>" style prefix when standard error is a journal's stream. Control bytes are escaped, long lines cut.
 * Thread: any, but never on the hot path: it formats and writes. errno is left as it was.
 */
#ifndef RG_BASE_LOG_H
#define RG_BASE_LOG_H

#include "datapath/base/str.h"

#define RG_LOG_LINE_MAX 2048 /* bytes of a line after time and level */

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
