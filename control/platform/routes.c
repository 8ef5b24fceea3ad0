/* See routes.h: handlers are declared in handlers.h, rows of bodies in schemas.h and internal_bodies.h. */
#include "control/platform/routes.h"

#include "control/platform/answer.h"
#include "control/platform/handlers.h"
#include "control/platform/internal_bodies.h"
#include "control/platform/schemas.h"

static const char *const project_query[] = {"projectId", NULL};
static const char *const deployment_query[] = {"gatewayId", "status", NULL};
static const char *const gateway_query[] = {"gatewayId", NULL};

#define BODY(rows, input) .body = (rows), .body_size = sizeof(struct input)
#define DEFINITION(rows)  BODY(rows, rg_artifact_input), .definition = true
#define ROUTE(verb, path, who, handler, ...)                                                                 \
    {                                                                                                        \
        .method = (verb), .pattern = (path), .scope = RG_SCOPE_##who, .handle = (handler), .type = RG_TYPES, \
        __VA_ARGS__                                                                                          \
    }
#define TYPED(verb, path, who, handler, id, ...)                                                                 \
    {                                                                                                            \
        .method = (verb), .pattern = (path), .scope = RG_SCOPE_##who, .handle = (handler), .type = RG_TYPE_##id, \
        __VA_ARGS__                                                                                              \
    }

/* What every kind of artifact has. */
#define ARTIFACTS(path, id, rows, what)                                                                            \
    TYPED("GET", path, READ, rg_list_artifacts, id, .success = 200, .answer = (rows), .list = true,                \
          .query = project_query, .summary = "List the " what "s."),                                               \
        TYPED("POST", path, WRITE, rg_post_artifact, id, DEFINITION(rows), .success = 201, .answer = (rows),       \
              .summary = "Make a " what "."),                                                                      \
        TYPED("GET", path "/{id}", READ, rg_get_artifact, id, .success = 200, .answer = (rows),                    \
              .summary = "Show a " what "."),                                                                      \
        TYPED("PUT", path "/{id}", WRITE, rg_put_artifact, id, DEFINITION(rows), .success = 200, .answer = (rows), \
              .summary = "Replace a " what "; what is deployed stays as it is."),                                  \
        TYPED("DELETE", path "/{id}", WRITE, rg_delete_artifact, id, .success = 204,                               \
              .summary = "Delete a " what ", also from the gateways.")

/* What those that are deployed have beside. */
#define DEPLOYABLE(path, id)                                                                                          \
    TYPED("GET", path "/{id}/deployments", READ, rg_list_deployments, id, .success = 200,                             \
          .answer = rg_deployment_rows, .list = true, .query = deployment_query,                                      \
          .summary = "List deployments, the latest first."),                                                          \
        TYPED("POST", path "/{id}/deployments", WRITE, rg_post_deployment, id, BODY(rg_deploy_rows, rg_deploy_input), \
              .success = 201, .answer = rg_deployment_rows,                                                           \
              .summary = "Deploy to a gateway. The status is DEPLOYED once the gateway says that it is live."),       \
        TYPED("GET", path "/{id}/deployments/{deploymentId}", READ, rg_get_deployment, id, .success = 200,            \
              .answer = rg_deployment_rows, .summary = "Show a deployment, with what each instance has answered."),   \
        TYPED("DELETE", path "/{id}/deployments/{deploymentId}", WRITE, rg_delete_deployment, id, .success = 204,     \
              .summary = "Forget a deployment that is not active."),                                                  \
        TYPED("POST", path "/{id}/deployments/{deploymentId}/undeploy", WRITE, rg_undeploy_deployment, id,            \
              .success = 200, .answer = rg_deployment_rows, .query = gateway_query,                                   \
              .summary = "Take it from the gateway."),                                                                \
        TYPED("POST", path "/{id}/deployments/{deploymentId}/restore", WRITE, rg_restore_deployment, id,              \
              .success = 200, .answer = rg_deployment_rows, .query = gateway_query,                                   \
              .summary = "Deploy an earlier deployment again, as it was."),                                           \
        TYPED("GET", path "/{id}/deployments/{deploymentId}/events", READ, rg_list_deployment_events, id,             \
              .success = 200, .answer = rg_deployment_event_rows, .list = true,                                       \
              .summary = "The history of a deployment."),                                                             \
        TYPED("GET", path "/{id}/api-keys", READ, rg_list_keys, id, .success = 200, .answer = rg_key_rows,            \
              .list = true, .summary = "List the keys of consumers."),                                                \
        TYPED("POST", path "/{id}/api-keys", WRITE, rg_post_key, id, BODY(rg_key_rows, rg_key_input), .success = 201, \
              .answer = rg_key_rows, .summary = "Make a key, or take a given one."),                                  \
        TYPED("PUT", path "/{id}/api-keys/{name}", WRITE, rg_put_key, id, BODY(rg_key_rows, rg_key_input),            \
              .success = 200, .answer = rg_key_rows, .summary = "Replace a key; the old one ends to hold."),          \
        TYPED("DELETE", path "/{id}/api-keys/{name}", WRITE, rg_delete_key, id, .success = 204,                       \
              .summary = "Revoke a key.")

static const struct rg_route public_routes[] = {
    ROUTE("GET", "/openapi.yaml", NONE, rg_get_openapi, .success = 200, .media = "application/yaml",
          .summary = "This document."),
    ROUTE("GET", "/status", READ, rg_get_status, .success = 200, .answer = rg_status_rows,
          .summary = "How the platform stands."),
    ROUTE("GET", "/events", READ, rg_get_events, .success = 200, .media = "text/event-stream",
          .summary = "Changes as they happen, as Server-Sent Events."),
    ROUTE("GET", "/audit", ADMIN, rg_list_audit, .success = 200, .answer = rg_audit_rows, .list = true,
          .summary = "Who changed what, the latest first."),

    ROUTE("GET", "/tokens", ADMIN, rg_list_tokens, .success = 200, .answer = rg_token_rows, .list = true,
          .summary = "List the tokens of operators and programs."),
    ROUTE("POST", "/tokens", ADMIN, rg_post_token, BODY(rg_token_rows, rg_token_input), .success = 201,
          .answer = rg_token_rows, .summary = "Make a token; it is shown once."),
    ROUTE("DELETE", "/tokens/{tokenId}", ADMIN, rg_delete_token, .success = 204, .summary = "Revoke a token."),

    ROUTE("GET", "/organizations", READ, rg_list_organizations, .success = 200, .answer = rg_organization_rows,
          .list = true, .summary = "List organizations."),
    ROUTE("POST", "/organizations", ADMIN, rg_post_organization, BODY(rg_organization_rows, rg_organization_input),
          .success = 201, .answer = rg_organization_rows, .summary = "Make an organization."),
    ROUTE("GET", "/organizations/{id}", READ, rg_get_organization, .success = 200, .answer = rg_organization_rows,
          .summary = "Show an organization."),
    ROUTE("GET", "/projects", READ, rg_list_projects, .success = 200, .answer = rg_project_rows, .list = true,
          .summary = "List projects."),
    ROUTE("POST", "/projects", WRITE, rg_post_project, BODY(rg_project_rows, rg_project_input), .success = 201,
          .answer = rg_project_rows, .summary = "Make a project."),
    ROUTE("GET", "/projects/{id}", READ, rg_get_project, .success = 200, .answer = rg_project_rows,
          .summary = "Show a project."),
    ROUTE("DELETE", "/projects/{id}", WRITE, rg_delete_project, .success = 204,
          .summary = "Delete a project that has no APIs."),

    ROUTE("GET", "/gateways", READ, rg_list_gateways, .success = 200, .answer = rg_gateway_rows, .list = true,
          .summary = "List gateways."),
    ROUTE("POST", "/gateways", WRITE, rg_post_gateway, BODY(rg_gateway_rows, rg_gateway_input), .success = 201,
          .answer = rg_gateway_rows, .summary = "Make a gateway."),
    ROUTE("GET", "/gateways/{id}", READ, rg_get_gateway, .success = 200, .answer = rg_gateway_rows,
          .summary = "Show a gateway."),
    ROUTE("PUT", "/gateways/{id}", WRITE, rg_put_gateway, BODY(rg_gateway_rows, rg_gateway_input), .success = 200,
          .answer = rg_gateway_rows, .summary = "Change a gateway."),
    ROUTE("DELETE", "/gateways/{id}", WRITE, rg_delete_gateway, .success = 204,
          .summary = "Delete a gateway, after all was undeployed from it."),
    ROUTE("GET", "/gateways/{id}/manifest", READ, rg_get_gateway_manifest, .success = 200, .answer = rg_manifest_rows,
          .summary = "What the gateway says of itself."),
    ROUTE("GET", "/gateways/{id}/tokens", READ, rg_list_gateway_tokens, .success = 200, .answer = rg_gateway_token_rows,
          .list = true, .summary = "List a gateway's tokens."),
    ROUTE("POST", "/gateways/{id}/tokens", WRITE, rg_post_gateway_token, .success = 201,
          .answer = rg_gateway_token_rows, .summary = "Make a token for a gateway; it is shown once."),
    ROUTE("DELETE", "/gateways/{id}/tokens/{tokenId}", WRITE, rg_delete_gateway_token, .success = 204,
          .summary = "Revoke a gateway's token; connections made with it are closed."),

    ARTIFACTS("/rest-apis", REST_API, rg_rest_api_rows, "REST API"),
    DEPLOYABLE("/rest-apis", REST_API),
    ARTIFACTS("/llm-provider-templates", TEMPLATE, rg_template_rows, "LLM provider template"),
    ARTIFACTS("/llm-providers", LLM_PROVIDER, rg_provider_rows, "LLM provider"),
    DEPLOYABLE("/llm-providers", LLM_PROVIDER),
    ARTIFACTS("/llm-proxies", LLM_PROXY, rg_proxy_rows, "LLM proxy"),
    DEPLOYABLE("/llm-proxies", LLM_PROXY),

    ROUTE("GET", "/secrets", READ, rg_list_secrets, .success = 200, .answer = rg_secret_rows, .list = true,
          .summary = "List secrets, without their values."),
    ROUTE("POST", "/secrets", WRITE, rg_post_secret, BODY(rg_secret_rows, rg_secret_input), .success = 201,
          .answer = rg_secret_rows, .summary = "Make a secret, for artifacts that name it."),
    ROUTE("GET", "/secrets/{id}", READ, rg_get_secret, .success = 200, .answer = rg_secret_rows,
          .summary = "Show a secret, without its value."),
    ROUTE("PUT", "/secrets/{id}", WRITE, rg_put_secret, BODY(rg_secret_rows, rg_secret_input), .success = 200,
          .answer = rg_secret_rows, .summary = "Replace a secret."),
    ROUTE("DELETE", "/secrets/{id}", WRITE, rg_delete_secret, .success = 204, .summary = "Delete a secret."),
};

/* Gateways may send more than is known here: what is not read is ignored. */
static const struct rg_route internal_routes[] = {
    TYPED("GET", "/apis/api-keys", GATEWAY, rg_fetch_keys, REST_API, .success = 200),
    TYPED("GET", "/apis/{apiId}", GATEWAY, rg_fetch_artifact, REST_API, .success = 200),
    ROUTE("GET", "/apis/{apiId}/subscriptions", GATEWAY, rg_fetch_empty, .success = 200),
    TYPED("GET", "/llm-providers/api-keys", GATEWAY, rg_fetch_keys, LLM_PROVIDER, .success = 200),
    TYPED("GET", "/llm-providers/{providerId}", GATEWAY, rg_fetch_artifact, LLM_PROVIDER, .success = 200),
    TYPED("GET", "/llm-proxies/api-keys", GATEWAY, rg_fetch_keys, LLM_PROXY, .success = 200),
    TYPED("GET", "/llm-proxies/{proxyId}", GATEWAY, rg_fetch_artifact, LLM_PROXY, .success = 200),
    ROUTE("GET", "/mcp-proxies/api-keys", GATEWAY, rg_fetch_empty, .success = 200),
    ROUTE("GET", "/websub-apis/api-keys", GATEWAY, rg_fetch_empty, .success = 200),
    ROUTE("GET", "/webbroker-apis/api-keys", GATEWAY, rg_fetch_empty, .success = 200),
    ROUTE("GET", "/subscription-plans", GATEWAY, rg_fetch_empty, .success = 200),
    ROUTE("GET", "/deployments", GATEWAY, rg_fetch_deployments, .success = 200),
    ROUTE("POST", "/deployments/fetch-batch", GATEWAY, rg_fetch_batch, BODY(rg_deployment_ids_rows, rg_ids_input),
          .success = 200),
    ROUTE("POST", "/artifacts/exists", GATEWAY, rg_fetch_existing, BODY(rg_artifact_ids_rows, rg_ids_input),
          .success = 200),
    ROUTE("POST", "/gateways/{gatewayId}/manifest", GATEWAY, rg_take_manifest,
          BODY(rg_manifest_rows, rg_manifest_input), .success = 204),
    ROUTE("GET", "/secrets", GATEWAY, rg_fetch_secrets, .success = 200),
    ROUTE("GET", "/secrets/{handle}/value", GATEWAY, rg_fetch_secret_value, .success = 200),
};

const struct rg_route_table rg_public_routes = {public_routes, sizeof(public_routes) / sizeof(public_routes[0]),
                                                RG_API_PUBLIC};
const struct rg_route_table rg_internal_routes = {internal_routes, sizeof(internal_routes) / sizeof(internal_routes[0]),
                                                  RG_API_INTERNAL};
