/* Keys of an API's consumers, as gateways hear of them. Thread: the store's, in a transaction. */
#ifndef RG_PLATFORM_API_KEYS_H
#define RG_PLATFORM_API_KEYS_H

#include "control/platform/store_parts.h"

/* apikey.created for each key of the artifact that holds, to one gateway: what a deployment is followed by. */
void rg_api_keys_replay(struct rg_store *store, const char *artifact, const char *gateway, const char *correlation,
                        struct rg_effects *effects);

#endif
