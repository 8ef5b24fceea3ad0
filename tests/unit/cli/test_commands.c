/* The tables of commands, flags and kinds: complete, without a name twice, and found by their words. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "control/cli/commands.h"
#include "control/cli/kinds.h"
#include "control/common/kinds.h"

static void commands_are_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < rg_cli_commands_count; i++) {
        const struct rg_cli_command *c = &rg_cli_commands[i];
        char start[64];
        snprintf(start, sizeof(start), "rgctl %s", c->name);
        assert_true(c->run && c->help[0] && c->min <= c->max);
        assert_true(strstr(c->example, start) != NULL);
        assert_int_equal(c->example[strlen(c->example) - 1], '\n');
        assert_int_equal(c->flags & rg_cli_global_flags, 0);
        assert_true(c->help[strlen(c->help) - 1] != '.');       /* help adds it */
        assert_true(c->result && (c->offline || c->result[0])); /* what asks the platform has one for programs */
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(c->name, rg_cli_commands[j].name);
    }
}

static void flags_are_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RG_CLI_FLAGS; i++) {
        const struct rg_flag *f = &rg_cli_flag_table.flags[i];
        bool is_used = rg_cli_global_flags >> i & 1;
        assert_true(f->name && f->help);
        for (unsigned c = 0; c < rg_cli_commands_count; c++)
            is_used |= rg_cli_commands[c].flags >> i & 1;
        assert_true(is_used);
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(f->name, rg_cli_flag_table.flags[j].name);
            assert_true(!f->letter || f->letter != rg_cli_flag_table.flags[j].letter);
        }
    }
}

static void is_command(const char *first, const char *second, const char *name, unsigned words)
{
    char *list[] = {(char *)(uintptr_t)first, (char *)(uintptr_t)second};
    unsigned used = 0;
    const struct rg_cli_command *c = rg_cli_command_of(list, second ? 2 : 1, &used);
    if (!name) {
        assert_null(c);
        return;
    }
    assert_non_null(c);
    assert_string_equal(c->name, name);
    assert_int_equal(used, words);
}

static void words_name_commands(void **state)
{
    (void)state;
    is_command("apply", NULL, "apply", 1);
    is_command("apply", "list", "apply", 1);
    is_command("gateway", "list", "gateway list", 2);
    is_command("gateway", NULL, NULL, 0);
    is_command("gateway", "lists", NULL, 0);
    is_command("gatewa", "list", NULL, 0);
    is_command("", NULL, NULL, 0);
    is_command("app", NULL, NULL, 0);
}

static void given_flags(void **state)
{
    (void)state;
    char *argv[] = {"rgctl", "apply", "-f", "a", "x", "--no-wait", "-f", "b", NULL};
    struct rg_cli_options options = {0};
    int first;
    assert_int_equal(rg_flags_take_operands(&rg_cli_flag_table, 8, argv, &options, &first, stderr), 0);
    assert_int_equal(first, 6);
    assert_string_equal(argv[6], "apply");
    assert_string_equal(argv[7], "x");
    assert_int_equal(options.files.n, 2);
    assert_int_equal(rg_cli_flags_given(&options), RG_CLI_BIT(FILES) | RG_CLI_BIT(NO_WAIT));
}

static void kinds(void **state)
{
    (void)state;
    static const char *const words[] = {"rest-apis", "rest-api", "RestApi", "restapis", "REST-API"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_string_equal(rg_cli_kind_of(words[i])->name, "RestApi");
    assert_string_equal(rg_cli_kind_of("llm-proxies")->name, "LlmProxy");
    assert_null(rg_cli_kind_of("rest"));
    assert_null(rg_cli_kind_of(""));
    assert_null(rg_cli_kind_named("restapi"));
    assert_string_equal(rg_cli_kind_meant("llm-provder"), "llm-provider");
    for (unsigned i = 0; i < rg_cli_kinds_count; i++) {
        assert_true(rg_cli_kinds[i].n_columns > 0 && rg_cli_kinds[i].n_columns <= RG_OUTPUT_COLUMNS_MAX);
        assert_ptr_equal(rg_cli_kind_named(rg_cli_kinds[i].name), &rg_cli_kinds[i]);
    }
}

static void kinds_are_those_of_the_wire(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RG_KINDS; i++) {
        const struct rg_kind_info *wire = rg_kind_info((enum rg_kind)i);
        const struct rg_cli_kind *kind = rg_cli_kind_named(wire->name);
        assert_int_equal(wire->supported, kind && kind->deployable);
        if (kind)
            assert_string_equal(kind->collection, wire->collection);
    }
}

static void paths_are_escaped(void **state)
{
    (void)state;
    char path[RG_CLI_PATH_MAX];
    static char name[4 * RG_CLI_PATH_MAX];
    assert_string_equal(rg_cli_path(path, "/a/%s?b=%s", "x/../y", "1&c=\xc3\xa9"), "/a/x%2F..%2Fy?b=1%26c%3D%C3%A9");
    memset(name, '/', sizeof(name) - 1);
    assert_true(strlen(rg_cli_path(path, "/a/%s/b", name)) < RG_CLI_PATH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_whole),
        cmocka_unit_test(flags_are_whole),
        cmocka_unit_test(words_name_commands),
        cmocka_unit_test(given_flags),
        cmocka_unit_test(kinds),
        cmocka_unit_test(kinds_are_those_of_the_wire),
        cmocka_unit_test(paths_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
