/* The kinds of artifacts, and by what name each part of the two APIs knows them. Thread: any (constant data). */
#ifndef RG_PLATFORM_KINDS_H
#define RG_PLATFORM_KINDS_H

#include "datapath/base/str.h"

enum rg_artifact_type {
#define RG_KIND(id, ...) RG_TYPE_##id,
#include "control/platform/kinds.def"
#undef RG_KIND
    RG_TYPE_DEPLOYABLE,
    RG_TYPE_TEMPLATE = RG_TYPE_DEPLOYABLE, /* LlmProviderTemplate: kept, never deployed */
    RG_TYPES
};

struct rg_type_info {
    const char *kind;       /* "RestApi" */
    const char *collection; /* "rest-apis" */
    const char *segment;    /* "apis" */
    const char *resource;   /* "api" */
    const char *id_member;  /* "apiId" */
    const char *file;       /* "api" */
};

const struct rg_type_info *rg_type_info(enum rg_artifact_type type);
const char *rg_type_noun(enum rg_artifact_type type); /* in messages: "REST API" */

/* RG_TYPES: there is none. */
enum rg_artifact_type rg_type_of_kind(const char *kind);
enum rg_artifact_type rg_type_of_collection(struct rg_str collection);
enum rg_artifact_type rg_type_of_segment(struct rg_str segment);
enum rg_artifact_type rg_type_of_resource(const char *resource);

#endif
