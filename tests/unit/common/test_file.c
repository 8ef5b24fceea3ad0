/* control/common/file.c: every length around the limit and around the room, what is no regular file, and pipes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/common/file.h"
#include "tests/unit/scratch.h"

#define MOST 10000 /* more than two times what is read at first of a file whose size is not known */

static char folder[256], path[300], bytes[2 * MOST];

static int setup(void **state)
{
    (void)state;
    scratch_create(folder, sizeof(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)('a' + i % 26);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return scratch_remove(folder);
}

static void write_file(size_t len)
{
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

/* The reading end of a pipe that has `len` bytes in it and no more to come. */
static int pipe_of(size_t len)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], bytes, len), len);
    close(ends[1]);
    return ends[0];
}

static void expect_all(int r, char *text, size_t len, size_t wanted)
{
    assert_int_equal(r, wanted > MOST ? -EFBIG : 0);
    if (r < 0)
        return;
    assert_int_equal(len, wanted);
    assert_memory_equal(text, bytes, wanted);
    assert_int_equal(text[wanted], '\0');
    free(text);
}

static const size_t lengths[] = {0, 1, 4095, 4096, 4097, 4098, 8193, 8194, 8195, MOST - 1, MOST, MOST + 1, 2 * MOST};
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static void files_of_every_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTHS; i++) {
        char *text = NULL;
        size_t len = 0;
        write_file(lengths[i]);
        int r = rg_file_load_all(path, RG_FILE_REGULAR, MOST, &text, &len);
        expect_all(r, text, len, lengths[i]);
    }
}

static void pipes_of_every_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTHS; i++) {
        char *text = NULL;
        size_t len = 0;
        int fd = pipe_of(lengths[i]);
        int r = rg_file_read_all(fd, MOST, &text, &len);
        close(fd);
        expect_all(r, text, len, lengths[i]);
    }
}

/* A file whose size the kernel does not tell before it is read. */
static void files_of_proc(void **state)
{
    (void)state;
    char *text = NULL, beginning[4] = "";
    size_t len = 0;
    assert_int_equal(rg_file_load_all("/proc/self/status", RG_FILE_REGULAR, 1 << 20, &text, &len), 0);
    assert_int_equal(strlen(text), len);
    assert_memory_equal(text, "Name:", 5);
    free(text);
    assert_int_equal(rg_file_load("/proc/self/status", RG_FILE_ANY, beginning, sizeof(beginning)), 4);
    assert_memory_equal(beginning, "Name", 4);
}

static void a_buffer_gets_what_fits(void **state)
{
    (void)state;
    char buffer[8] = "";
    write_file(5);
    assert_int_equal(rg_file_load(path, RG_FILE_REGULAR, buffer, sizeof(buffer)), 5);
    assert_string_equal(buffer, "abcde");
    write_file(9);
    assert_int_equal(rg_file_load(path, RG_FILE_REGULAR, buffer, sizeof(buffer)), 8);
    assert_memory_equal(buffer, "abcdefgh", 8);
}

static void what_is_no_regular_file_is_refused(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    unlink(path);
    assert_int_equal(rg_file_load_all(path, RG_FILE_REGULAR, MOST, &text, &len), -ENOENT);
    assert_int_equal(rg_file_load_all(folder, RG_FILE_REGULAR, MOST, &text, &len), -EISDIR);
    assert_int_equal(rg_file_load_all(folder, RG_FILE_ANY, MOST, &text, &len), -EISDIR);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(rg_file_load_all(path, RG_FILE_REGULAR, MOST, &text, &len), -EINVAL); /* and does not wait */
    assert_int_equal(rg_file_load("/dev/null", RG_FILE_REGULAR, &len, sizeof(len)), -EINVAL);
    assert_int_equal(rg_file_load("/dev/null", RG_FILE_ANY, &len, sizeof(len)), 0);
    unlink(path);
    assert_int_equal(symlink("/proc/self/status", path), 0);
    assert_int_equal(rg_file_open(AT_FDCWD, path, O_NOFOLLOW, RG_FILE_REGULAR), -ELOOP);
    unlink(path);
    assert_null(text);
}

/* The second page can't be written to: an error behind a read that went well. */
static void nothing_is_left_of_a_read_that_failed(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *room = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    assert_int_equal(mprotect(room + page, page, PROT_NONE), 0);
    write_file(page + 1);
    assert_int_equal(rg_file_load(path, RG_FILE_REGULAR, room, 2 * page), -EFAULT);
    for (size_t i = 0; i < page; i++)
        assert_int_equal(room[i], 0);
    unlink(path);
    munmap(room, 2 * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_every_length),
        cmocka_unit_test(pipes_of_every_length),
        cmocka_unit_test(files_of_proc),
        cmocka_unit_test(a_buffer_gets_what_fits),
        cmocka_unit_test(what_is_no_regular_file_is_refused),
        cmocka_unit_test(nothing_is_left_of_a_read_that_failed),
    };
    return cmocka_run_group_tests_name("file", tests, setup, teardown);
}
