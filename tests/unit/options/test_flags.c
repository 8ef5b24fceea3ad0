/* control/options/flags.c: what the command line gives, and the words for what it must not have. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "control/options/options.h"

#define ARGS_MAX 40

struct parsed {
    int rc;
    struct rg_flags flags;
    char *errors;
};

/* words are separated by single blanks; they live until the next call, as the flags point into them. */
static struct parsed parse(const char *words)
{
    static char line[1024];
    static char *argv[ARGS_MAX + 1];
    struct parsed p = {0};
    size_t len;
    int argc = 0;
    snprintf(line, sizeof(line), "ringgate %s", words);
    for (char *w = strtok(line, " "); w; w = strtok(NULL, " ")) {
        assert_true(argc < ARGS_MAX);
        argv[argc++] = w;
    }
    argv[argc] = NULL;
    FILE *err = open_memstream(&p.errors, &len);
    p.rc = rg_flags_parse(argc, argv, &p.flags, err);
    fclose(err);
    return p;
}

static struct rg_flags good(const char *words)
{
    struct parsed p = parse(words);
    assert_string_equal(p.errors, "");
    assert_int_equal(p.rc, 0);
    free(p.errors);
    return p.flags;
}

static void bad(const char *words, const char *errors)
{
    static const struct rg_flags untouched;
    struct parsed p = parse(words);
    assert_string_equal(p.errors, errors);
    assert_true(p.rc < 0);
    assert_memory_equal(&p.flags, &untouched, sizeof(untouched));
    free(p.errors);
}

static void no_flags(void **state)
{
    (void)state;
    struct rg_flags f = good("");
    assert_string_equal(f.config_path, "/etc/ringgate/ringgate.yaml");
    assert_false(f.config_given || f.check_only || f.show_version || f.show_help);
    assert_int_equal(f.listen.n, 0);
    assert_null(f.replica);
    assert_null(f.workers);
    assert_null(f.admin);
}

static void all_flags(void **state)
{
    (void)state;
    struct rg_flags f = good("-c /x.yaml -t --listen 80 --replica=81 --workers auto --listen unix:/s --admin off "
                             "--control wss://p --token-file /t --state-dir /d");
    assert_string_equal(f.config_path, "/x.yaml");
    assert_true(f.config_given && f.check_only);
    assert_int_equal(f.listen.n, 2);
    assert_string_equal(f.listen.list[0], "80");
    assert_string_equal(f.listen.list[1], "unix:/s");
    assert_string_equal(f.replica, "81");
    assert_string_equal(f.workers, "auto");
    assert_string_equal(f.admin, "off");
    assert_string_equal(f.control, "wss://p");
    assert_string_equal(f.token_file, "/t");
    assert_string_equal(f.state_dir, "/d");
    assert_true(good("-V").show_version);
    assert_true(good("--version").show_version);
    assert_true(good("-h").show_help);
    assert_true(good("--help").show_help);
    f = good("-tc/y.yaml");
    assert_true(f.check_only);
    assert_string_equal(f.config_path, "/y.yaml");
    assert_string_equal(good("--config=/z").config_path, "/z");
    assert_string_equal(good("--replica --lis").replica, "--lis"); /* a value may look like a flag */
    assert_true(good("--test").check_only);
}

static void what_is_refused(void **state)
{
    (void)state;
    bad("--lisen 80", "--lisen: got an unknown flag, wanted one of those that --help lists; did you mean --listen?\n"
                      "80: got an operand, wanted flags only; see --help\n");
    bad("--relpica=80",
        "--relpica: got an unknown flag, wanted one of those that --help lists; did you mean --replica?\n");
    bad("--frobnicate", "--frobnicate: got an unknown flag, wanted one of those that --help lists\n");
    bad("-x", "-x: got an unknown flag, wanted one of those that --help lists\n");
    bad("-c", "-c: got no value, wanted FILE\n");
    bad("--replica", "--replica: got no value, wanted ADDR\n");
    bad("--test=3", "--test: got a value, wanted the flag alone\n");
    bad("start -t now",
        "start: got an operand, wanted flags only; see --help\nnow: got an operand, wanted flags only; see --help\n");
    bad("-x -t -y", "-x: got an unknown flag, wanted one of those that --help lists\n"
                    "-y: got an unknown flag, wanted one of those that --help lists\n");
}

#define UNKNOWN ": got an unknown flag, wanted one of those that --help lists"

static void names_are_not_abbreviated(void **state)
{
    (void)state;
    bad("--lis 80", "--lis" UNKNOWN "; did you mean --listen?\n");
    bad("--lis=80 --listen 81", "--lis" UNKNOWN "; did you mean --listen?\n");
    bad("--tes --rep 80", "--tes" UNKNOWN "; did you mean --test?\n--rep" UNKNOWN "; did you mean --replica?\n");
    bad("--lis", "--lis" UNKNOWN "; did you mean --listen?\n");
    bad("--tes=1", "--tes" UNKNOWN "; did you mean --test?\n");
    bad("--co x", "--co" UNKNOWN "; did you mean --config?\nx: got an operand, wanted flags only; see --help\n");
    bad("--tok x", "--tok" UNKNOWN "; did you mean --token-file?\n");
}

static void flags_with_one_value_are_given_once(void **state)
{
    (void)state;
    bad("--replica 80 --replica=81", "--replica: got 80 and 81, wanted the flag once\n");
    bad("-c /a --config /a", "--config: got \"/a\" and \"/a\", wanted the flag once\n");
    bad("--workers 1 --admin off --workers auto --admin 9 -x",
        "--workers: got 1 and \"auto\", wanted the flag once\n--admin: got \"off\" and 9, wanted the flag "
        "once\n-x" UNKNOWN "\n");
    assert_true(good("-t -t --test").check_only); /* says nothing different */
}

static void listeners_are_bounded(void **state)
{
    (void)state;
    char words[512] = "";
    for (int i = 0; i < RG_LISTENERS_MAX; i++)
        sprintf(words + strlen(words), "--listen=%d ", 8000 + i);
    assert_int_equal(good(words).listen.n, RG_LISTENERS_MAX);
    sprintf(words + strlen(words), "--listen=99");
    bad(words, "--listen: got more than 16 of them, wanted at most 16\n");
}

static void help_names_every_supported_flag(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    rg_flags_help(out);
    fclose(out);
    static const char *const lines[] = {
        "  -c, --config FILE         configuration, YAML (default /etc/ringgate/ringgate.yaml)\n",
        "  -t, --test                check",
        "  -V, --version             print",
        "  -h, --help                print",
        "      --listen ADDR         where",
        "      --replica ADDR        the service",
        "      --workers N|auto      worker",
        "      --admin ADDR|off      metrics",
        "      --control URL         the control plane",
        "      --token-file FILE     file",
        "      --state-dir DIR       what is deployed",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_non_null(strstr(text, lines[i]));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_flags),
        cmocka_unit_test(all_flags),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(names_are_not_abbreviated),
        cmocka_unit_test(flags_with_one_value_are_given_once),
        cmocka_unit_test(listeners_are_bounded),
        cmocka_unit_test(help_names_every_supported_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
