/* See token.h. */
#include "control/cli/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/common/file.h"

static void trim(char *text)
{
    size_t first = strspn(text, " \t\r\n"), len = strlen(text);
    while (len > first && strchr(" \t\r\n", text[len - 1]))
        len--;
    memmove(text, text + first, len - first);
    text[len - first] = '\0';
}

/* It becomes part of a field of the request: visible ASCII, nothing that could end the line. */
static bool check(const char *token, const char *from)
{
    for (const char *p = token; *p; p++) {
        if (*p <= 0x20 || *p >= 0x7f) {
            rg_cli_complain("%s: got a token with blanks or control characters in it, wanted one word", from);
            return false;
        }
    }
    return true;
}

static bool read_file(const char *file, char ret[RG_CLIENT_TOKEN_MAX])
{
    ssize_t n = rg_file_load(file, RG_FILE_ANY, ret, RG_CLIENT_TOKEN_MAX);
    if (n < 0) {
        rg_cli_complain("--token-file: can't read %s: %s", file, strerror((int)-n));
        return false;
    }
    bool bad = n == RG_CLIENT_TOKEN_MAX || memchr(ret, '\0', (size_t)n);
    ret[bad ? 0 : n] = '\0';
    if (bad)
        rg_cli_complain("--token-file: %s is not a token: it is longer than %u bytes or no text", file,
                        RG_CLIENT_TOKEN_MAX - 1);
    return !bad;
}

bool rg_token_load(const char *file, char ret[RG_CLIENT_TOKEN_MAX])
{
    const char *env = getenv("RINGGATE_TOKEN");
    ret[0] = '\0';
    if (file) {
        if (!read_file(file, ret))
            return false;
        trim(ret);
        if (!ret[0])
            rg_cli_complain("--token-file: %s is empty", file);
        return ret[0] && check(ret, file);
    }
    if (env && strlen(env) >= RG_CLIENT_TOKEN_MAX) {
        rg_cli_complain("RINGGATE_TOKEN: got more than %u bytes, wanted a token", RG_CLIENT_TOKEN_MAX - 1);
        return false;
    }
    snprintf(ret, RG_CLIENT_TOKEN_MAX, "%s", env ? env : "");
    trim(ret);
    return check(ret, "RINGGATE_TOKEN");
}

void rg_token_warn_of_clear_text(const char *url)
{
    if (strncmp(url, "http://", 7) == 0 && !rg_client_is_local(url))
        rg_cli_warn("%s is another machine and not https: the token can be read on the way", url);
}
