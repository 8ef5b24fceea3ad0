/* Log lines as they leave the process: standard error is a datagram socket here, so one write is one datagram. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/base/assert.h"
#include "datapath/base/log.h"

#define TIME_LEN (sizeof("2026-11-21T05:30:11.123Z ") - 1)

static int saved_stderr, reader;
static char line[8192];

static int redirect(void **state)
{
    (void)state;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    rg_log_set_level(RG_LOG_INFO);
    unsetenv("JOURNAL_STREAM");
    return 0;
}

static int restore(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(reader);
    return 0;
}

/* The next line, with its line end; "" when none was written. */
static const char *read_line(void)
{
    ssize_t n = recv(reader, line, sizeof(line) - 1, MSG_DONTWAIT);
    line[n > 0 ? n : 0] = '\0';
    return line;
}

static const char *after_time(const char *text)
{
    assert_true(strlen(text) > TIME_LEN);
    return text + TIME_LEN;
}

static void a_line_has_time_and_level(void **state)
{
    (void)state;
    time_t before = time(NULL);
    rg_info("listening address=%s port=%d", "::1", 80);
    struct tm tm = {0};
    int ms, used = 0;
    assert_string_equal(after_time(read_line()), "info  listening address=::1 port=80\n");
    assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                            &tm.tm_min, &tm.tm_sec, &ms, &used),
                     7);
    assert_int_equal(used, TIME_LEN - 1);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t logged = timegm(&tm);
    assert_true(logged >= before && logged <= time(NULL));
}

static void levels_filter(void **state)
{
    (void)state;
    rg_debug("no");
    assert_string_equal(read_line(), "");
    rg_log_set_level(RG_LOG_DEBUG);
    assert_int_equal(rg_log_get_level(), RG_LOG_DEBUG);
    rg_debug("yes");
    assert_string_equal(after_time(read_line()), "debug yes\n");
    rg_log_set_level(RG_LOG_ERROR);
    rg_warn("no");
    assert_string_equal(read_line(), "");
    rg_error("yes");
    assert_string_equal(after_time(read_line()), "error yes\n");
}

static void level_names(void **state)
{
    (void)state;
    static const char *const names[] = {"error", "warn", "info", "debug"};
    enum rg_log_level level = RG_LOG_ERROR;
    for (unsigned i = 0; i < 4; i++) {
        assert_string_equal(rg_log_level_name((enum rg_log_level)i), names[i]);
        assert_true(rg_log_level_parse(rg_str_of(names[i]), &level));
        assert_int_equal(level, i);
    }
    assert_true(rg_log_level_parse(RG_STR("WARN"), &level));
    assert_int_equal(level, RG_LOG_WARN);
    assert_false(rg_log_level_parse(RG_STR("warning!"), &level));
    assert_false(rg_log_level_parse(RG_STR_NONE, &level));
    assert_int_equal(level, RG_LOG_WARN); /* untouched */
}

static void control_bytes_are_escaped(void **state)
{
    (void)state;
    rg_info("host=%s", "a\nb\r\tc\x1b[31m\x7f\x01 \xc3\xa4 \xc2\x9b end");
    assert_string_equal(after_time(read_line()),
                        "info  host=\"a\\nb\\r\\tc\\x1b[31m\\x7f\\x01 \xc3\xa4 \\xc2\\x9b end\"\n");
}

/* A value can't look like another key, or end before its end. */
static void values_are_one_value_each(void **state)
{
    (void)state;
    rg_info("x error=\"%s\" n=%u", "no \"such\" C:\\file", 3u);
    assert_string_equal(after_time(read_line()), "info  x error=\"no \\\"such\\\" C:\\\\file\" n=3\n");
    rg_info("x name=\"%.*s\"", 3, "a\"b\"c");
    assert_string_equal(after_time(read_line()), "info  x name=\"a\\\"b\"\n");
    rg_info("x file=%s path=%s empty=%s", "/a b/\"c\"", "/a=b\\", "");
    assert_string_equal(after_time(read_line()), "info  x file=\"/a b/\\\"c\\\"\" path=/a=b\\ empty=\n");
    rg_info("x level=%s", "info\" admin=\"yes");
    assert_string_equal(after_time(read_line()), "info  x level=\"info\\\" admin=\\\"yes\"\n");
    rg_info("%s", "got \"a b\", wanted c"); /* a sentence is no value */
    assert_string_equal(after_time(read_line()), "info  got \"a b\", wanted c\n");
    rg_info("x list=%s%s; y", "a b", "c");
    assert_string_equal(after_time(read_line()), "info  x list=a bc; y\n");
}

static void numbers_are_written_like_printf(void **state)
{
    (void)state;
    rg_info("%d %ld %lld %zd %jd %u %lu %llu %zu %ju %x", -1, -2L, -3LL, (ssize_t)-4, (intmax_t)-5, ~0u, ~0ul, ~0ull,
            (size_t)6, (uintmax_t)7, 0xbeefu);
    char wanted[256];
    snprintf(wanted, sizeof(wanted), "info  -1 -2 -3 -4 -5 %u %lu %llu 6 7 beef\n", ~0u, ~0ul, ~0ull);
    assert_string_equal(after_time(read_line()), wanted);
    rg_info("%03d|%4u|%08x|%c|%d%%|%.2s|%.*s|", 7, 12u, 0xabu, 'z', 50, "abc", 0, "abc");
    assert_string_equal(after_time(read_line()), "info  007|  12|000000ab|z|50%|ab||\n");
    rg_info("%d %" PRIu64 " %" PRId64, INT_MIN, UINT64_MAX, INT64_MIN);
    assert_string_equal(after_time(read_line()), "info  -2147483648 18446744073709551615 -9223372036854775808\n");
}

static void long_lines_are_cut_with_a_mark(void **state)
{
    (void)state;
    static char text[3 * RG_LOG_LINE_MAX];
    memset(text, 'x', sizeof(text) - 1);
    rg_info("%s", text);
    const char *got = after_time(read_line()) + 6;
    assert_int_equal(strlen(got), RG_LOG_LINE_MAX + 1);
    assert_string_equal(got + RG_LOG_LINE_MAX - 6, " [cut]\n");
    assert_int_equal(strspn(got, "x"), RG_LOG_LINE_MAX - 6);

    memset(text, '\n', sizeof(text) - 1); /* each becomes longer */
    rg_info("%s", text);
    got = after_time(read_line()) + 6;
    assert_true(strlen(got) <= RG_LOG_LINE_MAX + 1);
    assert_string_equal(got + strlen(got) - 7, " [cut]\n");

    text[RG_LOG_LINE_MAX - 6] = '\0'; /* the longest that stays whole */
    memset(text, 'y', RG_LOG_LINE_MAX - 6);
    rg_info("%s", text);
    got = after_time(read_line()) + 6;
    assert_int_equal(strspn(got, "y"), RG_LOG_LINE_MAX - 6);
    assert_string_equal(got + RG_LOG_LINE_MAX - 6, "\n");
}

static void set_journal_stream(ino_t plus)
{
    struct stat st;
    char value[64];
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(value, sizeof(value), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)(st.st_ino + plus));
    setenv("JOURNAL_STREAM", value, 1);
}

static void journal_gets_priorities(void **state)
{
    (void)state;
    set_journal_stream(0);
    rg_log_set_level(RG_LOG_DEBUG);
    rg_error("a");
    assert_string_equal(read_line(), "<3>a\n");
    rg_warn("b");
    assert_string_equal(read_line(), "<4>b\n");
    rg_info("c");
    assert_string_equal(read_line(), "<6>c\n");
    rg_debug("d");
    assert_string_equal(read_line(), "<7>d\n");
}

static void another_streams_name_is_not_ours(void **state)
{
    (void)state;
    set_journal_stream(1);
    rg_info("a");
    assert_string_equal(after_time(read_line()), "info  a\n");
    setenv("JOURNAL_STREAM", "nonsense", 1);
    rg_info("a");
    assert_string_equal(after_time(read_line()), "info  a\n");
    unsetenv("JOURNAL_STREAM");
}

static void errno_survives(void **state)
{
    (void)state;
    errno = ENOBUFS;
    rg_info("%s", "x");
    assert_int_equal(errno, ENOBUFS);
    read_line();
}

#define THREADS 4
#define LINES   200

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES; i++) {
        rg_log_set_level(i % 2 != 0 ? RG_LOG_INFO : RG_LOG_DEBUG);
        rg_info("thread=%d line=%d", *(const int *)arg, i);
    }
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int ids[THREADS], next[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, &ids[i]), 0);
    }
    for (int n = 0; n < THREADS * LINES; n++) {
        ssize_t got = recv(reader, line, sizeof(line) - 1, 0);
        int thread, number;
        char end;
        assert_true(got > 0);
        line[got] = '\0';
        assert_int_equal(sscanf(after_time(line), "info  thread=%d line=%d%c", &thread, &number, &end), 3);
        assert_int_equal(end, '\n');
        assert_int_equal(number, next[thread]++);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void a_failed_assertion_says_where_and_aborts(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka's handler is the test's */
        rg_assert_failed("slot->generation == 7", "datapath/conn.c", 1234);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_string_equal(read_line(), "assertion failed: slot->generation == 7 at datapath/conn.c:1234\n");
}

static void a_true_assertion_is_silent(void **state)
{
    (void)state;
    RG_ASSERT(reader >= 0);
    assert_string_equal(read_line(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_time_and_level, redirect, restore),
        cmocka_unit_test_setup_teardown(levels_filter, redirect, restore),
        cmocka_unit_test_setup_teardown(level_names, redirect, restore),
        cmocka_unit_test_setup_teardown(control_bytes_are_escaped, redirect, restore),
        cmocka_unit_test_setup_teardown(values_are_one_value_each, redirect, restore),
        cmocka_unit_test_setup_teardown(numbers_are_written_like_printf, redirect, restore),
        cmocka_unit_test_setup_teardown(long_lines_are_cut_with_a_mark, redirect, restore),
        cmocka_unit_test_setup_teardown(journal_gets_priorities, redirect, restore),
        cmocka_unit_test_setup_teardown(another_streams_name_is_not_ours, redirect, restore),
        cmocka_unit_test_setup_teardown(errno_survives, redirect, restore),
        cmocka_unit_test_setup_teardown(lines_of_threads_do_not_mix, redirect, restore),
        cmocka_unit_test_setup_teardown(a_failed_assertion_says_where_and_aborts, redirect, restore),
        cmocka_unit_test_setup_teardown(a_true_assertion_is_silent, redirect, restore),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
