/*
 * Artifacts between the two APIs: what operators send (the definition) becomes what gateways get (the document, in
 * YAML). And what of a definition is never shown again. Thread: any (no state).
 */
#ifndef RG_PLATFORM_DOCUMENTS_H
#define RG_PLATFORM_DOCUMENTS_H

#include <jansson.h>

#include "control/platform/kinds.h"
#include "control/platform/schemas.h"

struct rg_document_identity {
    enum rg_artifact_type type;
    const char *handle, *uuid;
    const char *project; /* handle; NULL: none */
};

/* A new document; NULL: no memory. What the definition lacks is left out: whoever checks the document says so. */
json_t *rg_document_make(const struct rg_document_identity *identity, const json_t *definition);

/* What differs on one gateway: written over the document. */
void rg_document_override(json_t *document, const struct rg_deploy_metadata *metadata);

/* Handles of `{{ secret "handle" }}` in a text: calls `found` for each, in order. */
void rg_document_secrets(struct rg_str text, void (*found)(struct rg_str handle, void *arg), void *arg);

/* Whether a provider's template, or one of a proxy's providers, has this handle. */
bool rg_definition_names(const json_t *definition, const char *handle);

/* ---- What is never shown again: `value` of `auth`, and `password`, unless they name a secret ---- */

#define RG_REDACTED "******"

void rg_definition_redact(json_t *definition);
/* Where a new definition has the redacted value, the old one's is kept. */
void rg_definition_keep_secrets(json_t *definition, const json_t *old);

#endif
