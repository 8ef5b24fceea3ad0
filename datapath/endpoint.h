/*
 * An endpoint: what a target of a route leads to. Host, port, and how TLS is spoken there. Units that lead to the same
 * place share one, known by its key, so that a unit's successor finds the connections that there are.
 *
 * Each worker has a struct rg_upstream of its own for an endpoint, from its first request there until the endpoint is
 * wanted by no unit any more, and the last exchange and connection have ended. All workers share the addresses that the
 * host's name has, and what is known of who answers there.
 *
 * Lifetime: counted by reference. Units hold it (control thread), and each upstream of a worker does; the table, which
 * outlives workers and units, frees it when both are gone. Thread: as said at each function.
 */
#ifndef RG_ENDPOINT_H
#define RG_ENDPOINT_H

#include "datapath/addresses.h"
#include "datapath/base/fault.h"
#include "datapath/base/list.h"
#include "datapath/settings.h"

struct rg_tls_client; /* tls/client.h */
struct rg_upstream;
struct rg_worker;
struct rg_endpoints;

struct rg_endpoint_spec {
    struct rg_str host; /* a name, an address without brackets, or "/path" of a UNIX socket */
    uint16_t port;
    bool tls;
    /* of TLS; "": see route/spec.h */
    bool verify;
    struct rg_str ca_file, cert_file, key_file, server_name;
};

enum rg_endpoint_state {
    RG_ENDPOINT_RESOLVING, /* nothing is known yet: requests wait */
    RG_ENDPOINT_RESOLVED,  /* there are addresses, perhaps those of an earlier answer */
    RG_ENDPOINT_UNRESOLVED /* the name has no addresses, or nobody could say */
};

struct rg_endpoint {
    /* immutable */
    struct rg_endpoints *table;
    struct rg_str host;        /* lower case, zero-terminated */
    struct rg_str authority;   /* for Host: without a port that goes without saying */
    struct rg_str text;        /* for messages: "https://host:port", "unix:/path" */
    struct rg_address address; /* of a UNIX socket; else its len is 0 */
    uint16_t port;
    bool is_name;              /* it has to be resolved */
    struct rg_tls_client *tls; /* NULL: in the clear */

    /* the control thread's */
    struct rg_endpoint *next; /* in the table */
    char *key;
    unsigned refs;  /* units' */
    void *resolver; /* who asks for its addresses */
    uint64_t tls_failures_said, tls_said_ms;

    /* of all threads; atomic */
    struct rg_addresses *addresses; /* NULL: none */
    uint8_t state;                  /* enum rg_endpoint_state */
    bool wanted;                    /* refs > 0 */
    uint32_t users;                 /* workers that have an upstream for it */
    struct rg_reach reach;          /* of all its addresses together */
    uint64_t tls_failures;          /* handshakes */
    const char *tls_cause;          /* of the last one: a constant text */

    struct rg_upstream *of_worker[]; /* by the worker's id, touched by that worker alone */
};

/* ---- the table; control thread ---- */

int rg_endpoints_create(struct rg_endpoints **ret, uint16_t workers);
void rg_endpoints_destroy(struct rg_endpoints *t); /* after workers and units; NULL is fine */
/* The workers that are told of changes; they outlive the table's use of them. NULL in it: none yet, or no more. */
void rg_endpoints_set_worker(struct rg_endpoints *t, uint16_t id, struct rg_worker *w);

/* Who resolves names. added: at once for those that there are. removed: nothing about it may be published any more. */
struct rg_endpoints_resolver {
    void (*added)(void *arg, struct rg_endpoint *e);
    void (*removed)(void *arg, struct rg_endpoint *e);
    void *arg;
};
void rg_endpoints_set_resolver(struct rg_endpoints *t, const struct rg_endpoints_resolver *r); /* NULL: nobody */

/* With a reference for the caller. Reads the files of TLS. -EINVAL with *fault (fields of the specification), or
 * -ENOMEM. */
int rg_endpoint_get(struct rg_endpoints *t, const struct rg_endpoint_spec *spec, struct rg_endpoint **ret,
                    struct rg_fault *fault);
void rg_endpoint_put(struct rg_endpoint *e);

/* Drops those that no name may lead to (link-local, where clouds keep their secrets, and what is no single machine);
 * returns how many stay. */
unsigned rg_endpoint_allowed(union rg_ip *list, unsigned n);
/* What its name has now; the port is filled in. n 0: it has none, or nobody could say; addresses that there are stay.
 */
int rg_endpoint_publish(struct rg_endpoint *e, const union rg_ip *list, unsigned n);
/* Frees what nobody uses any more, and logs what workers have found out. Ten times a second is often enough. */
void rg_endpoints_tick(struct rg_endpoints *t, uint64_t now_ms);
size_t rg_endpoints_count(const struct rg_endpoints *t);
/* The one after it; NULL: the first, and behind the last. In no order. */
const struct rg_endpoint *rg_endpoints_next(const struct rg_endpoints *t, const struct rg_endpoint *after);

/* ---- workers ---- */

static inline bool rg_endpoint_is_wanted(const struct rg_endpoint *e)
{
    return __atomic_load_n(&e->wanted, __ATOMIC_ACQUIRE);
}

static inline enum rg_endpoint_state rg_endpoint_state(const struct rg_endpoint *e)
{
    return (enum rg_endpoint_state)__atomic_load_n(&e->state, __ATOMIC_ACQUIRE);
}

/* It is left alone for now; true is told to all but one, who tries it when its time has come. */
bool rg_endpoint_is_down(struct rg_endpoint *e, uint64_t now_ms);
void rg_endpoint_failed(struct rg_endpoint *e, uint64_t now_ms);
void rg_endpoint_connected(struct rg_endpoint *e);
void rg_endpoint_tls_failed(struct rg_endpoint *e, const char *cause);

#endif
