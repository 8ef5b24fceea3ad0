/*
 * The end of a process that has found a programming error: one line on standard error, then abort, so that a core dump
 * and the supervisor see it. Nothing here allocates, locks or formats: the heap may be what is broken. Thread: any.
 */
#include "datapath/base/assert.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_MAX 512

static size_t append(char *message, size_t len, const char *text)
{
    size_t n = strlen(text);
    size_t room = MESSAGE_MAX - 1 - len; /* one byte stays for the line end */
    if (n > room)
        n = room;
    memcpy(message + len, text, n);
    return len + n;
}

static size_t append_number(char *message, size_t len, unsigned number)
{
    char digits[16];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return append(message, len, digits + at);
}

_Noreturn void rg_assert_failed(const char *what, const char *file, int line)
{
    char message[MESSAGE_MAX];
    size_t len = append(message, 0, "assertion failed: ");
    len = append(message, len, what);
    len = append(message, len, " at ");
    len = append(message, len, file);
    len = append(message, len, ":");
    len = append_number(message, len, line > 0 ? (unsigned)line : 0);
    message[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, message, len);
    (void)written; /* the abort says it, too */
    abort();
}
