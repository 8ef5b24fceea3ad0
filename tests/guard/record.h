/*
 * The recorded exchanges of the instruction guard: made from exchanges.txt, the same bytes on every machine and in
 * every run. Owner: the caller of rg_record_load, for the life of the process. Thread: main.
 */
#ifndef RG_GUARD_RECORD_H
#define RG_GUARD_RECORD_H

#include "datapath/base/str.h"

struct rg_record {
    const char *name; /* of its template */
    struct rg_str request, response;
    bool trusted, is_ipv6;
};

/* All records, the templates mixed. NULL: said on standard error what is wrong, with the line. */
const struct rg_record *rg_record_load(const char *path, size_t wanted);

#endif
