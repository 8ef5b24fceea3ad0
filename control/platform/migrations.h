/*
 * The schema, as a list of steps that are never edited, only added to. Each step adds (tables, columns, indexes) and
 * takes nothing away, so that an older program still runs on a newer schema. Thread: the store's.
 */
#ifndef RG_PLATFORM_MIGRATIONS_H
#define RG_PLATFORM_MIGRATIONS_H

#include "control/platform/db.h"

/* Runs the steps that the database lacks, under the database's write lock: all or none of them. */
int rg_migrate(struct rg_db *db);

int rg_migrations_known(void);            /* to this program */
int rg_migrations_done(struct rg_db *db); /* how many steps the database has */

#endif
