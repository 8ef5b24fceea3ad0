/*
 * The files of listeners that speak TLS: read whole, made into a store (datapath/tls), or refused with file, place and
 * remedy. Key material is wiped from memory when it has been parsed.
 *
 * Owner: the store is the caller's. Thread: the control thread, or main before it starts.
 */
#ifndef RG_GATEWAY_CERTIFICATES_H
#define RG_GATEWAY_CERTIFICATES_H

#include "control/options/options.h"
#include "datapath/tls/store.h"

/* For rg_options_load_with: everything that is wrong with the files becomes an error of the configuration. */
void rg_certificates_inspect(const struct rg_settings *s, struct rg_options_findings *findings);

/* *ret is NULL when no listener speaks TLS. What is wrong, and certificates that have expired, go to the log. Negative
 * errno. */
int rg_certificates_load(const struct rg_settings *s, uint16_t workers, const struct rg_tls_keys *keys,
                         struct rg_tls_store **ret);

/* Certificates that can be used and should not be, a line each: "PREFIX: warning: path: ...". */
void rg_certificates_warn(const struct rg_settings *s, const char *prefix, FILE *out);

#endif
