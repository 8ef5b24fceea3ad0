/*
 * The types of artifacts that the platform keeps: the kinds that are deployed (control/common/kinds.h), and templates,
 * which never are. Thread: any (constant data).
 */
#ifndef RG_PLATFORM_KINDS_H
#define RG_PLATFORM_KINDS_H

#include "control/common/kinds.h"

enum rg_artifact_type {
    RG_TYPE_REST_API = RG_KIND_REST_API,
    RG_TYPE_LLM_PROVIDER = RG_KIND_LLM_PROVIDER,
    RG_TYPE_LLM_PROXY = RG_KIND_LLM_PROXY,
    RG_TYPE_DEPLOYABLE = RG_KINDS, /* and what is below it */
    RG_TYPE_TEMPLATE = RG_KINDS,   /* LlmProviderTemplate */
    RG_TYPES
};

const struct rg_kind_info *rg_type_info(enum rg_artifact_type type);
const char *rg_type_noun(enum rg_artifact_type type); /* in messages: "REST API" */

/* RG_TYPES: there is none. */
enum rg_artifact_type rg_type_of_kind(const char *kind);
enum rg_artifact_type rg_type_of_resource(const char *resource);

#endif
