/*
 * The operator's log: a line is composed on the stack and leaves with one write(2), so lines of several threads never
 * mix and nothing is lost in a buffer when the process dies. Thread: any, never on the hot path.
 *
 * What a peer sent may stand in a message, so control bytes are escaped: a value can neither forge a second line nor
 * reach the terminal as an escape sequence.
 */
#include "datapath/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "datapath/base/assert.h"
#include "datapath/base/log_format.h"

#define PREFIX_MAX 48

#define LINE_BYTES (PREFIX_MAX + RG_LOG_LINE_MAX)

static const char cut_mark[] = " [cut]";

static const struct {
    struct rg_str name;
    int priority; /* of syslog(3) */
} levels[] = {
    [RG_LOG_ERROR] = {{"error", 5}, 3},
    [RG_LOG_WARN] = {{"warn", 4}, 4},
    [RG_LOG_INFO] = {{"info", 4}, 6},
    [RG_LOG_DEBUG] = {{"debug", 5}, 7},
};
#define N_LEVELS (sizeof(levels) / sizeof(levels[0]))

static uint8_t log_level = RG_LOG_INFO; /* atomic */

void rg_log_set_level(enum rg_log_level level)
{
    RG_ASSERT((unsigned)level < N_LEVELS);
    __atomic_store_n(&log_level, (uint8_t)level, __ATOMIC_RELAXED);
}

enum rg_log_level rg_log_get_level(void)
{
    return (enum rg_log_level)__atomic_load_n(&log_level, __ATOMIC_RELAXED);
}

const char *rg_log_level_name(enum rg_log_level level)
{
    RG_ASSERT((unsigned)level < N_LEVELS);
    return levels[level].name.ptr;
}

bool rg_log_level_parse(struct rg_str name, enum rg_log_level *ret)
{
    for (size_t i = 0; i < N_LEVELS; i++) {
        if (rg_str_eq_nocase(name, levels[i].name)) {
            *ret = (enum rg_log_level)i;
            return true;
        }
    }
    return false;
}

/* Journald names the stream it made in JOURNAL_STREAM; a child whose standard error was redirected inherits the name
 * only. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char ours[48];
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, ours) == 0;
}

static size_t write_prefix(char out[PREFIX_MAX], enum rg_log_level level)
{
    if (stderr_is_journal()) /* which keeps its own time and shows the priority */
        return (size_t)snprintf(out, PREFIX_MAX, "<%d>", levels[level].priority);
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(out, PREFIX_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    return n +
           (size_t)snprintf(out + n, PREFIX_MAX - n, ".%03ldZ %-5s ", now.tv_nsec / 1000000, levels[level].name.ptr);
}

/* Length of the control character at p, 0 if there is none: C0, DEL, and C1 in UTF-8 (which terminals obey as well). */
static size_t control_len(const unsigned char *p)
{
    if (*p < 0x20 || *p == 0x7f)
        return 1;
    return p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f ? 2 : 0;
}

static size_t escape_byte(char out[4], unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    const char *short_form = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
    if (short_form != NULL) {
        memcpy(out, short_form, 2);
        return 2;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

/* Copies the message with control bytes escaped, at most RG_LOG_LINE_MAX bytes with the mark and without the line end.
 */
static size_t write_escaped(char *out, const char *message, bool is_cut)
{
    const size_t room = RG_LOG_LINE_MAX - (sizeof(cut_mark) - 1);
    const unsigned char *p = (const unsigned char *)message;
    size_t n = 0;
    while (*p != '\0') {
        size_t controls = control_len(p);
        size_t need = controls != 0 ? 4 * controls : 1;
        if (n + need > room) {
            is_cut = true;
            break;
        }
        if (controls == 0)
            out[n++] = (char)*p++;
        else
            for (; controls > 0; controls--)
                n += escape_byte(out + n, *p++);
    }
    if (is_cut) {
        memcpy(out + n, cut_mark, sizeof(cut_mark) - 1);
        n += sizeof(cut_mark) - 1;
    }
    return n;
}

void rg_log(enum rg_log_level level, const char *format, ...)
{
    RG_ASSERT((unsigned)level < N_LEVELS);
    if (level > rg_log_get_level())
        return;
    int saved_errno = errno;
    char message[RG_LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    bool whole = rg_log_format(message, sizeof(message), format, args);
    va_end(args);

    char line[LINE_BYTES + 1];
    size_t n = write_prefix(line, level);
    n += write_escaped(line + n, message, !whole);
    line[n++] = '\n';
    ssize_t written;
    do
        written = write(STDERR_FILENO, line, n);
    while (written < 0 && errno == EINTR);
    errno = saved_errno;
}
