/* A table of struct rg_param as JSON Schema, for whoever writes what is decoded by it. Thread: any (pure). */
#ifndef RG_COMMON_PARAMS_SCHEMA_H
#define RG_COMMON_PARAMS_SCHEMA_H

#include "control/common/params.h"

struct rg_params_schema {
    bool closed;           /* says that other keys are refused */
    const char *read_only; /* a help that begins so is that of a member that is only ever shown; NULL: none is */
};

/* A new reference; NULL only without memory. Of a table of no rows: an object without properties. */
json_t *rg_params_schema(const struct rg_param *fields, const struct rg_params_schema *how);

#endif
