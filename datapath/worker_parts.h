/* What the files of the worker share: worker.c (its loop and life), worker_mail.c (what it is told). Thread: the
 * worker's, and who makes it. */
#ifndef RG_WORKER_PARTS_H
#define RG_WORKER_PARTS_H

#include "datapath/worker.h"

#define RG_WORKER_TICK_MS 1000

void rg_worker_apply_settings(struct rg_worker *w, const struct rg_settings *s);
void rg_worker_use_routes(struct rg_worker *w, struct rg_snapshot *routes);
/* There is something in the mailbox. */
void rg_worker_read_mail(struct rg_worker *w);

#endif
