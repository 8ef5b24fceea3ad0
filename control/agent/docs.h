/*
 * The documents that are made from the tables of the code, so that they can't say anything else.
 * Thread: the generator has one.
 */
#ifndef RG_AGENT_DOCS_H
#define RG_AGENT_DOCS_H

#include <stdio.h>

void rg_docs_options(FILE *out);  /* docs/OPTIONS.md */
void rg_docs_metrics(FILE *out);  /* docs/METRICS.md */
void rg_docs_schema(FILE *out);   /* docs/ringgate.schema.json */
void rg_docs_policies(FILE *out); /* docs/POLICIES.md */

/* Text of a table's cell: a bar would end it. */
void rg_docs_cell(FILE *out, const char *text);

#endif
