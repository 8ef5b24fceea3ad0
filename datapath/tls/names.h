/*
 * Names of certificates and what they lead to: exact names, and wildcards that stand for one label (RFC 6125 6.4.3).
 * Pure. Owner: whoever initialised it; read by any thread once it is complete.
 */
#ifndef RG_TLS_NAMES_H
#define RG_TLS_NAMES_H

#include "datapath/base/str.h"

#define RG_TLS_NAME_MAX 253

struct rg_tls_name {
    char *text;            /* lower case; "*.example.com" for a wildcard */
    uint32_t certificates; /* a bit for each that has the name */
    uint16_t value;
};

struct rg_tls_names {
    struct rg_tls_name *list; /* sorted once complete */
    unsigned n, room;
};

/* Whether a certificate's name can be one that clients ask for: letters, digits, '-', '_', dots, one leading "*.". */
bool rg_tls_name_is_valid(struct rg_str name);
/* Adds the bit to the name, which is made when it is new. Negative errno. */
int rg_tls_names_add(struct rg_tls_names *names, struct rg_str name, unsigned certificate);
void rg_tls_names_sort(struct rg_tls_names *names);
void rg_tls_names_fini(struct rg_tls_names *names);
/* NULL: none. Any case; one trailing dot counts for nothing. */
const struct rg_tls_name *rg_tls_names_find(const struct rg_tls_names *names, struct rg_str asked);

#endif
