/*
 * Who counts as one client, for limits by address. A client of IPv6 has a /64 to choose addresses from; one of IPv4 has
 * one address, however it is written.
 *
 * Thread: any; nothing is kept.
 */
#ifndef RG_BASE_CLIENT_H
#define RG_BASE_CLIENT_H

#include <netinet/in.h>

#include "datapath/base/str.h"

/*
 * Hot. What clients are told apart by: the bytes of an IPv4 address, the first 64 bits of an IPv6 one, with or without
 * a port behind it in the text; text that is no address as it is. A view, into `room` or of `client`.
 */
struct rg_str rg_client_network(struct rg_str client, struct in6_addr *room);

#endif
