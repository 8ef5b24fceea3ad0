/* The operator's token: where it comes from, and how it is kept from going where it should not. Thread: one. */
#ifndef RG_CLI_TOKEN_H
#define RG_CLI_TOKEN_H

#include <stdbool.h>

#include "control/cli/client.h"

/* From the file, else from RINGGATE_TOKEN; "" when there is none. false: it can't be used, and was complained of. */
bool rg_token_load(const char *file, char ret[RG_CLIENT_TOKEN_MAX]);

/* On the way to another machine without TLS, anybody can read it. */
void rg_token_warn_of_clear_text(const char *url);

#endif
