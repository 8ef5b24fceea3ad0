/* See help.h. */
#include "control/cli/help.h"

#include <string.h>

#define WIDTH 100u /* of running text */

static void print_usage(const struct rg_cli_command *c, FILE *out)
{
    fprintf(out, "rgctl %s%s%s", c->name, c->operands[0] ? " " : "", c->operands);
}

/* Breaks lines between words. */
static void print_wrapped(const char *text, FILE *out)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s%.*s", column > 0 ? " " : "", (int)len, text);
        text += len + (text[len] == ' ');
    }
    fputc('\n', out);
}

static void print_indented(const char *lines, FILE *out)
{
    while (*lines) {
        size_t len = strcspn(lines, "\n");
        fprintf(out, "  %.*s\n", (int)len, lines);
        lines += len + (lines[len] == '\n');
    }
}

static void print_flags(uint32_t bits, FILE *out)
{
    for (unsigned i = 0; i < RG_CLI_FLAGS; i++) {
        struct rg_flag_table one = {&rg_cli_flag_table.flags[i], 1};
        if (bits >> i & 1)
            rg_flags_list(&one, out);
    }
}

static void print_row(const struct rg_cli_command *c, FILE *out)
{
    char left[64];
    snprintf(left, sizeof(left), "%s%s%s", c->name, c->operands[0] ? " " : "", c->operands);
    fprintf(out, "  %-34s%s\n", left, c->help);
}

static const char intro[] = "Deploys APIs to ringgate gateways through the platform, and shows what became of them.";
static void print_statuses(FILE *out)
{
    char text[512] = "Exit status: ";
    for (unsigned i = 0; i < RG_CLI_STATUSES; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n, "%u %s%s", i, rg_cli_statuses[i].help,
                 i + 1 < RG_CLI_STATUSES ? ", " : ".");
    }
    print_wrapped(text, out);
}

/* The same for help and documentation. */
static void print_result(const struct rg_cli_command *c, FILE *out)
{
    char text[1024];
    snprintf(text, sizeof(text), c->result[0] ? "With -o json or yaml: %s." : "It prints text, also with -o json.%s",
             c->result);
    fputc('\n', out);
    print_wrapped(text, out);
}

void rg_help_all(FILE *out)
{
    fprintf(out, "Usage: rgctl COMMAND [OPERAND...] [FLAG...]\n\n%s\n\nCommands:\n", intro);
    for (unsigned i = 0; i < rg_cli_commands_count; i++)
        print_row(&rg_cli_commands[i], out);
    fputs("\nFlags of every command:\n", out);
    print_flags(rg_cli_global_flags, out);
    fputs("\nFrom nothing to a deployed API:\n", out);
    print_indented("rgctl gateway create edge-1\n"
                   "rgctl token create edge-1 >edge-1.token   # ringgate --control URL --token-file $PWD/edge-1.token\n"
                   "rgctl apply -f hello.yaml\n",
                   out);
    fputc('\n', out);
    print_statuses(out);
    fputs("`rgctl COMMAND --help` has the flags of a command and examples.\n", out);
}

void rg_help_command(const struct rg_cli_command *c, FILE *out)
{
    fputs("Usage: ", out);
    print_usage(c, out);
    fprintf(out, " [FLAG...]\n\n%c%s.\n", c->help[0] - ('a' <= c->help[0] && c->help[0] <= 'z' ? 'a' - 'A' : 0),
            c->help + 1);
    if (c->detail[0]) {
        fputc('\n', out);
        print_wrapped(c->detail, out);
    }
    print_result(c, out);
    if (c->flags) {
        fputs("\nFlags:\n", out);
        print_flags(c->flags, out);
    }
    fputs("\nFlags of every command:\n", out);
    print_flags(rg_cli_global_flags, out);
    fputs("\nExamples:\n", out);
    print_indented(c->example, out);
}

bool rg_help_group(const char *word, FILE *out)
{
    bool found = false;
    for (unsigned i = 0; i < rg_cli_commands_count; i++) {
        if (!rg_cli_command_begins(&rg_cli_commands[i], word))
            continue;
        if (!found)
            fprintf(out, "Usage: rgctl %s COMMAND [OPERAND...] [FLAG...]\n\nCommands:\n", word);
        print_row(&rg_cli_commands[i], out);
        found = true;
    }
    if (found)
        fprintf(out, "\n`rgctl %s COMMAND --help` has flags and examples.\n", word);
    return found;
}

/* ---- docs/RGCTL.md ---- */

static void write_flags(uint32_t bits, FILE *out)
{
    fputs("\n| flag | meaning |\n|---|---|\n", out);
    for (unsigned i = 0; i < RG_CLI_FLAGS; i++) {
        const struct rg_flag *f = &rg_cli_flag_table.flags[i];
        if (!(bits >> i & 1))
            continue;
        fputs("| ", out);
        if (f->letter)
            fprintf(out, "`-%c`, ", f->letter);
        fprintf(out, "`--%s%s%s` | %s |\n", f->name, f->value ? " " : "", f->value ? f->value : "", f->help);
    }
}

static void write_command(const struct rg_cli_command *c, FILE *out)
{
    fprintf(out, "\n### rgctl %s\n\n`", c->name);
    print_usage(c, out);
    fprintf(out, "`: %s.\n", c->help);
    if (c->detail[0]) {
        fputc('\n', out);
        print_wrapped(c->detail, out);
    }
    print_result(c, out);
    if (c->flags)
        write_flags(c->flags, out);
    fprintf(out, "\n```sh\n%s```\n", c->example);
}

static const char for_programs[] =
    "## For programs\n\n"
    "With `-o json` or `-o yaml` standard output has the result alone, as each command tells below, or\n"
    "nothing where it failed without one. What went wrong is one object on standard error, of the same\n"
    "format, when rgctl ends:\n\n"
    "```json\n"
    "{\n"
    "  \"outcome\": \"failed\",\n"
    "  \"exitStatus\": 1,\n"
    "  \"errors\": [\n"
    "    {\n"
    "      \"message\": \"can't create RestApi/hello (VALIDATION_FAILED, 400)\",\n"
    "      \"httpStatus\": 400,\n"
    "      \"code\": \"VALIDATION_FAILED\",\n"
    "      \"problems\": [\n"
    "        {\"message\": \"got an unknown key, wanted ...\", \"place\": \"hello.yaml:7:3\", \"path\": "
    "\"spec.frob\"}\n"
    "      ]\n"
    "    }\n"
    "  ]\n"
    "}\n"
    "```\n\n"
    "An error has a `message`; where they are known `place` and `path` of the field in a file, `httpStatus`,\n"
    "`code` and `trackingId` of the platform's answer, `problems` (all that is wrong, each with `message`, `place` "
    "and\n"
    "`path`), and `details`: sentences on what to do. `warnings` (sentences) are there where something did not\n"
    "fail but should be known. When all went well and nothing is to be told, standard error is empty.\n\n"
    "| exit status | outcome | meaning |\n|---|---|---|\n";

static void write_for_programs(FILE *out)
{
    fputs(for_programs, out);
    for (unsigned i = 0; i < RG_CLI_STATUSES; i++)
        fprintf(out, "| %u | `%s` | %s |\n", i, rg_cli_statuses[i].word, rg_cli_statuses[i].help);
}

void rg_docs_rgctl(FILE *out)
{
    fputs("# rgctl\n\n<!-- Made by ringgate-docs from control/cli/commands.c, options.def and statuses.def: change "
          "these, then run "
          "ringgate-docs --write docs. -->\n\n",
          out);
    print_wrapped(intro, out);
    fputs("\n```sh\nrgctl gateway create edge-1\nrgctl token create edge-1 >edge-1.token\nrgctl apply -f "
          "hello.yaml\n```\n\n"
          "Results go to standard output, errors to standard error. ",
          out);
    fputs("Colours are used on a terminal only, and never where `NO_COLOR` is set.\n\n", out);
    write_for_programs(out);
    fputs("\n## Flags of every command\n", out);
    write_flags(rg_cli_global_flags, out);
    fputs("\n## Commands\n", out);
    for (unsigned i = 0; i < rg_cli_commands_count; i++)
        write_command(&rg_cli_commands[i], out);
}
