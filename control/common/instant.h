/*
 * Instants as RFC 3339 writes them ("2026-08-22T09:15:04.1Z"): compared as points in time, never as text, because two
 * peers may trim zeros differently. Pure. Thread: any.
 */
#ifndef RG_COMMON_INSTANT_H
#define RG_COMMON_INSTANT_H

#include "datapath/base/str.h"

#define RG_INSTANT_TEXT_MAX 40 /* with nine digits of a second and an offset it is 35 */

/* Nanoseconds since 1970, UTC. Fractions beyond nanoseconds are cut. false: it is not one from 1970 to 2200. */
bool rg_instant_parse(struct rg_str text, int64_t *ret_ns);

/* In UTC with milliseconds, trailing zeros left out, as the platform writes it: "2026-08-22T09:15:04.1Z". */
void rg_instant_format(int64_t ns, char ret[RG_INSTANT_TEXT_MAX]);

#endif
