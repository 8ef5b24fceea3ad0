/*
 * TLS as a client: how it is spoken to one place, and the session that was last agreed on there, so that the next
 * handshake is short. What a connection is then: tls.h.
 *
 * Lifetime: struct rg_tls_client belongs to its endpoint, is made by the control thread, which reads the files, and
 * immutable then. A connection keeps OpenSSL's part of it alive. struct rg_tls_memory belongs to whoever embeds it: one
 * worker.
 */
#ifndef RG_TLS_CLIENT_H
#define RG_TLS_CLIENT_H

#include "datapath/base/fault.h"
#include "datapath/tls/tls.h"

struct rg_tls_client;

struct rg_tls_client_source {
    struct rg_str server_name; /* a name or an address: that of the certificate; names are sent, too (SNI) */
    bool verify;
    struct rg_str ca_file;             /* "": the system's authorities */
    struct rg_str cert_file, key_file; /* "": none is shown */
};

/* The file of the system's authorities. */
const char *rg_tls_client_system_file(void);

/* Control thread. -EINVAL with *fault ("ca_file", "cert_file", "key_file"), or -ENOMEM. */
int rg_tls_client_create(struct rg_tls_client **ret, const struct rg_tls_client_source *source, struct rg_fault *fault);
void rg_tls_client_destroy(struct rg_tls_client *c); /* NULL is fine */

/* Worker. A session with a server; its first words are made by rg_tls_run. The memory outlives it. NULL: no memory. */
struct rg_tls *rg_tls_connect(struct rg_tls_env *env, const struct rg_tls_client *c, struct rg_tls_memory *memory,
                              void *owner);
void rg_tls_memory_forget(struct rg_tls_memory *m);

#endif
