/* See templates.h. */
#include "control/platform/templates.h"

#include <jansson.h>
#include <stdlib.h>

#include "control/platform/definitions.h"

struct template
{
    const char *handle, *display_name;
    const char *endpoint, *header, *value_prefix; /* of its API; NULL: each customer has another, or none */
    const char *prompt, *completion, *total;
    const char *remaining; /* a header; NULL: none */
    const char *request_location, *request_model, *response_model;
    bool responses; /* /responses counts under other names */
};

#define OPENAI_COUNTS "$.usage.prompt_tokens", "$.usage.completion_tokens", "$.usage.total_tokens"
#define PAYLOAD_MODEL "payload", "$.model", "$.model"
#define REMAINING     "x-ratelimit-remaining-tokens"

static const struct template templates[] = {
    {"openai", "OpenAI", "https://api.openai.com/v1", "Authorization", "Bearer ", OPENAI_COUNTS, REMAINING,
     PAYLOAD_MODEL, true},
    {"azure-openai", "Azure OpenAI", NULL, "api-key", "", OPENAI_COUNTS, REMAINING, PAYLOAD_MODEL, true},
    {"azureaifoundry", "Azure AI Foundry", NULL, "api-key", "", OPENAI_COUNTS, REMAINING, PAYLOAD_MODEL, true},
    {"mistralai", "Mistral AI", "https://api.mistral.ai/v1", "Authorization", "Bearer ", OPENAI_COUNTS, REMAINING,
     PAYLOAD_MODEL, false},
    {"anthropic", "Anthropic", "https://api.anthropic.com", "x-api-key", "", "$.usage.input_tokens",
     "$.usage.output_tokens", NULL, "anthropic-ratelimit-tokens-remaining", PAYLOAD_MODEL, false},
    {"gemini", "Google Gemini", "https://generativelanguage.googleapis.com", "x-goog-api-key", "",
     "$.usageMetadata.promptTokenCount", "$.usageMetadata.candidatesTokenCount", "$.usageMetadata.totalTokenCount",
     NULL, "pathParam", "(?<=models/)[a-zA-Z0-9.\\-]+", "$.modelVersion", false},
    {"awsbedrock", "AWS Bedrock", NULL, NULL, NULL, "$.usage.inputTokens", "$.usage.outputTokens",
     "$.usage.totalTokens", NULL, "pathParam", "model/([A-Za-z0-9.:-]+)/", NULL, false},
};

static json_t *extractor(const char *location, const char *identifier)
{
    return identifier ? json_pack("{s:s, s:s}", "location", location, "identifier", identifier) : NULL;
}

static json_t *responses_mapping(void)
{
    return json_pack("{s:[{s:s, s:o, s:o}]}", "resources", "resource", "/responses", "promptTokens",
                     extractor("payload", "$.usage.input_tokens"), "completionTokens",
                     extractor("payload", "$.usage.output_tokens"));
}

static json_t *definition_of(const struct template *t)
{
    json_t *metadata = json_pack("{s:s*}", "endpointUrl", t->endpoint);
    if (t->header)
        json_object_set_new(
            metadata, "auth",
            json_pack("{s:s, s:s, s:s}", "type", "apiKey", "header", t->header, "valuePrefix", t->value_prefix));
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*}", "displayName", t->display_name, "groupId",
        t->handle, "version", "v1.0", "metadata", metadata, "promptTokens", extractor("payload", t->prompt),
        "completionTokens", extractor("payload", t->completion), "totalTokens", extractor("payload", t->total),
        "remainingTokens", extractor("header", t->remaining), "requestModel",
        extractor(t->request_location, t->request_model), "responseModel", extractor("payload", t->response_model),
        "resourceMappings", t->responses ? responses_mapping() : NULL);
}

static void seed(struct rg_store *store, const struct template *t, const char *organization, const char *now)
{
    char uuid[RG_UUID_LEN + 1];
    struct rg_str sealed;
    rg_uuid_make(uuid, rg_store_now(store));
    json_t *definition = definition_of(t);
    if (rg_definition_seal(store, definition, uuid, &sealed) == 0) {
        rg_db_exec(&store->db,
                   "INSERT INTO artifacts (uuid, organization_uuid, kind, handle, display_name, version, managed_by,"
                   " definition, created_by, created_at, updated_by, updated_at) VALUES (?1, ?2,"
                   " 'LlmProviderTemplate', ?3, ?4, 'v1.0', 'wso2', ?5, 'platform', ?6, 'platform', ?6)"
                   " ON CONFLICT DO NOTHING",
                   RG_WITH(rg_text(uuid), rg_text(organization), rg_text(t->handle), rg_text(t->display_name),
                           rg_blob(sealed), rg_text(now)));
        free((void *)(uintptr_t)sealed.ptr);
    }
    json_decref(definition);
}

void rg_templates_seed(struct rg_store *store, const char *organization, const char *now)
{
    for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++)
        seed(store, &templates[i], organization, now);
}
