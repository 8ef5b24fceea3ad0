/* Why: the gateway's command line; values are checked with the file's, in options.c. Thread: main, before any other
 * starts. */
#include "control/options/options.h"
#include "control/options/options_flags.h"

#define VIEW(member) offsetof(struct rg_flags, member)

static const struct rg_flag flags[] = {
    {'c', "config", "FILE", RG_FLAG_TEXT, VIEW(config_path), "configuration, YAML (default " RG_CONFIG_DEFAULT ")"},
    {'t', "test", NULL, RG_FLAG_SWITCH, VIEW(check_only), "check the configuration and exit: 0 good, 2 not"},
    {'V', "version", NULL, RG_FLAG_SWITCH, VIEW(show_version), "print the version and exit"},
    {'h', "help", NULL, RG_FLAG_SWITCH, VIEW(show_help), "print this and exit"},
    {0, "listen", "ADDR", RG_FLAG_LIST, VIEW(listen),
     "where clients connect; may be given several times (default [::]:80)"},
    {0, "replica", "ADDR", RG_FLAG_TEXT, VIEW(replica), "the service behind the gateway"},
    {0, "workers", "N|auto", RG_FLAG_TEXT, VIEW(workers), "worker threads (default auto: one for each CPU it may use)"},
    {0, "admin", "ADDR|off", RG_FLAG_TEXT, VIEW(admin), "metrics, state and commands (default 127.0.0.1:9901)"},
    {0, "control", "URL", RG_FLAG_TEXT, VIEW(control),
     "the control plane that deploys here, like wss://platform.example:9243"},
    {0, "token-file", "FILE", RG_FLAG_TEXT, VIEW(token_file),
     "file with the token by which the control plane knows this gateway"},
    {0, "state-dir", "DIR", RG_FLAG_TEXT, VIEW(state_dir),
     "what is deployed is kept there for the next start (default /var/lib/ringgate)"},
};

const struct rg_flag_table rg_flags_table = {flags, sizeof(flags) / sizeof(flags[0])};

void rg_flags_help(FILE *out)
{
    fputs("Usage: ringgate [-t] [-c FILE] [--listen ADDR]... [--replica ADDR] [--workers N|auto] [--admin ADDR|off]\n"
          "                [--control URL --token-file FILE [--state-dir DIR]]\n\n"
          "An HTTP/1.1 and HTTP/2 gateway in front of one service. Flags win over the file; TLS needs a file.\n\n",
          out);
    rg_flags_list(&rg_flags_table, out);
    fputs("\nADDR is 80, 127.0.0.1:80, [::]:80 or unix:/path; a replica may also be http://127.0.0.1:80.\n"
          "Options of the file: docs/OPTIONS.md.\n",
          out);
}

int rg_flags_parse(int argc, char **argv, struct rg_flags *ret, FILE *err)
{
    struct rg_flags given = {0};
    int r = rg_flags_take(&rg_flags_table, argc, argv, &given, err);
    if (r < 0)
        return r;
    given.config_given = given.config_path != NULL;
    if (!given.config_given)
        given.config_path = RG_CONFIG_DEFAULT;
    *ret = given;
    return 0;
}
