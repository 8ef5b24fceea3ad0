/* See internal_bodies.h. */
#include "control/platform/internal_bodies.h"

static const struct rg_param id_item[] = {{.name = "", .type = RG_PARAM_STRING, .not_empty = true}, {.name = NULL}};

#define IDS(name_, text)                                                                                        \
    {                                                                                                           \
        .name = (name_), .type = RG_PARAM_LIST, .offset = offsetof(struct rg_ids_input, ids), .required = true, \
        .item = id_item, .size = sizeof(struct rg_str), .help = (text)                                          \
    }

const struct rg_param rg_deployment_ids_rows[] = {IDS("deploymentIds", "The deployments that are wanted."),
                                                  {.name = NULL}};
const struct rg_param rg_artifact_ids_rows[] = {IDS("artifactIds", "The artifacts that are asked about."),
                                                {.name = NULL}};

const struct rg_param rg_manifest_rows[] = {
    {.name = "version",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct rg_manifest_input, version),
     .help = "The version that runs."},
    {.name = "functionalityType",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct rg_manifest_input, functionality),
     .help = "regular, ai or event."},
    {.name = "policies",
     .type = RG_PARAM_ANY,
     .offset = offsetof(struct rg_manifest_input, policies),
     .help = "What it knows: [{name, version, displayName, description, parameters, managedBy}]."},
    {.name = NULL},
};
