/* The bodies that gateways send. Thread: any (constant data). */
#ifndef RG_PLATFORM_INTERNAL_BODIES_H
#define RG_PLATFORM_INTERNAL_BODIES_H

#include "datapath/policy/param.h"

struct rg_ids_input {
    struct rg_param_list ids; /* struct rg_str */
};
struct rg_manifest_input {
    struct rg_str version, functionality, policies, unread;
};

extern const struct rg_param rg_deployment_ids_rows[], rg_artifact_ids_rows[], rg_manifest_rows[];

#endif
