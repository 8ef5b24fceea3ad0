/* Access records as JSON lines, and the file they go to: batches, rotation, failures, slow readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/gateway/access_writer.h"
#include "tests/unit/scratch.h"

static char dir[64], path[96];
static struct rg_access_writer writer;
static struct rg_access_ring *ring;
static uint64_t lost;

static int setup(void **state)
{
    (void)state;
    scratch_create(dir, sizeof(dir));
    snprintf(path, sizeof(path), "%s/access.log", dir);
    lost = 0;
    ring = rg_access_ring_create(1 << 20);
    assert_non_null(ring);
    assert_int_equal(rg_access_writer_init(&writer, &lost), 0);
    rg_access_writer_add_ring(&writer, ring);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_access_writer_fini(&writer);
    rg_access_ring_destroy(ring);
    return scratch_remove(dir);
}

static void configure(const char *where)
{
    struct rg_settings s = {.access_log = where != NULL};
    snprintf(s.access_log_path, sizeof(s.access_log_path), "%s", where ? where : "");
    rg_access_writer_configure(&writer, &s);
}

static struct rg_access_record sample(void)
{
    return (struct rg_access_record){
        .unix_us = 1700000000123456,
        .duration_us = 1500001,
        .replica_us = 250,
        .connect_us = 0,
        .bytes_in = 7,
        .bytes_out = 1024,
        .status = 200,
        .worker = 1,
        .peer_port = 40000,
        .reason = RG_REASON_NONE,
        .minor = 1,
        .reused = true,
        .complete = true,
        .peer = RG_STR("192.0.2.7"),
        .method = RG_STR("GET"),
        .target = RG_STR("/a?b=c"),
        .host = RG_STR("example.com"),
    };
}

static void put(const char *target)
{
    struct rg_access_record r = sample();
    r.target = rg_str_of(target);
    assert_true(rg_access_ring_put(ring, &r));
}

static size_t read_file(const char *name, char *out, size_t size)
{
    FILE *f = fopen(name, "r");
    out[0] = '\0';
    if (!f)
        return 0;
    size_t n = fread(out, 1, size - 1, f);
    out[n] = '\0';
    fclose(f);
    return n;
}

static unsigned lines_in(const char *text)
{
    unsigned n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static const char *formatted(const struct rg_access_record *r)
{
    static char out[RG_ACCESS_RECORD_MAX + 1];
    out[rg_access_format(r, out)] = '\0';
    return out;
}

/* ---- The line ---- */

static void a_record_has_all_members(void **state)
{
    (void)state;
    struct rg_access_record r = sample();
    assert_string_equal(
        formatted(&r),
        "{\"time\":\"2023-11-14T22:13:20.123456Z\",\"client\":\"192.0.2.7\",\"client_port\":40000,\"method\":\"GET\","
        "\"target\":\"/a?b=c\",\"protocol\":\"HTTP/1.1\",\"host\":\"example.com\",\"status\":200,\"reason\":\"none\","
        "\"complete\":true,\"bytes_in\":7,\"bytes_out\":1024,\"duration\":1.500001,\"replica_duration\":0.000250,"
        "\"connect_duration\":0.000000,\"reused\":true,\"retried\":false,\"worker\":1,\"tls\":false}\n");
}

static void optional_members_stand_when_there_is_something(void **state)
{
    (void)state;
    struct rg_access_record r = sample();
    r.unit = RG_STR("orders");
    r.route = RG_STR("GET /items/{id}");
    r.upstream = RG_STR("https://orders.example:443");
    r.user_agent = RG_STR("curl/8");
    r.referer = RG_STR("http://x/");
    r.request_id = RG_STR("id-1");
    r.traceparent = RG_STR("00-aa-bb-01");
    assert_non_null(strstr(
        formatted(&r),
        "\"retried\":false,\"unit\":\"orders\",\"route\":\"GET "
        "/items/{id}\",\"upstream\":\"https://orders.example:443\",\"user_agent\":\"curl/8\",\"referer\":\"http://x/\","
        "\"request_id\":\"id-1\",\"traceparent\":\"00-aa-bb-01\",\"worker\":1"));
}

static void refusals_carry_their_reason(void **state)
{
    (void)state;
    struct rg_access_record r = sample();
    r.status = 400;
    r.reason = RG_REASON_LENGTH_AND_CODING;
    r.complete = false;
    assert_non_null(strstr(formatted(&r), "\"status\":400,\"reason\":\"length-and-coding\",\"complete\":false"));
}

static void check_string(struct rg_str in, const char *expected)
{
    struct rg_access_record r = sample();
    char member[256];
    r.target = in;
    snprintf(member, sizeof(member), "\"target\":\"%s\",\"protocol\"", expected);
    if (!strstr(formatted(&r), member))
        fail_msg("wanted %s in %s", member, formatted(&r));
}

static void hostile_strings_stay_json(void **state)
{
    (void)state;
    check_string(RG_STR("a\"b\\c"), "a\\\"b\\\\c");
    check_string(RG_STR("\x01\t\r\n\x1f\x7f"), "\\u0001\\u0009\\u000d\\u000a\\u001f\\u007f");
    check_string((struct rg_str){"a\0b", 3}, "a\\u0000b");
    check_string(RG_STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    check_string(RG_STR("\xff\xfe"), "\\ufffd\\ufffd");
    check_string(RG_STR("\xc0\xaf"), "\\ufffd\\ufffd");                       /* overlong '/' */
    check_string(RG_STR("\xe0\x80\xaf"), "\\ufffd\\ufffd\\ufffd");            /* overlong */
    check_string(RG_STR("\xed\xa0\x80"), "\\ufffd\\ufffd\\ufffd");            /* surrogate */
    check_string(RG_STR("\xf4\x90\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd"); /* beyond U+10FFFF */
    check_string(RG_STR("\xf0\x80\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd"); /* overlong */
    check_string(RG_STR("x\xe2\x82"), "x\\ufffd\\ufffd");                     /* cut */
    check_string(RG_STR("\x80x"), "\\ufffdx");
}

static void the_largest_record_fits(void **state)
{
    (void)state;
    static char worst[4096];
    memset(worst, 0xff, sizeof(worst));
    struct rg_str s = {worst, sizeof(worst)};
    struct rg_access_record r = {.unix_us = UINT64_MAX / 2,
                                 .duration_us = UINT64_MAX,
                                 .replica_us = UINT64_MAX,
                                 .connect_us = UINT64_MAX,
                                 .bytes_in = UINT64_MAX,
                                 .bytes_out = UINT64_MAX,
                                 .peer = s,
                                 .method = s,
                                 .target = s,
                                 .host = s,
                                 .user_agent = s,
                                 .referer = s,
                                 .request_id = s,
                                 .traceparent = s};
    char *out = malloc(RG_ACCESS_RECORD_MAX); /* exactly: the sanitizer sees a byte too many */
    assert_non_null(out);
    assert_true(rg_access_format(&r, out) > 8 * 4096 * 6);
    free(out);
}

/* ---- The file ---- */

static void nothing_is_opened_when_off(void **state)
{
    (void)state;
    configure(NULL);
    put("/x");
    rg_access_writer_tick(&writer);
    assert_int_equal(writer.fd, -1);
    assert_int_equal(access(path, F_OK), -1);
}

static void records_are_appended(void **state)
{
    (void)state;
    char text[8192];
    configure(path);
    put("/1");
    put("/2");
    rg_access_writer_tick(&writer);
    put("/3");
    rg_access_writer_tick(&writer);
    read_file(path, text, sizeof(text));
    assert_int_equal(lines_in(text), 3);
    assert_non_null(strstr(text, "\"target\":\"/1\""));
    assert_true(strstr(text, "/2") < strstr(text, "/3"));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void many_records_go_in_batches(void **state)
{
    (void)state;
    configure(path);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 1000; i++)
            put("/some/target/of/a/usual/length");
        rg_access_writer_tick(&writer);
    }
    char *text = malloc(16 << 20);
    assert_non_null(text);
    read_file(path, text, 16 << 20);
    assert_int_equal(lines_in(text), 20000);
    assert_int_equal(lost, 0);
    free(text);
}

static void a_renamed_file_is_followed(void **state)
{
    (void)state;
    char old[128], text[4096];
    snprintf(old, sizeof(old), "%s.1", path);
    configure(path);
    put("/1");
    rg_access_writer_tick(&writer);
    assert_int_equal(rename(path, old), 0);
    put("/2");
    rg_access_writer_tick(&writer); /* still the old one: the path is looked at once a second */
    writer.looked_ms = 0;
    put("/3");
    rg_access_writer_tick(&writer);
    read_file(old, text, sizeof(text));
    assert_int_equal(lines_in(text), 2);
    read_file(path, text, sizeof(text));
    assert_int_equal(lines_in(text), 1);
    assert_non_null(strstr(text, "/3"));
}

static void reopen_follows_at_once(void **state)
{
    (void)state;
    char old[128], text[4096];
    snprintf(old, sizeof(old), "%s.1", path);
    configure(path);
    put("/1");
    rg_access_writer_tick(&writer);
    assert_int_equal(rename(path, old), 0);
    rg_access_writer_reopen(&writer);
    put("/2");
    rg_access_writer_tick(&writer);
    read_file(path, text, sizeof(text));
    assert_int_equal(lines_in(text), 1);
    assert_non_null(strstr(text, "/2"));
}

static void another_path_takes_over(void **state)
{
    (void)state;
    char other[128], text[4096];
    snprintf(other, sizeof(other), "%s/other.log", dir);
    configure(path);
    put("/first");
    configure(other);
    put("/second");
    rg_access_writer_tick(&writer);
    read_file(path, text, sizeof(text));
    assert_non_null(strstr(text, "/first"));
    read_file(other, text, sizeof(text));
    assert_null(strstr(text, "/first"));
    assert_non_null(strstr(text, "/second"));
    configure(NULL);
    put("/third");
    configure(other); /* what was put while it was off is not written later */
    put("/fourth");
    rg_access_writer_tick(&writer);
    read_file(other, text, sizeof(text));
    assert_null(strstr(text, "/third"));
    assert_non_null(strstr(text, "/fourth"));
}

/* ---- Failures ---- */

static void a_path_that_cant_be_opened_loses_and_recovers(void **state)
{
    (void)state;
    char missing[128], made[128], text[4096];
    snprintf(made, sizeof(made), "%s/sub", dir);
    snprintf(missing, sizeof(missing), "%s/sub/access.log", dir);
    configure(missing);
    put("/1");
    put("/2");
    rg_access_writer_tick(&writer);
    assert_int_equal(lost, 2);
    assert_true(writer.failing);
    assert_int_equal(mkdir(made, 0755), 0);
    put("/3");
    rg_access_writer_tick(&writer);
    assert_int_equal(lost, 2);
    assert_false(writer.failing);
    read_file(missing, text, sizeof(text));
    assert_int_equal(lines_in(text), 1);
}

/* A file size limit makes write() cut a line short and then fail, as a full disk does. */
static void a_full_disk_counts_and_recovers_with_whole_lines(void **state)
{
    (void)state;
    char text[16384];
    struct rlimit old, small;
    configure(path);
    put("/1");
    rg_access_writer_tick(&writer);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = (rlim_t)st.st_size * 5 / 2; /* one and a half lines more */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    put("/2");
    put("/3");
    put("/4");
    rg_access_writer_tick(&writer);
    put("/5");
    rg_access_writer_tick(&writer);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(lost, 3);
    assert_true(writer.failing);
    put("/6");
    rg_access_writer_tick(&writer);
    assert_false(writer.failing);
    assert_int_equal(lost, 3);
    read_file(path, text, sizeof(text));
    assert_int_equal(lines_in(text), 4); /* 1, 2, the torn 3, 6 */
    const char *last = strstr(text, "\n{\"time\"");
    for (const char *next; last && (next = strstr(last + 1, "\n{\"time\"")) != NULL;)
        last = next;
    assert_true(last && strstr(last, "\"target\":\"/6\"")); /* a line of its own */
    assert_null(strstr(text, "/5"));
}

static void a_full_pipe_keeps_records_in_the_ring(void **state)
{
    (void)state;
    static char text[1 << 20];
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    configure(path);
    int n = 0;
    for (; n < 2000; n++)
        put("/a");
    rg_access_writer_tick(&writer); /* returns although nobody reads */
    assert_int_equal(lost, 0);
    assert_true(writer.used > writer.sent);
    size_t total = 0;
    for (int idle = 0; idle < 3;) {
        ssize_t got = read(reader, text + total, sizeof(text) - total - 1);
        idle = got > 0 ? 0 : idle + 1;
        total += got > 0 ? (size_t)got : 0;
        rg_access_writer_tick(&writer);
    }
    text[total] = '\0';
    assert_int_equal(lines_in(text), n);
    assert_int_equal(lost, 0);
    close(reader);
}

static void a_reader_that_left_is_a_failure(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    configure(path); /* nobody reads: the open fails and does not wait */
    put("/1");
    rg_access_writer_tick(&writer);
    assert_int_equal(lost, 1);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    put("/2");
    rg_access_writer_tick(&writer);
    assert_int_equal(lost, 1);
    close(reader);
    put("/3");
    rg_access_writer_tick(&writer);
    assert_int_equal(lost, 2);
}

static void standard_output_is_not_closed(void **state)
{
    (void)state;
    char text[4096];
    int saved = dup(STDOUT_FILENO), file = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(saved >= 0 && file >= 0);
    fflush(stdout);
    dup2(file, STDOUT_FILENO);
    configure("-");
    put("/1");
    rg_access_writer_tick(&writer);
    rg_access_writer_reopen(&writer);
    configure(NULL);
    bool open = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(file);
    assert_true(open);
    read_file(path, text, sizeof(text));
    assert_int_equal(lines_in(text), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_has_all_members),
        TEST(optional_members_stand_when_there_is_something),
        TEST(refusals_carry_their_reason),
        TEST(hostile_strings_stay_json),
        TEST(the_largest_record_fits),
        TEST(nothing_is_opened_when_off),
        TEST(records_are_appended),
        TEST(many_records_go_in_batches),
        TEST(a_renamed_file_is_followed),
        TEST(reopen_follows_at_once),
        TEST(another_path_takes_over),
        TEST(a_path_that_cant_be_opened_loses_and_recovers),
        TEST(a_full_disk_counts_and_recovers_with_whole_lines),
        TEST(a_full_pipe_keeps_records_in_the_ring),
        TEST(a_reader_that_left_is_a_failure),
        TEST(standard_output_is_not_closed),
    };
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("access_writer", tests, NULL, NULL);
}
