/*
 * The documents that are made from the tables of the code, so that they can't say anything else.
 * Thread: the generator has one.
 */
#ifndef RG_DOCS_DOCS_H
#define RG_DOCS_DOCS_H

#include <stdio.h>

#include "control/common/conf.h"
#include "control/common/flags.h"

void rg_docs_options(FILE *out);  /* docs/OPTIONS.md */
void rg_docs_metrics(FILE *out);  /* docs/METRICS.md */
void rg_docs_schema(FILE *out);   /* docs/ringgate.schema.json */
void rg_docs_policies(FILE *out); /* docs/POLICIES.md */
void rg_docs_platform(FILE *out); /* docs/PLATFORM.md */

/* Text of a table's cell: a bar would end it. */
void rg_docs_cell(FILE *out, const char *text);

/* Rows of a table of flags, and the sections of a table of options; `listeners`: what there is without them. */
void rg_docs_flags(const struct rg_flag_table *table, FILE *out);
void rg_docs_table(const struct rg_conf_table *table, const char *listeners, FILE *out);

#endif
