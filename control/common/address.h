/*
 * Addresses as operators write them: `80`, `127.0.0.1:80`, `[::]:80`, `unix:/path`, and for a replica also
 * `http://...` and `h2c://...`. Numeric only, apart from `localhost`: nothing here asks a resolver, so nothing here
 * waits. Thread: any; no state is kept.
 */
#ifndef RG_COMMON_ADDRESS_H
#define RG_COMMON_ADDRESS_H

#include "datapath/settings.h"

enum rg_address_use {
    RG_ADDRESS_LISTEN,  /* a port alone means every address of both families */
    RG_ADDRESS_LOCAL,   /* a port alone means 127.0.0.1: for what must not be open to the world by accident */
    RG_ADDRESS_REPLICA, /* as LOCAL, and http://ADDR and h2c://ADDR are understood */
};

/* Why an address was refused, in the words of a configuration error. */
struct rg_address_error {
    const char *wanted;
    char hint[160]; /* a corrected address; "" when there is none that is surely meant */
};

#define RG_ADDRESS_TEXT_MAX 128

/* Views, not C strings. On failure *ret is untouched. ret->text gets the canonical form: 127.0.0.1:80, [::]:80,
 * unix:/path. */
bool rg_address_parse(struct rg_str text, enum rg_address_use use, struct rg_address *ret,
                      struct rg_address_error *why);

/* What rg_address_parse understands for this use, for messages and documentation. */
const char *rg_address_wanted(enum rg_address_use use);

/* Compares what is bound or connected to, not how it was written. */
bool rg_address_equal(const struct rg_address *a, const struct rg_address *b);

bool rg_address_is_loopback(const struct rg_address *a);

/* Two listening sockets that can't both be bound: equal, or one of them is of all addresses and has the same port. */
bool rg_address_overlaps(const struct rg_address *a, const struct rg_address *b);

/* A connect to target surely arrives at a socket that listens there, on this machine. Looks at its interfaces when the
 * addresses alone don't tell. */
bool rg_address_reaches(const struct rg_address *listening, const struct rg_address *target);

/* CIDR of either family; an address alone is a prefix of full length. Bits beyond the length must be zero. */
bool rg_prefix_parse(struct rg_str text, struct rg_prefix *ret, struct rg_address_error *why);
const char *rg_prefix_wanted(void);
bool rg_prefix_equal(const struct rg_prefix *a, const struct rg_prefix *b);
void rg_prefix_format(const struct rg_prefix *prefix, char *buf, size_t len);

#endif
