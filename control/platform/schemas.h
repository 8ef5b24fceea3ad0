/*
 * The bodies of the public API: what each may hold, declared once. Decoder, errors and the OpenAPI document read the
 * rows. Rows marked as read only are part of answers; in a request they are ignored, so that what was read can be
 * sent back. Thread: any (constant data).
 */
#ifndef RG_PLATFORM_SCHEMAS_H
#define RG_PLATFORM_SCHEMAS_H

#include "datapath/policy/param.h"

#define RG_READ_ONLY "Read only. " /* the help of such a row begins with it */

/* `unread` takes what is ignored or kept as it came. */
struct rg_organization_input {
    struct rg_str id, display_name, region, unread;
};
struct rg_project_input {
    struct rg_str id, display_name, description, unread;
};
struct rg_token_input {
    struct rg_str name, expires_at, organization, unread;
    int32_t role;
};
struct rg_gateway_input {
    struct rg_str id, display_name, description, version, properties, unread;
    int32_t functionality;
    struct rg_param_list endpoints; /* struct rg_str */
    bool is_critical;
};
struct rg_secret_input {
    struct rg_str id, display_name, description, value, unread;
};
struct rg_key_input {
    struct rg_str name, display_name, api_key, expires_at, external_ref, issuer, unread;
};
struct rg_deploy_input {
    struct rg_str name, base, gateway;
    struct rg_deploy_metadata {
        struct rg_str endpoint_url, vhost_main, vhost_sandbox;
    } metadata;
    struct rg_str unread;
};
/* What all kinds of artifacts have; the rest is kept as it came and checked as gateways do. */
struct rg_artifact_input {
    struct rg_str id, display_name, version, context, project, provider_template, unread;
};

extern const struct rg_param rg_organization_rows[], rg_project_rows[], rg_token_rows[], rg_gateway_rows[],
    rg_gateway_token_rows[], rg_secret_rows[], rg_key_rows[], rg_deploy_rows[], rg_deployment_rows[],
    rg_deployment_event_rows[], rg_audit_rows[], rg_status_rows[], rg_rest_api_rows[], rg_provider_rows[],
    rg_proxy_rows[], rg_template_rows[];

extern const char *const rg_role_words[], *const rg_functionality_words[];

#endif
