/*
 * From documents to what the platform's API takes, and back: bodies, the gateways that a document names, whether a
 * thing differs from what the platform has, and the field of a file that a field of the API comes from.
 *
 * Thread: one; no state.
 */
#ifndef RG_CLI_BODY_H
#define RG_CLI_BODY_H

#include "control/cli/documents.h"

#define RG_GATEWAYS_MAX 16u

/* A new reference; NULL: complained of. */
json_t *rg_body_of(const struct rg_document *document);

/* Whether the platform's thing has all that the body says, and nothing that the body would take away. */
bool rg_body_is_same(const json_t *body, const json_t *existing);

/* The other way round: what the platform shows, as a file that can be applied; `status` has what only the platform
 * knows. NULL: no memory. */
json_t *rg_body_to_document(const struct rg_cli_kind *kind, const json_t *object);

/* spec.deploymentState: undeployed. */
bool rg_body_is_undeployed(const struct rg_document *document);

/* The annotation or label that says where an artifact goes, names separated by commas. NULL: neither. */
const char *rg_body_gateways(const struct rg_document *document);

/* A field of a body, or of the definition that the gateway got, as a path of the file. */
void rg_body_path(const struct rg_document *document, const char *field, char ret[RG_PROBLEM_PATH_MAX]);

#endif
