/* See schemas.h. */
#include "control/platform/schemas.h"

#define AT(in, member) .offset = offsetof(struct in, member)
#define TEXT(in, name_, member, text)                                            \
    {                                                                            \
        .name = (name_), .type = RG_PARAM_STRING, AT(in, member), .help = (text) \
    }
#define NEEDED(in, name_, member, text)                                                                               \
    {                                                                                                                 \
        .name = (name_), .type = RG_PARAM_STRING, AT(in, member), .required = true, .not_empty = true, .help = (text) \
    }
#define KEPT(name_, text)                                                                    \
    {                                                                                        \
        .name = (name_), .type = RG_PARAM_ANY, AT(rg_artifact_input, unread), .help = (text) \
    }
#define SHOWN(in, name_, text)                                                           \
    {                                                                                    \
        .name = (name_), .type = RG_PARAM_ANY, AT(in, unread), .help = RG_READ_ONLY text \
    }
#define END          \
    {                \
        .name = NULL \
    }

#define ID(in)      TEXT(in, "id", id, "The handle, unique in its collection; made of displayName when left out.")
#define DISPLAY(in) NEEDED(in, "displayName", display_name, "What people call it.")
#define MADE(in)    SHOWN(in, "createdAt", "When it was made."), SHOWN(in, "createdBy", "Who made it.")
#define CHANGED(in) SHOWN(in, "updatedAt", "When it was last changed.")

/* For what is only answered. */
struct rg_answer_only {
    struct rg_str unread;
};

const char *const rg_role_words[] = {"reader", "operator", "admin", NULL};
const char *const rg_functionality_words[] = {"regular", "ai", "event", NULL};

/* ---- Organizations, projects, tokens ---- */

const struct rg_param rg_organization_rows[] = {
    ID(rg_organization_input),
    DISPLAY(rg_organization_input),
    TEXT(rg_organization_input, "region", region, "Where it is at home."),
    SHOWN(rg_organization_input, "uuid", "Its identity."),
    SHOWN(rg_organization_input, "createdAt", "When it was made."),
    CHANGED(rg_organization_input),
    END,
};

const struct rg_param rg_project_rows[] = {
    ID(rg_project_input),
    DISPLAY(rg_project_input),
    TEXT(rg_project_input, "description", description, "What it is for."),
    SHOWN(rg_project_input, "createdAt", "When it was made."),
    CHANGED(rg_project_input),
    END,
};

const struct rg_param rg_token_rows[] = {
    NEEDED(rg_token_input, "name", name, "Who uses it; shown in histories."),
    {.name = "role",
     .type = RG_PARAM_ENUM,
     AT(rg_token_input, role),
     .words = rg_role_words,
     .initial = "\"operator\"",
     .help = "reader: looks; operator: changes; admin: tokens and organizations too."},
    TEXT(rg_token_input, "organizationId", organization,
         "Whose it is: the caller's own when left out; another's is for the default organization's administrator."),
    TEXT(rg_token_input, "expiresAt", expires_at, "When it ends to hold, RFC 3339; never when left out."),
    SHOWN(rg_token_input, "id", "Its identity, to revoke it by."),
    SHOWN(rg_token_input, "token", "The token; shown once, in the answer that makes it."),
    MADE(rg_token_input),
    END,
};

/* ---- Gateways ---- */

static const struct rg_param endpoint_item[] = {{.name = "", .type = RG_PARAM_STRING, .not_empty = true}, END};

const struct rg_param rg_gateway_rows[] = {
    ID(rg_gateway_input),
    DISPLAY(rg_gateway_input),
    TEXT(rg_gateway_input, "description", description, "What it is for."),
    {.name = "endpoints",
     .type = RG_PARAM_LIST,
     AT(rg_gateway_input, endpoints),
     .max = 50,
     .item = endpoint_item,
     .size = sizeof(struct rg_str),
     .help = "URLs under which clients reach it."},
    {.name = "functionalityType",
     .type = RG_PARAM_ENUM,
     AT(rg_gateway_input, functionality),
     .words = rg_functionality_words,
     .initial = "\"regular\"",
     .help = "What it is meant for."},
    {.name = "isCritical",
     .type = RG_PARAM_BOOL,
     AT(rg_gateway_input, is_critical),
     .help = "Whether people should be asked twice before it is changed."},
    TEXT(rg_gateway_input, "version", version, "The version that runs; the gateway itself corrects it."),
    {.name = "properties",
     .type = RG_PARAM_ANY,
     AT(rg_gateway_input, properties),
     .help = "Anything of yours, an object."},
    SHOWN(rg_gateway_input, "uuid", "Its identity towards itself."),
    SHOWN(rg_gateway_input, "isActive", "Whether an instance is connected."),
    SHOWN(rg_gateway_input, "instances", "Names of the instances that are connected."),
    SHOWN(rg_gateway_input, "lastSeenAt", "When an instance last came or went."),
    MADE(rg_gateway_input),
    CHANGED(rg_gateway_input),
    END,
};

const struct rg_param rg_gateway_token_rows[] = {
    SHOWN(rg_answer_only, "id", "Its identity, to revoke it by."),
    SHOWN(rg_answer_only, "token", "The token; shown once, in the answer that makes it."),
    SHOWN(rg_answer_only, "status", "active or revoked."),
    SHOWN(rg_answer_only, "message", "What to do with it."),
    MADE(rg_answer_only),
    SHOWN(rg_answer_only, "revokedAt", "When it was revoked."),
    END,
};

/* ---- Artifacts ---- */

#define VERSION NEEDED(rg_artifact_input, "version", version, "As v1.0.")
#define CONTEXT \
    TEXT(rg_artifact_input, "context", context, "The path in front of all its operations; $version is replaced.")
#define ARTIFACT_SHOWN                                                                           \
    SHOWN(rg_artifact_input, "uuid", "Its identity towards gateways."), MADE(rg_artifact_input), \
        SHOWN(rg_artifact_input, "updatedBy", "Who."), CHANGED(rg_artifact_input)
#define PROJECT                                                                                                 \
    {                                                                                                           \
        .name = "projectId", .type = RG_PARAM_STRING, AT(rg_artifact_input, project), .initial = "\"default\"", \
        .not_empty = true, .help = "The project that it belongs to."                                            \
    }
#define LLM_POLICIES                                                                                                   \
    KEPT("globalPolicies", "Policies of every operation."), KEPT("operationPolicies", "Policies by path and method."), \
        KEPT("policies", "The older form of operationPolicies."), KEPT("resilience", "Time limits."),                  \
        KEPT("security", "Keys of consumers: {enabled, apiKey: {key, in, valuePrefix}}.")

const struct rg_param rg_rest_api_rows[] = {
    ID(rg_artifact_input),
    DISPLAY(rg_artifact_input),
    VERSION,
    NEEDED(rg_artifact_input, "context", context, "The path in front of all its operations; $version is replaced."),
    PROJECT,
    KEPT("description", "What it is for."),
    {.name = "upstream",
     .type = RG_PARAM_ANY,
     AT(rg_artifact_input, unread),
     .required = true,
     .help = "Where requests go: {main: {url} or {ref}, sandbox}."},
    KEPT("upstreamDefinitions", "Upstreams with several targets, by name."),
    {.name = "operations",
     .type = RG_PARAM_ANY,
     AT(rg_artifact_input, unread),
     .required = true,
     .help = "What may be called: [{name, request: {method, path, policies}}], or as gateways have it: {method, path, "
             "policies}."},
    KEPT("policies", "Policies of every operation."),
    KEPT("transport", "http, https."),
    KEPT("vhosts", "Hosts: {main, sandbox}."),
    KEPT("resilience", "Time limits."),
    KEPT("subscriptionPlans", "Plans that give access."),
    KEPT("labels", "Labels of yours, an object of texts."),
    ARTIFACT_SHOWN,
    END,
};

const struct rg_param rg_provider_rows[] = {
    ID(rg_artifact_input),
    DISPLAY(rg_artifact_input),
    VERSION,
    CONTEXT,
    NEEDED(rg_artifact_input, "template", provider_template, "The handle of an LLM provider template."),
    KEPT("description", "What it is for."),
    {.name = "upstream",
     .type = RG_PARAM_ANY,
     AT(rg_artifact_input, unread),
     .required = true,
     .help = "Where requests go: {url, auth: {type, header, value}}; the value is never shown again."},
    KEPT("accessControl", "{mode: allow_all or deny_all, exceptions}; all is allowed when left out."),
    KEPT("vhost", "The host."),
    LLM_POLICIES,
    KEPT("labels", "Labels of yours, an object of texts."),
    ARTIFACT_SHOWN,
    END,
};

const struct rg_param rg_proxy_rows[] = {
    ID(rg_artifact_input),
    DISPLAY(rg_artifact_input),
    VERSION,
    CONTEXT,
    PROJECT,
    KEPT("description", "What it is for."),
    {.name = "provider",
     .type = RG_PARAM_ANY,
     AT(rg_artifact_input, unread),
     .required = true,
     .help = "The LLM provider that it leads to: its handle, or {id, auth: {type, header, value}}."},
    KEPT("additionalProviders", "More of them, for policies that choose: {id, as, auth, transformer}."),
    KEPT("vhost", "The host."),
    LLM_POLICIES,
    KEPT("labels", "Labels of yours, an object of texts."),
    ARTIFACT_SHOWN,
    END,
};

const struct rg_param rg_template_rows[] = {
    ID(rg_artifact_input),
    DISPLAY(rg_artifact_input),
    TEXT(rg_artifact_input, "version", version, "As v1.0."),
    KEPT("description", "What it is for."),
    KEPT("groupId", "What templates of one provider have in common."),
    KEPT("metadata", "{endpointUrl, auth: {type, header, valuePrefix}, logoUrl, openapiSpecUrl}."),
    KEPT("promptTokens", "Where the number of tokens of the prompt is: {location, identifier}."),
    KEPT("completionTokens", "Where that of the completion is."),
    KEPT("totalTokens", "Where that of both is."),
    KEPT("remainingTokens", "Where what is left is."),
    KEPT("requestModel", "Where the model is that a request asks for."),
    KEPT("responseModel", "Where the model is that has answered."),
    KEPT("resourceMappings", "What is elsewhere for single paths: {resources: [{resource, ...}]}."),
    SHOWN(rg_artifact_input, "managedBy", "wso2 (built in, not to be changed) or organization."),
    ARTIFACT_SHOWN,
    END,
};

/* ---- Keys and secrets ---- */

const struct rg_param rg_key_rows[] = {
    NEEDED(rg_key_input, "name", name, "Unique among the keys of the artifact."),
    TEXT(rg_key_input, "displayName", display_name, "What people call it."),
    TEXT(rg_key_input, "apiKey", api_key,
         "The key, of 16 to 256 characters; made when left out, and shown once in the answer that makes it."),
    TEXT(rg_key_input, "expiresAt", expires_at, "When it ends to hold, RFC 3339; never when left out."),
    TEXT(rg_key_input, "externalRefId", external_ref, "Its name elsewhere."),
    TEXT(rg_key_input, "issuer", issuer, "Who has issued it."),
    SHOWN(rg_key_input, "uuid", "Its identity."),
    SHOWN(rg_key_input, "maskedApiKey", "Its last characters."),
    SHOWN(rg_key_input, "status", "active or revoked."),
    MADE(rg_key_input),
    CHANGED(rg_key_input),
    END,
};

const struct rg_param rg_secret_rows[] = {
    ID(rg_secret_input),
    DISPLAY(rg_secret_input),
    TEXT(rg_secret_input, "description", description, "What it is for."),
    NEEDED(rg_secret_input, "value", value, "The secret; never shown again."),
    SHOWN(rg_secret_input, "createdAt", "When it was made."),
    CHANGED(rg_secret_input),
    END,
};

/* ---- Deployments ---- */

static const struct rg_param metadata_rows[] = {
    TEXT(rg_deploy_metadata, "endpointUrl", endpoint_url, "The upstream's URL, in place of the artifact's."),
    TEXT(rg_deploy_metadata, "vhostMain", vhost_main, "The host, in place of the artifact's."),
    TEXT(rg_deploy_metadata, "vhostSandbox", vhost_sandbox, "The sandbox's host."),
    END,
};

const struct rg_param rg_deploy_rows[] = {
    TEXT(rg_deploy_input, "name", name, "What people call it; made when left out."),
    {.name = "base",
     .type = RG_PARAM_STRING,
     AT(rg_deploy_input, base),
     .initial = "\"current\"",
     .not_empty = true,
     .help = "current: the artifact as it is now; or the id of an earlier deployment of it."},
    NEEDED(rg_deploy_input, "gatewayId", gateway, "The gateway's handle."),
    {.name = "metadata",
     .type = RG_PARAM_OBJECT,
     AT(rg_deploy_input, metadata),
     .fields = metadata_rows,
     .size = sizeof(struct rg_deploy_metadata),
     .help = "What differs on this gateway."},
    END,
};

static const struct rg_param problem_rows[] = {
    TEXT(rg_answer_only, "field", unread, "The path of the field; empty where it is about none."),
    TEXT(rg_answer_only, "message", unread, "What was got, what was wanted, and what to do."),
    END,
};
#define PROBLEMS(name_, text)                                                                       \
    {                                                                                               \
        .name = (name_), .type = RG_PARAM_LIST, AT(rg_answer_only, unread), .fields = problem_rows, \
        .size = sizeof(struct rg_answer_only), .help = RG_READ_ONLY text                            \
    }

const struct rg_param rg_deployment_rows[] = {
    SHOWN(rg_answer_only, "deploymentId", "Its identity."),
    SHOWN(rg_answer_only, "name", "What people call it."),
    SHOWN(rg_answer_only, "gatewayId", "The gateway's handle."),
    SHOWN(rg_answer_only, "status",
          "DEPLOYING, DEPLOYED, UNDEPLOYING, UNDEPLOYED, FAILED, or ARCHIVED: another has taken its place."),
    SHOWN(
        rg_answer_only, "live",
        "true: the gateway answers requests by it. That is the last one that was acknowledged, also where a newer one "
        "is on its way or has FAILED."),
    SHOWN(rg_answer_only, "statusDesired",
          "DEPLOYED or UNDEPLOYED: what is wanted, whether it has been reached or not."),
    SHOWN(rg_answer_only, "statusReason", "The error code of what has failed."),
    SHOWN(rg_answer_only, "statusMessage", "What has failed, in words."),
    PROBLEMS("statusErrors",
             "All that is wrong with the artifact, one by one; absent where statusMessage is all that is known."),
    SHOWN(rg_answer_only, "performedAt", "When the last operation was started; its identity towards gateways."),
    SHOWN(rg_answer_only, "baseDeploymentId", "The deployment that it was made of."),
    SHOWN(rg_answer_only, "metadata", "What differs on this gateway."),
    SHOWN(rg_answer_only, "acks", "What each instance has answered to the last operation."),
    MADE(rg_answer_only),
    CHANGED(rg_answer_only),
    END,
};

const struct rg_param rg_deployment_event_rows[] = {
    SHOWN(rg_answer_only, "at", "When."),
    SHOWN(rg_answer_only, "event",
          "DEPLOY, RESTORE, UNDEPLOY, GATEWAY_DELETED, ACK_DEPLOYED, ACK_UNDEPLOYED, ACK_FAILED, TIMEOUT."),
    SHOWN(rg_answer_only, "fromStatus", "The status before; null at the first."),
    SHOWN(rg_answer_only, "toStatus", "The status after."),
    SHOWN(rg_answer_only, "performedAt", "The operation that it belongs to."),
    SHOWN(rg_answer_only, "actor", "Who: a token's name, gateway, sweeper, platform."),
    SHOWN(rg_answer_only, "instance", "The gateway's instance."),
    SHOWN(rg_answer_only, "errorCode", "Of a failure."),
    SHOWN(rg_answer_only, "errorMessage", "The failure in words."),
    PROBLEMS("errors",
             "All that is wrong with the artifact, one by one; absent where errorMessage is all that is known."),
    SHOWN(rg_answer_only, "correlationId", "The request, or the event, that it came with."),
    END,
};

/* ---- About the platform ---- */

const struct rg_param rg_audit_rows[] = {
    SHOWN(rg_answer_only, "action", "CREATE, UPDATE, DELETE, DEPLOY, UNDEPLOY, RESTORE, REVOKE."),
    SHOWN(rg_answer_only, "resourceType", "What it was done to."),
    SHOWN(rg_answer_only, "resourceId", "Its identity."),
    SHOWN(rg_answer_only, "performedBy", "The name of the token."),
    SHOWN(rg_answer_only, "performedAt", "When."),
    SHOWN(rg_answer_only, "peer", "The client's address."),
    SHOWN(rg_answer_only, "requestId", "The request."),
    END,
};

const struct rg_param rg_status_rows[] = {
    SHOWN(rg_answer_only, "version", "Of the platform."),
    SHOWN(rg_answer_only, "schemaVersion", "Of its database."),
    SHOWN(rg_answer_only, "gateways", "{total, connected}."),
    SHOWN(rg_answer_only, "deployments", "How many there are of each status."),
    SHOWN(rg_answer_only, "time", "The platform's clock."),
    END,
};
