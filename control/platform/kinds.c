#include "control/platform/kinds.h"

#include "datapath/base/assert.h"

static const char *const nouns[RG_TYPES] = {
    [RG_TYPE_REST_API] = "REST API",
    [RG_TYPE_LLM_PROVIDER] = "LLM provider",
    [RG_TYPE_LLM_PROXY] = "LLM proxy",
    [RG_TYPE_TEMPLATE] = "LLM provider template",
};

static const struct rg_type_info types[RG_TYPES] = {
#define RG_KIND(id, kind, collection, segment, resource, member, file) \
    [RG_TYPE_##id] = {kind, collection, segment, resource, member, file},
#include "control/platform/kinds.def"
#undef RG_KIND
    [RG_TYPE_TEMPLATE] = {"LlmProviderTemplate", "llm-provider-templates", NULL, NULL, NULL, NULL},
};

const struct rg_type_info *rg_type_info(enum rg_artifact_type type)
{
    RG_ASSERT(type < RG_TYPES);
    return &types[type];
}

const char *rg_type_noun(enum rg_artifact_type type)
{
    return nouns[type];
}

static bool is(const char *name, struct rg_str wanted)
{
    return name && rg_str_eq(rg_str_of(name), wanted);
}

#define FIND(member, wanted)                 \
    for (unsigned i = 0; i < RG_TYPES; i++)  \
        if (is(types[i].member, (wanted)))   \
            return (enum rg_artifact_type)i; \
    return RG_TYPES

enum rg_artifact_type rg_type_of_kind(const char *kind)
{
    FIND(kind, rg_str_of(kind));
}

enum rg_artifact_type rg_type_of_collection(struct rg_str collection)
{
    FIND(collection, collection);
}

enum rg_artifact_type rg_type_of_segment(struct rg_str segment)
{
    FIND(segment, segment);
}

enum rg_artifact_type rg_type_of_resource(const char *resource)
{
    FIND(resource, rg_str_of(resource));
}
