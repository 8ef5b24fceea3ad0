/* Deployments as the public API shows them. Thread: the store's. */
#ifndef RG_PLATFORM_DEPLOYMENT_ROWS_H
#define RG_PLATFORM_DEPLOYMENT_ROWS_H

#include "control/platform/call.h"

json_t *rg_deployment_read(struct rg_call *call, const char *uuid); /* NULL: there is none */

#endif
