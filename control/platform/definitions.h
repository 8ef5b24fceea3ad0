/* Definitions and documents as they lie in the database: sealed JSON, sealed YAML. Thread: the store's. */
#ifndef RG_PLATFORM_DEFINITIONS_H
#define RG_PLATFORM_DEFINITIONS_H

#include <jansson.h>

#include "control/platform/store_parts.h"

/* Seals text for the row `uuid`; *ret is of malloc. An error also fails the transaction. */
int rg_text_seal(struct rg_store *store, struct rg_str text, const char *uuid, struct rg_str *ret);
int rg_definition_seal(struct rg_store *store, const json_t *definition, const char *uuid, struct rg_str *ret);

/* Opens what was sealed; of malloc. NULL: the transaction has failed. */
char *rg_text_open(struct rg_store *store, struct rg_str sealed, const char *uuid, size_t *ret_len);
json_t *rg_definition_open(struct rg_store *store, struct rg_str sealed, const char *uuid);

#endif
