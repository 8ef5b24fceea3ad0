/* What every document must have before anything is asked of the platform. Thread: one. */
#ifndef RG_CLI_DOCUMENT_SHAPE_H
#define RG_CLI_DOCUMENT_SHAPE_H

#include "control/cli/documents.h"

/* Fills kind and name. false: complained of. */
bool rg_document_shape(struct rg_document *document);

#endif
