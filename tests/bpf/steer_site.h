/*
 * A place to watch steering at work: a network namespace, a reuseport group of listening sockets with the program
 * attached, clients that connect over loopback, and rows that the test writes as workers would. One thread plays every
 * part, so each connection can be followed from its SYN to the listener that got it.
 */
#ifndef RG_TEST_STEER_SITE_H
#define RG_TEST_STEER_SITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/steer_loader.h"

#define SITE_CLIENTS_MAX 400
#define SITE_NOBODY      UINT32_MAX /* no worker was selected: the kernel's hash decided */
#define MS               1000000ull

struct site {
    struct rg_steer *steer;
    unsigned workers;
    unsigned sockets;
    int family;
    uint16_t port;
    int listener[RG_STEER_WORKERS_MAX];
    int client[SITE_CLIENTS_MAX];
    int served[SITE_CLIENTS_MAX];
    unsigned n_clients;
    unsigned n_served;
    uint64_t seen[RG_STEER_VERDICT_COUNT];
};

/* Enters a fresh namespace with loopback up. 77 when this process may not, or may not load BPF programs; the reason is
 * printed. */
int site_enter_namespace(void);

int site_listen(int family, uint16_t *port); /* port 0: a free one, and *port says which */
void site_open(struct site *s, enum rg_steer_mode mode, unsigned workers, unsigned sockets, int family);
void site_close(struct site *s);
void site_drop_connections(struct site *s);

uint64_t site_now(void);
struct rg_steer_worker *site_row(struct site *s, unsigned worker);
void site_set_turn(struct site *s, unsigned worker, uint64_t age_ns); /* its turn began that long ago; 0: it sleeps */

/* Connects one client. Says which worker's `assigned` went up by one, and that no other did. */
uint32_t site_connect(struct site *s);
uint32_t site_connect_to(struct site *s, int family, uint16_t from_port);
/* Waits for one connection on any listener, accepts it and counts it as the worker would. */
uint32_t site_accept(struct site *s);
unsigned site_accept_all_of(struct site *s, unsigned worker); /* what waits there now */
void site_await(struct site *s, unsigned worker, unsigned n); /* waits until n wait there */
/* site_connect and site_accept; the socket must be that of the selected worker. */
uint32_t site_serve_one(struct site *s);

/* Every verdict since the last call (or open): exactly these, and none of the others. */
void site_expect(struct site *s, const uint64_t want[RG_STEER_VERDICT_COUNT]);
#define SITE_EXPECT(s, ...) site_expect((s), (const uint64_t[RG_STEER_VERDICT_COUNT]){__VA_ARGS__})
/* The same, where chance decides how connections divide among some of them: reads without judging. */
void site_read_verdicts(struct site *s, uint64_t ret[RG_STEER_VERDICT_COUNT]);

#endif
