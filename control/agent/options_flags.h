/* The table of flags, for the command line and for the documentation. Thread: any (constant data). */
#ifndef RG_AGENT_OPTIONS_FLAGS_H
#define RG_AGENT_OPTIONS_FLAGS_H

#include <stddef.h>

#define RG_CONFIG_DEFAULT "/etc/ringgate/ringgate.yaml"

enum rg_flag_kind { RG_FLAG_SWITCH, RG_FLAG_TEXT, RG_FLAG_FILE, RG_FLAG_LISTEN };

struct rg_flag {
    char letter; /* 0: none */
    const char *name;
    const char *value; /* what follows it; NULL: nothing */
    enum rg_flag_kind kind;
    size_t offset;    /* SWITCH, TEXT: the member of struct rg_flags */
    const char *help; /* NULL: known, not supported, not shown */
};

extern const struct rg_flag rg_flags_table[];
extern const size_t rg_flags_count;

#endif
