/*
 * Who is connected and listens: gateways' connections and the streams of Server-Sent Events. Carries out effects. No
 * sockets: members send and close by the functions that they bring along.
 *
 * Owner: a member is a field of its connection, which removes it before it is freed. Thread: the loop's alone.
 */
#ifndef RG_PLATFORM_HUB_H
#define RG_PLATFORM_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "control/platform/effects.h"
#include "datapath/base/list.h"
#include "datapath/base/str.h"

struct rg_hub_member {
    char key[RG_UUID_LEN + 1];   /* gateway, or organization of an event stream */
    char token[RG_UUID_LEN + 1]; /* that it came with */
    bool stream;                 /* of events; else a connection of a gateway */
    /* One whole message. May remove the member (a queue that is full closes its connection). */
    void (*send)(struct rg_hub_member *member, struct rg_str text);
    /* Asks for the end; the member is removed then or later. */
    void (*close)(struct rg_hub_member *member, const char *reason);
    struct rg_list link; /* the hub's */
};

struct rg_hub;

struct rg_hub_limits {
    unsigned connections;         /* gateways' at once; 0: 10,000 */
    unsigned of_gateway;          /* of these, one gateway's; 0: all */
    unsigned streams;             /* of events at once; 0: 100 */
    unsigned connects_per_minute; /* of one client (client.h); 0: 1,000 */
};

int rg_hub_create(struct rg_hub **ret, const struct rg_hub_limits *limits);
void rg_hub_destroy(struct rg_hub *hub); /* members were removed */

/* Whether this client may try to connect now: counted before its token is looked at. */
bool rg_hub_admits(struct rg_hub *hub, struct rg_str peer, uint64_t now_ms);

enum rg_hub_verdict { RG_HUB_ADDED, RG_HUB_FULL, RG_HUB_GATEWAY_FULL };
enum rg_hub_verdict rg_hub_add(struct rg_hub *hub, struct rg_hub_member *member);
void rg_hub_remove(struct rg_hub *hub, struct rg_hub_member *member); /* not a member: nothing happens */

/* Carries out what is for members; true: the sweeper is to be woken. */
bool rg_hub_apply(struct rg_hub *hub, const struct rg_effects *effects);

size_t rg_hub_connections(const struct rg_hub *hub);
size_t rg_hub_streams(const struct rg_hub *hub);

#endif
