/* Why a call got no answer, in words that name the address and what can be done. Each fills client->trouble and returns
 * a negative errno. Thread: the client's. */
#ifndef RG_CLI_CLIENT_TROUBLE_H
#define RG_CLI_CLIENT_TROUBLE_H

#include "control/cli/client.h"

/* code: libcurl's; why: its words, may be "". */
int rg_client_trouble(struct rg_client *client, int code, const char *why);
int rg_client_trouble_url(struct rg_client *client);
int rg_client_trouble_size(struct rg_client *client);
int rg_client_trouble_memory(struct rg_client *client);

#endif
