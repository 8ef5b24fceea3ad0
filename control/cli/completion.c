/* Why: bash completes commands, kinds, flags and their values as the tables have them. Thread: one. */
#include "control/cli/help.h"

#include <string.h>

#include "control/cli/kinds.h"

static void print_first_words(void)
{
    for (unsigned i = 0; i < rg_cli_commands_count; i++) {
        const char *name = rg_cli_commands[i].name;
        size_t len = strcspn(name, " ");
        bool seen = i > 0 && strncmp(rg_cli_commands[i - 1].name, name, len) == 0 &&
                    strcspn(rg_cli_commands[i - 1].name, " ") == len;
        if (!seen)
            printf("%s%.*s", i > 0 ? " " : "", (int)len, name);
    }
}

static void print_flags_of(uint32_t bits)
{
    for (unsigned i = 0; i < RG_CLI_FLAGS; i++)
        if (bits >> i & 1)
            printf(" --%s", rg_cli_flag_table.flags[i].name);
}

/* The flags of each command, and what its first operand is completed to. */
static void print_cases(bool of_two_words)
{
    for (unsigned i = 0; i < rg_cli_commands_count; i++) {
        const struct rg_cli_command *c = &rg_cli_commands[i];
        if ((strchr(c->name, ' ') != NULL) != of_two_words)
            continue;
        printf("    '%s') flags='", c->name);
        print_flags_of(c->flags | rg_cli_global_flags);
        printf("'%s ;;\n", c->complete == RG_CLI_COMPLETE_KIND   ? "; words=$kinds"
                           : c->complete == RG_CLI_COMPLETE_FILE ? "; files=1"
                                                                 : "");
    }
}

static void print_groups(void)
{
    for (unsigned i = 0; i < rg_cli_commands_count; i++) {
        const char *blank = strchr(rg_cli_commands[i].name, ' ');
        if (blank)
            printf("    '%.*s') words+=' %s' ;;&\n", (int)(blank - rg_cli_commands[i].name), rg_cli_commands[i].name,
                   blank + 1);
    }
}

static void print_values(enum rg_cli_completion kind, const char *action)
{
    const char *between = "    ";
    for (unsigned i = 0; i < RG_CLI_FLAGS; i++) {
        const struct rg_flag *f = &rg_cli_flag_table.flags[i];
        if (!f->value || rg_cli_flag_completions[i] != kind)
            continue;
        printf("%s--%s", between, f->name);
        if (f->letter)
            printf(" | -%c", f->letter);
        between = " | ";
    }
    printf(") %s; return ;;\n", action);
}

enum rg_cli_status rg_cli_completion(struct rg_cli *cli, const struct rg_cli_operands *operands)
{
    (void)cli;
    (void)operands;
    fputs("# bash completion for rgctl: source <(rgctl completion)\n_rgctl()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} kinds='",
          stdout);
    for (unsigned i = 0; i < rg_cli_kinds_count; i++)
        printf("%s%s", i > 0 ? " " : "", rg_cli_kinds[i].collection);
    fputs("' flags='' words='' files=''\n    COMPREPLY=()\n    case $prev in\n", stdout);
    print_values(RG_CLI_COMPLETE_FILE, "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")");
    print_values(RG_CLI_COMPLETE_FORMAT, "mapfile -t COMPREPLY < <(compgen -W 'table json yaml' -- \"$cur\")");
    print_values(RG_CLI_COMPLETE_NOTHING, ":");
    fputs("    esac\n    if ((COMP_CWORD == 1)); then\n        words='", stdout);
    print_first_words();
    fputs("'\n    elif ((COMP_CWORD == 2)); then\n        case ${COMP_WORDS[1]} in\n", stdout);
    print_groups();
    fputs("        esac\n    fi\n    case ${COMP_WORDS[1]} in\n", stdout);
    print_cases(false);
    fputs("    esac\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n", stdout);
    print_cases(true);
    fputs("    esac\n    [[ $cur == -* ]] && words=$flags\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
          "    [[ -z $files || $cur == -* ]] || mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- "
          "\"$cur\")\n"
          "}\ncomplete -o filenames -F _rgctl rgctl\n",
          stdout);
    return ferror(stdout) ? RG_CLI_FAILED : RG_CLI_DONE;
}
