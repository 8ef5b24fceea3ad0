/*
 * rgctl: the operator's command line. Reads the flags, finds the command in the table, runs it.
 * Thread: the only one.
 */
#include <errno.h>
#include <string.h>

#include <curl/curl.h>

#include "control/cli/commands.h"

/* A result that could not be written, to a full disk, was not delivered. */
static int finish(enum rg_cli_status s)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return (int)s;
    rg_cli_complain("can't write to standard output: %s", strerror(errno));
    return s == RG_CLI_DONE ? RG_CLI_FAILED : (int)s;
}

int main(int argc, char **argv)
{
    struct rg_cli cli = {0};
    int first;
    if (rg_flags_take_operands(&rg_cli_flag_table, argc, argv, &cli.options, &first, stderr) < 0)
        return RG_CLI_USAGE;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        rg_cli_complain("can't set libcurl up: no memory");
        return RG_CLI_FAILED;
    }
    int status = finish(rg_cli_dispatch(&cli, argv + first, (unsigned)(argc - first)));
    curl_global_cleanup();
    return status;
}
