/* What most calls begin with: the gateway, artifact or deployment that the path or the body names. Refused with 404
 * where there is none. Thread: the store's. */
#ifndef RG_PLATFORM_LOOKUPS_H
#define RG_PLATFORM_LOOKUPS_H

#include "control/platform/call.h"
#include "control/platform/transitions.h"

/* The administrator of the default organization sees the others, too. */
bool rg_sees_all_organizations(struct rg_call *call);
bool rg_find_organization(struct rg_call *call, const char *handle, char uuid[RG_UUID_LEN + 1]);

/* By its handle (of the caller's organization, and not deleted). false: refused. */
bool rg_find_gateway(struct rg_call *call, const char *handle, char uuid[RG_UUID_LEN + 1]);

struct rg_found_artifact {
    char uuid[RG_UUID_LEN + 1];
    char managed_by[16];
    char project[RG_CALL_HANDLE_MAX + 1]; /* handle; "": none */
    json_t *definition;
};

/* Of the call's type. The definition is opened only where it is wanted; then free it by rg_found_artifact_fini. */
bool rg_find_artifact(struct rg_call *call, const char *handle, bool with_definition, struct rg_found_artifact *ret);
void rg_found_artifact_fini(struct rg_found_artifact *artifact);

/* args: artifact, deployment. Fills place but for what belongs to no deployment. */
bool rg_find_deployment(struct rg_call *call, struct rg_place *place, char gateway[RG_CALL_HANDLE_MAX + 1]);

/*
 * The handle of an artifact of this kind that names a provider or template, a new string; NULL: there is none. Names
 * are inside of sealed definitions. `gateway`: only of those that are, or are being, deployed there; NULL: of all.
 */
json_t *rg_find_user(struct rg_call *call, const char *kind, const char *handle, const char *gateway);

#endif
