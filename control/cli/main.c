/*
 * rgctl: the operator's command line. Reads the flags, finds the command in the table, runs it.
 * Thread: the only one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "control/cli/commands.h"

/* All that is wrong with the flags is told in the format that they ask for. */
static bool read_flags(struct rg_cli *cli, int argc, char **argv, int *ret_first)
{
    enum rg_output_format format = RG_OUTPUT_TABLE;
    char *text = NULL;
    size_t len;
    FILE *err = open_memstream(&text, &len);
    int r = rg_flags_take_operands(&rg_cli_flag_table, argc, argv, &cli->options, ret_first, err ? err : stderr);
    rg_output_format_of(cli->options.output, &format); /* that it is none is said later */
    rg_report_begin(format);
    if (err)
        fclose(err);
    for (char *rest = text, *line; rest && (line = strsep(&rest, "\n")) != NULL;)
        if (line[0])
            rg_cli_complain("%s", line);
    free(text);
    return r == 0;
}

/* A result that could not be written, to a full disk, was not delivered. */
static enum rg_cli_status finish(enum rg_cli_status s)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return s;
    rg_cli_complain("can't write to standard output: %s", strerror(errno));
    return s == RG_CLI_DONE ? RG_CLI_FAILED : s;
}

static enum rg_cli_status run(int argc, char **argv)
{
    struct rg_cli cli = {0};
    int first;
    if (!read_flags(&cli, argc, argv, &first))
        return RG_CLI_USAGE;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        rg_cli_complain("can't set libcurl up: no memory");
        return RG_CLI_FAILED;
    }
    enum rg_cli_status s = finish(rg_cli_dispatch(&cli, argv + first, (unsigned)(argc - first)));
    curl_global_cleanup();
    return s;
}

int main(int argc, char **argv)
{
    enum rg_cli_status s = run(argc, argv);
    rg_report_end(s);
    return (int)s;
}
