/* See kinds.h. */
#include "control/platform/kinds.h"

#include "datapath/base/assert.h"

static const struct rg_kind_info template_info = {.name = "LlmProviderTemplate",
                                                  .collection = "llm-provider-templates"};

static const char *const nouns[RG_TYPES] = {
    [RG_TYPE_REST_API] = "REST API",
    [RG_TYPE_LLM_PROVIDER] = "LLM provider",
    [RG_TYPE_LLM_PROXY] = "LLM proxy",
    [RG_TYPE_TEMPLATE] = "LLM provider template",
};

const struct rg_kind_info *rg_type_info(enum rg_artifact_type type)
{
    RG_ASSERT(type < RG_TYPES);
    return type == RG_TYPE_TEMPLATE ? &template_info : rg_kind_info((enum rg_kind)type);
}

const char *rg_type_noun(enum rg_artifact_type type)
{
    RG_ASSERT(type < RG_TYPES && nouns[type]);
    return nouns[type];
}

enum rg_artifact_type rg_type_of_kind(const char *kind)
{
    enum rg_kind known;
    if (strcmp(kind, template_info.name) == 0)
        return RG_TYPE_TEMPLATE;
    return rg_kind_of(rg_str_of(kind), &known) ? (enum rg_artifact_type)known : RG_TYPES;
}

enum rg_artifact_type rg_type_of_resource(const char *resource)
{
    enum rg_kind known;
    return rg_kind_of_resource(rg_str_of(resource), &known) ? (enum rg_artifact_type)known : RG_TYPES;
}
