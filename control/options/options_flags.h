/* The table of flags, for the command line and for the documentation. Thread: any (constant data). */
#ifndef RG_OPTIONS_OPTIONS_FLAGS_H
#define RG_OPTIONS_OPTIONS_FLAGS_H

#include "control/common/flags.h"

#define RG_CONFIG_DEFAULT "/etc/ringgate/ringgate.yaml"

extern const struct rg_flag_table rg_flags_table;

#endif
