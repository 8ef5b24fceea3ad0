/* What the routes lead to: one function for each call (routes.c). Thread: the store's. */
#ifndef RG_PLATFORM_HANDLERS_H
#define RG_PLATFORM_HANDLERS_H

#include "control/platform/call.h"

void rg_post_organization(struct rg_call *call);
void rg_list_organizations(struct rg_call *call);
void rg_get_organization(struct rg_call *call);
void rg_post_project(struct rg_call *call);
void rg_list_projects(struct rg_call *call);
void rg_get_project(struct rg_call *call);
void rg_delete_project(struct rg_call *call);

void rg_post_token(struct rg_call *call);
void rg_list_tokens(struct rg_call *call);
void rg_delete_token(struct rg_call *call);

void rg_post_gateway(struct rg_call *call);
void rg_list_gateways(struct rg_call *call);
void rg_get_gateway(struct rg_call *call);
void rg_put_gateway(struct rg_call *call);
void rg_delete_gateway(struct rg_call *call);
void rg_get_gateway_manifest(struct rg_call *call);
void rg_post_gateway_token(struct rg_call *call);
void rg_list_gateway_tokens(struct rg_call *call);
void rg_delete_gateway_token(struct rg_call *call);

void rg_post_artifact(struct rg_call *call);
void rg_list_artifacts(struct rg_call *call);
void rg_get_artifact(struct rg_call *call);
void rg_put_artifact(struct rg_call *call);
void rg_delete_artifact(struct rg_call *call);

void rg_post_deployment(struct rg_call *call);
void rg_list_deployments(struct rg_call *call);
void rg_get_deployment(struct rg_call *call);
void rg_delete_deployment(struct rg_call *call);
void rg_undeploy_deployment(struct rg_call *call);
void rg_restore_deployment(struct rg_call *call);
void rg_list_deployment_events(struct rg_call *call);

void rg_post_key(struct rg_call *call);
void rg_list_keys(struct rg_call *call);
void rg_put_key(struct rg_call *call);
void rg_delete_key(struct rg_call *call);

void rg_post_secret(struct rg_call *call);
void rg_list_secrets(struct rg_call *call);
void rg_get_secret(struct rg_call *call);
void rg_put_secret(struct rg_call *call);
void rg_delete_secret(struct rg_call *call);

void rg_get_status(struct rg_call *call);
void rg_list_audit(struct rg_call *call);
void rg_get_events(struct rg_call *call);
void rg_get_openapi(struct rg_call *call);

/* For gateways. */
void rg_fetch_artifact(struct rg_call *call);
void rg_fetch_deployments(struct rg_call *call);
void rg_fetch_batch(struct rg_call *call);
void rg_fetch_existing(struct rg_call *call);
void rg_take_manifest(struct rg_call *call);
void rg_fetch_keys(struct rg_call *call);
void rg_fetch_secrets(struct rg_call *call);
void rg_fetch_secret_value(struct rg_call *call);
void rg_fetch_empty(struct rg_call *call); /* what this platform has none of: [] */

#endif
