/* control/common/conf_tree.c and conf_scan.c: what of YAML is refused, where, and that limits hold. */
#include "tests/unit/options/config_fixture.h"

#include <stdlib.h>
#include <time.h>

#include "control/common/conf_tree.h"

#define SYNTAX "wanted well-formed YAML; see the line itself and the one before it: indentation, quotes, colons\n"

static void indirections_are_refused(void **state)
{
    (void)state;
    config_bad("log: &a {level: info}\n", "t.yaml:1:6: log: got an anchor (\"a\"), wanted the value without an anchor; "
                                          "write it out wherever it is needed\n");
    config_bad(
        "workers: &a 1\nbacklog: *a\n",
        "t.yaml:1:10: workers: got an anchor (\"a\"), wanted the value without an anchor; write it out wherever it is "
        "needed\n"
        "t.yaml:2:10: backlog: got an alias (\"a\"), wanted the value itself; write it out wherever it is needed\n");
    config_bad("workers: !!int 1\n",
               "t.yaml:1:10: workers: got a tag (\"tag:yaml.org,2002:int\"), wanted the value without a tag\n");
    config_bad("trusted_proxies: !x [10.0.0.0/8]\n",
               "t.yaml:1:18: trusted_proxies: got a tag (\"!x\"), wanted the value without a tag\n");
    config_bad("log: {<<: *base}\n", "t.yaml:1:7: log.\"<<\": got an unknown key, wanted level\n"
                                     "t.yaml:1:11: log.\"<<\": got an alias (\"base\"), wanted the value itself; write "
                                     "it out wherever it is needed\n");
    config_bad(
        "*a : 1\n",
        "t.yaml:1:1: document: got an alias (\"a\"), wanted the value itself; write it out wherever it is needed\n");
}

static void an_alias_bomb_costs_nothing(void **state)
{
    (void)state;
    char text[2048] = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    size_t used = strlen(text);
    for (int i = 1; i < 12; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "*a%d%s", i - 1, j < 8 ? ", " : "]\n");
    }
    struct loaded l = config_load(text, strlen(text), NULL);
    assert_true(l.rc < 0);
    assert_non_null(strstr(l.errors, "t.yaml:1:5: a0: got an anchor (\"a0\")"));
    assert_non_null(strstr(l.errors, "t.yaml:2:10: a1[0]: got an alias (\"a0\")"));
    assert_non_null(strstr(l.errors, "t.yaml: and "));
    config_free(&l);
}

static void one_document_only(void **state)
{
    (void)state;
    config_bad("workers: 1\n---\nworkers: 2\n",
               "t.yaml:2:1: document: got a second document, wanted one document; remove the line ---\n");
    config_bad("---\n---\n", "t.yaml:2:1: document: got a second document, wanted one document; remove the line ---\n");
    assert_int_equal(config_good("---\nworkers: 3\n...\n").workers, 3);
}

static void empty_documents_are_all_defaults(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "# nothing\n", "---\n", "~\n", "{}\n", "null\n", "log:\nlimits: ~\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(config_good(texts[i]).backlog, 4096);
}

static void the_document_must_be_a_mapping(void **state)
{
    (void)state;
    config_bad("- workers\n", "t.yaml:1:1: document: got a list, wanted a mapping of keys to values\n");
    config_bad("workers\n", "t.yaml:1:1: document: got \"workers\", wanted a mapping of keys to values\n");
    config_bad("workers:2\n", "t.yaml:1:1: document: got \"workers:2\", wanted a mapping of keys to values\n");
}

static void keys_are_plain_and_once(void **state)
{
    (void)state;
    config_bad("workers: 1\nworkers: 2\n",
               "t.yaml:2:1: workers: got the key twice (first in line 1), wanted it once\n");
    config_bad("log: {level: info}\nlog:\n  level: warn\n",
               "t.yaml:2:1: log: got the key twice (first in line 1), wanted it once\n");
    config_bad("listeners:\n  - address: 80\n    address: 81\n",
               "t.yaml:3:5: listeners[0].address: got the key twice (first in line 2), wanted it once\n");
    config_bad("? [a, b]\n: 1\nworkers: 1\n",
               "t.yaml:1:3: document: got a mapping or a list as a key, wanted a plain key\n");
    config_bad("log:\n  ? {a: {b: c}}\n  : {d: [e]}\n  level: inf\n",
               "t.yaml:2:5: log: got a mapping or a list as a key, wanted a plain key\n"
               "t.yaml:4:10: log.level: got \"inf\", wanted one of error, warn, info or debug; did you mean info?\n");
    config_bad(
        "\"a\\0b\": 1\n?\n: 2\n\"\": 3\n",
        "t.yaml:1:1: \"a\\x00b\": got an unknown key, wanted one of workers, pin_workers, backlog, health_path, "
        "trusted_proxies, listeners, tls, replica, steering, control, admin, timeouts, limits, http, access_log, log\n"
        "t.yaml:2:2: \"\": got an unknown key, wanted one of workers, pin_workers, backlog, health_path, "
        "trusted_proxies, listeners, tls, replica, steering, control, admin, timeouts, limits, http, access_log, log\n"
        "t.yaml:4:1: \"\": got the key twice (first in line 2), wanted it once\n");
}

static void syntax_errors_have_a_place(void **state)
{
    (void)state;
    config_bad("log:\n\tlevel: info\n", "t.yaml:2:1: log: got a tab, wanted spaces for indentation\n");
    config_bad("log:\n  level: info\n  \tformat: x\n",
               "t.yaml:3:3: log.level: got a tab, wanted spaces for indentation\n");
    config_bad(
        "trusted_proxies: [10.0.0.0/8\n",
        "t.yaml:2:1: trusted_proxies[1]: got malformed YAML (did not find expected ',' or ']' while parsing a flow "
        "sequence), " SYNTAX);
    config_bad("log: {level: \"info}\n", "t.yaml:2:1: log.level: got malformed YAML (found unexpected end of stream "
                                         "while scanning a quoted scalar), " SYNTAX);
    config_bad("workers: 1\n backlog: 2\n",
               "t.yaml:2:9: document: got malformed YAML (mapping values are not allowed in this context), " SYNTAX);
    config_bad("%YAML 9.9\n---\nworkers: 1\n",
               "t.yaml:1:1: document: got malformed YAML (found incompatible YAML document), " SYNTAX);
}

static void bytes_that_no_text_has(void **state)
{
    (void)state;
    config_bad_bytes("workers: 1\nlog\0: 2\n", 18, "t.yaml:2:4: document: got a NUL byte, wanted text in UTF-8\n");
    config_bad("# \xc3\xa9 \xff\n",
               "t.yaml:1:5: document: got a byte that is not UTF-8 (0xff), wanted text in UTF-8\n");
    config_bad("\x1b[31m: 1\n", "t.yaml:1:1: document: got the control byte 0x1b, wanted text in UTF-8\n");
    config_bad("a\x7f: 1\n", "t.yaml:1:2: document: got the control byte 0x7f, wanted text in UTF-8\n");
    static const char *const malformed[] = {
        "\x80",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xc3",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xc3(",
        "\xfe",
        "\xff\xfe.",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        char expected[128];
        snprintf(expected, sizeof(expected),
                 "t.yaml:1:1: document: got a byte that is not UTF-8 (0x%02x), wanted text in UTF-8\n",
                 (unsigned char)malformed[i][0]);
        config_bad(malformed[i], expected);
    }
    assert_int_equal(config_good("# \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\r\nworkers: 2\r\n").workers,
                     2);
    assert_int_equal(config_good("\xef\xbb\xbfworkers: 2\n").workers, 2);
}

static void columns_count_characters(void **state)
{
    (void)state;
    config_bad("log: {level: \"\xc3\xa9\xc3\xa9\", lvel: 1}\n",
               "t.yaml:1:14: log.level: got \"\xc3\xa9\xc3\xa9\", wanted one of error, warn, info or debug\n"
               "t.yaml:1:20: log.lvel: got an unknown key, wanted level; did you mean level?\n");
}

static char *filled(size_t len, char c)
{
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, c, len);
    text[len] = '\0';
    return text;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void large_files_are_refused_at_once(void **state)
{
    (void)state;
    double start = seconds();
    char *text = filled(10 << 20, 'x');
    config_bad(text, "t.yaml:1:1: document: got more than 1MiB, wanted at most 1MiB\n");
    free(text);
    text = filled((1 << 20) + 1, '#');
    config_bad(text, "t.yaml:1:1: document: got more than 1MiB, wanted at most 1MiB\n");
    text[1 << 20] = '\0';
    assert_int_equal(config_good(text).backlog, 4096);
    free(text);
    assert_true(seconds() - start < 10);
}

static void nesting_ends_at_32(void **state)
{
    (void)state;
    for (size_t depth = 31; depth <= 100000; depth = depth < 33 ? depth + 1 : depth * 10) {
        char *text = filled(2 * depth + 5, ']'), expected[1024];
        memcpy(text, "log: ", 5);
        memset(text + 5, '[', depth);
        struct loaded l = config_load(text, strlen(text), NULL);
        assert_true(l.rc < 0);
        snprintf(expected, sizeof(expected), "got more than 32 levels of nesting, wanted a flatter document\n");
        assert_int_equal(strstr(l.errors, expected) != NULL, depth >= 32);
        if (depth == 31)
            assert_string_equal(l.errors, "t.yaml:1:6: log: got a list, wanted a section with level\n");
        config_free(&l);
        free(text);
    }
    /* block style: each level two columns further in */
    char *text = filled(40 * 80, ' ');
    size_t used = 0;
    for (int i = 0; i < 40; i++)
        used += (size_t)sprintf(text + used, "%*sa:\n", i * 2, "");
    struct loaded l = config_load(text, used, NULL);
    assert_non_null(strstr(l.errors, "t.yaml:33:65: "));
    assert_non_null(strstr(l.errors, "got more than 32 levels of nesting"));
    config_free(&l);
    free(text);
}

static void nodes_end_at_10000(void **state)
{
    (void)state;
    for (size_t items = 9900; items <= 300000; items = items == 9900 ? 10000 : items * 30) {
        char *text = filled(17 + 2 * items + 1, ','), *p = text;
        p += sprintf(p, "trusted_proxies: ");
        *p++ = '[';
        for (size_t i = 0; i < items; i++, p += 2)
            memcpy(p, i + 1 < items ? "1," : "1]", 2);
        struct loaded l = config_load(text, (size_t)(p - text), NULL);
        assert_true(l.rc < 0);
        if (items == 9900)
            assert_non_null(
                strstr(l.errors, "t.yaml:1:18: trusted_proxies: got a list of 9900, wanted a list of 0 to 64 items\n"));
        else
            assert_string_equal(l.errors, "t.yaml:1:20013: trusted_proxies[9997]: got more than 10000 keys and values, "
                                          "wanted a smaller document\n");
        config_free(&l);
        free(text);
    }
}

static void many_keys_do_not_take_quadratic_time(void **state)
{
    (void)state;
    double start = seconds();
    char *text = filled(1 << 20, ' '), *p = text;
    for (int i = 0; i < 4990; i++)
        p += sprintf(p, "key%06d: 1\n", i);
    struct loaded l = config_load(text, (size_t)(p - text), NULL);
    assert_non_null(strstr(l.errors, "t.yaml: and 4890 more errors\n"));
    config_free(&l);
    free(text);
    assert_true(seconds() - start < 10);
}

static void paths_find_nodes(void **state)
{
    (void)state;
    static const char text[] = "a: {b: [x, {c: y}]}\n";
    struct rg_conf_errors errors;
    struct rg_conf_tree *tree = NULL;
    const struct rg_conf_tree_limits limits = {RG_CONF_FILE_MAX, RG_CONF_NODES_MAX};
    rg_conf_errors_init(&errors);
    assert_int_equal(rg_conf_tree_create(&tree, text, strlen(text), &limits, &errors), 0);
    assert_false(rg_conf_errors_any(&errors));
    assert_ptr_equal(rg_conf_tree_find(tree, ""), rg_conf_tree_root(tree));
    assert_memory_equal(rg_conf_tree_find(tree, "a.b[0]")->text.ptr, "x", 2);
    assert_memory_equal(rg_conf_tree_find(tree, "a.b[1].c")->text.ptr, "y", 2);
    static const char *const missing[] = {"b",    "a.c",      "a.b[2]",     "a.b.c",
                                          "a[0]", "a.b[0].c", "a.b[1].c.d", "a.b[1].c[0]"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        assert_null(rg_conf_tree_find(tree, missing[i]));
    rg_conf_tree_destroy(tree);
    rg_conf_tree_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indirections_are_refused),
        cmocka_unit_test(an_alias_bomb_costs_nothing),
        cmocka_unit_test(one_document_only),
        cmocka_unit_test(empty_documents_are_all_defaults),
        cmocka_unit_test(the_document_must_be_a_mapping),
        cmocka_unit_test(keys_are_plain_and_once),
        cmocka_unit_test(syntax_errors_have_a_place),
        cmocka_unit_test(bytes_that_no_text_has),
        cmocka_unit_test(columns_count_characters),
        cmocka_unit_test(large_files_are_refused_at_once),
        cmocka_unit_test(nesting_ends_at_32),
        cmocka_unit_test(nodes_end_at_10000),
        cmocka_unit_test(many_keys_do_not_take_quadratic_time),
        cmocka_unit_test(paths_find_nodes),
    };
    return cmocka_run_group_tests(tests, config_setup, config_teardown);
}
