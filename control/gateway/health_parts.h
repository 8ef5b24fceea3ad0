/* What health.c (when to probe, the connection, the request) and health_answer.c share. See health.h for
 * owner and thread. */
#ifndef RG_GATEWAY_HEALTH_PARTS_H
#define RG_GATEWAY_HEALTH_PARTS_H

#include "control/gateway/health.h"
#include "control/gateway/health_h2c.h"

/* Both end the probe, and the next one is on its way. */
void rg_prober_finish(struct rg_prober *p, bool healthy);
void rg_prober_fail(struct rg_prober *p, const char *what, int error); /* 0: there is no errno to it */

void rg_prober_read_answer(struct rg_prober *p); /* its socket can be read */

#endif
