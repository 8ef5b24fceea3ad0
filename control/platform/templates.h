/* The built-in templates of LLM providers: where each counts its tokens. Thread: the store's. */
#ifndef RG_PLATFORM_TEMPLATES_H
#define RG_PLATFORM_TEMPLATES_H

#include "control/platform/store_parts.h"

/* Those that the organization lacks; nothing is overwritten. */
void rg_templates_seed(struct rg_store *store, const char *organization, const char *now);

#endif
