/* See kinds.h. */
#include "control/common/kinds.h"

static const struct rg_kind_info kinds[RG_KINDS] = {
#define RG_KIND(id, name, resource, member, path, collection, file, supported) \
    [RG_KIND_##id] = {name, resource, member, path, collection, file, supported},
#include "control/common/kinds.def"
#undef RG_KIND
};

const struct rg_kind_info *rg_kind_info(enum rg_kind kind)
{
    return &kinds[kind];
}

bool rg_kind_of(struct rg_str name, enum rg_kind *ret)
{
    for (unsigned i = 0; i < RG_KINDS; i++) {
        if (!rg_str_eq(name, rg_str_of(kinds[i].name)))
            continue;
        *ret = (enum rg_kind)i;
        return true;
    }
    return false;
}

bool rg_kind_of_resource(struct rg_str resource, enum rg_kind *ret)
{
    for (unsigned i = 0; i < RG_KINDS; i++) {
        if (!rg_str_eq(resource, rg_str_of(kinds[i].resource)))
            continue;
        *ret = (enum rg_kind)i;
        return true;
    }
    return false;
}
