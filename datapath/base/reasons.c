/* See reasons.h. */
#include "datapath/base/reasons.h"
#include "datapath/base/assert.h"

static const struct rg_reason_info infos[] = {
#define RG_REASON(id, status, name, text) \
    [RG_REASON_##id] = {status, {name, sizeof(name) - 1}, {text, sizeof(text) - 1}},
#include "datapath/base/reasons.def"
#undef RG_REASON
};

const struct rg_reason_info *rg_reason_info(enum rg_reason reason)
{
    RG_ASSERT((unsigned)reason < RG_REASON_COUNT);
    return &infos[reason];
}
