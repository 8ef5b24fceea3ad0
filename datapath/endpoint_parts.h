/* What the files of endpoints share: endpoint.c (the table, addresses, health), endpoint_make.c (a specification's
 * meaning). Thread: the control thread. */
#ifndef RG_ENDPOINT_PARTS_H
#define RG_ENDPOINT_PARTS_H

#include "datapath/endpoint.h"

/* All that can be said without a file. -EINVAL with *fault. */
int rg_endpoint_check(const struct rg_endpoint_spec *spec, struct rg_fault *fault);
/* Equal for what leads to the same place in the same way, files of the same content included. The caller's to free. */
int rg_endpoint_key(const struct rg_endpoint_spec *spec, char **ret, struct rg_fault *fault);
/* All that is immutable but table and key, and the addresses of a host that is one. */
int rg_endpoint_fill(struct rg_endpoint *e, const struct rg_endpoint_spec *spec, struct rg_fault *fault);

#endif
