/*
 * The addresses of an endpoint, in the order of the resolver, what connects have found out about each, and which one is
 * next.
 *
 * The first one is taken from the family that the resolver has put first, in turn. One that failed is left alone for a
 * while, and so is its family when the other one has served in its stead; when the time has come, one connect tries it.
 * An exchange whose connect failed goes on with the other family, and with each address before it gives up, those that
 * are left alone last: a wrong verdict must not make an outage.
 *
 * Lifetime: made by the control thread; the list never changes once it is published, a new one takes over what is known
 * (endpoint.h has when the old one is freed). Thread: the functions for workers are for all of them at the same time.
 */
#ifndef RG_ADDRESSES_H
#define RG_ADDRESSES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/reach.h"

#define RG_ADDRESSES_MAX 32 /* of a name; more are not used. As many as there are bits in rg_addresses_tried */

union rg_ip { /* with the port */
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct rg_addresses_item {
    union rg_ip ip;
    struct rg_reach reach;
};

struct rg_addresses {
    struct rg_addresses *older;  /* waits to be freed; the control thread's */
    uint64_t epoch;              /* workers that have come so far do not read it any more */
    uint32_t serial;             /* of the lists of one endpoint; from 1 */
    unsigned n;                  /* at least 1 */
    struct rg_reach families[2]; /* IPv4, IPv6 */
    struct rg_addresses_item list[];
};

/* What an exchange has tried in vain. Zero: nothing. */
struct rg_addresses_tried {
    uint32_t serial; /* of the list that `failed` is about */
    uint32_t failed; /* a bit for each */
    uint8_t family;  /* of the last one that failed */
};

/* ---- control thread ---- */

/* n: from 1 to RG_ADDRESSES_MAX. before: those that it takes the place of; NULL: none. NULL: no memory. */
struct rg_addresses *rg_addresses_create(const union rg_ip *list, unsigned n, const struct rg_addresses *before);
bool rg_addresses_are(const struct rg_addresses *a, const union rg_ip *list, unsigned n);

/* ---- workers ---- */

bool rg_addresses_has(const struct rg_addresses *a, const union rg_ip *ip);
/* For the next connect. turn: counts them, so that addresses that are equally good take turns. */
const union rg_ip *rg_addresses_next(struct rg_addresses *a, const struct rg_addresses_tried *tried, uint32_t turn,
                                     uint64_t now_ms);
/* Whether there is one that was not tried. usable: and that is not left alone. */
bool rg_addresses_any_left(const struct rg_addresses *a, const struct rg_addresses_tried *tried, bool usable,
                           uint64_t now_ms);
bool rg_addresses_all_down(const struct rg_addresses *a, uint64_t now_ms);
/* ip: need not be among them any more. */
void rg_addresses_failed(struct rg_addresses *a, struct rg_addresses_tried *tried, const union rg_ip *ip,
                         uint64_t now_ms);
void rg_addresses_connected(struct rg_addresses *a, const struct rg_addresses_tried *tried, const union rg_ip *ip,
                            uint64_t now_ms);

#endif
