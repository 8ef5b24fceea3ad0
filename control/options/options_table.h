/* options.def as a table, for those who walk over all options. Thread: any (constant data). */
#ifndef RG_OPTIONS_OPTIONS_TABLE_H
#define RG_OPTIONS_OPTIONS_TABLE_H

#include "control/common/conf.h"
#include "datapath/settings.h"

extern const struct rg_conf_table rg_options_table;

#endif
