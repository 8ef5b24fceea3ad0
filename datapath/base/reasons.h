/* The enum of reasons.def, with status, name and text of each. Thread: any (constant data). */
#ifndef RG_BASE_REASONS_H
#define RG_BASE_REASONS_H

#include "datapath/base/str.h"

enum rg_reason {
#define RG_REASON(id, status, name, text) RG_REASON_##id,
#include "datapath/base/reasons.def"
#undef RG_REASON
    RG_REASON_COUNT
};

struct rg_reason_info {
    uint16_t status; /* 0: no response */
    struct rg_str name;
    struct rg_str text;
};

const struct rg_reason_info *rg_reason_info(enum rg_reason reason);

#endif
