/* What creating and deploying an artifact have in common. Thread: the store's. */
#ifndef RG_PLATFORM_ARTIFACTS_H
#define RG_PLATFORM_ARTIFACTS_H

#include "control/platform/documents.h"
#include "control/platform/lookups.h"

/* What a gateway would get; of malloc. metadata may be NULL. NULL: the transaction has failed. */
char *rg_artifact_yaml(struct rg_call *call, const struct rg_document_identity *identity, const json_t *definition,
                       const struct rg_deploy_metadata *metadata, size_t *ret_len);

/* Whether it can be decoded as gateways decode it. false: refused with 400 and this code. */
bool rg_artifact_passes(struct rg_call *call, const char *yaml, size_t len, const char *code);

#endif
