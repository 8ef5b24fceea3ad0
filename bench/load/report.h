/* What was measured, for people, for programs and for plots. Thread: main. */
#ifndef RG_LOAD_REPORT_H
#define RG_LOAD_REPORT_H

#include "bench/load/options.h"
#include "bench/load/tally.h"

/* Everything that the options ask for. Negative errno after a message when a file could not be written. */
int rg_report(const struct rg_load_options *o, const struct rg_tally *t);

#endif
