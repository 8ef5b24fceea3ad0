/* The kinds of what is deployed, and by what names each part of the wire knows them. Thread: any (constant data). */
#ifndef RG_COMMON_KINDS_H
#define RG_COMMON_KINDS_H

#include "datapath/base/str.h"

enum rg_kind {
#define RG_KIND(id, ...) RG_KIND_##id,
#include "control/common/kinds.def"
#undef RG_KIND
    RG_KINDS
};

struct rg_kind_info {
    const char *name;       /* "RestApi" */
    const char *resource;   /* "api": the type of its events, and of their acknowledgements */
    const char *id_member;  /* "apiId" */
    const char *path;       /* "apis" */
    const char *collection; /* "rest-apis" */
    const char *file;       /* "api" */
    bool supported;
};

const struct rg_kind_info *rg_kind_info(enum rg_kind kind);
bool rg_kind_of(struct rg_str name, enum rg_kind *ret);              /* by "RestApi"; false: none of them */
bool rg_kind_of_resource(struct rg_str resource, enum rg_kind *ret); /* by "api" */

#endif
