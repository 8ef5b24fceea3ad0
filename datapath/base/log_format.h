/*
 * What a log message's format and arguments become: like vsnprintf, but the value of a key is always one that programs
 * can read (logfmt). In key="%s" and key=%s, quotes and backslashes of the value are escaped, and a value without
 * quotes gets them where it has blanks or quotes. Thread: any.
 */
#ifndef RG_BASE_LOG_FORMAT_H
#define RG_BASE_LOG_FORMAT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Knows %s %.*s %c %d %u %x %%, widths, and the lengths l, ll, z, j; another one is a mistake of the program. Returns
 * whether all of it had room; out is terminated in any case.
 */
bool rg_log_format(char *out, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#endif
