/* What the files of the exchange share: exchange.c (its life), exchange_time.c (limits), exchange_record.c (the
 * record). */
#ifndef RG_EXCHANGE_PARTS_H
#define RG_EXCHANGE_PARTS_H

#include "datapath/exchange.h"

#define RG_HALF_CLOSE_MS \
    500 /* a client that ended its side after a complete request gets so long for the response to begin */

void rg_exchange_fail(struct rg_worker *w, struct rg_exchange *x, enum rg_reason reason);

/* Time limits are looked at soon. */
void rg_exchange_check_soon(struct rg_worker *w, struct rg_exchange *x);

/* Keeps what the access record needs of the request while its bytes are there. */
void rg_exchange_note_request(struct rg_worker *w, struct rg_exchange *x, const struct rg_h1_request *req,
                              struct rg_str host);
void rg_exchange_note_refused_head(struct rg_worker *w, struct rg_exchange *x);
/* Counters and the access record of an exchange that has ended. */
void rg_exchange_record(struct rg_worker *w, struct rg_exchange *x);

#endif
