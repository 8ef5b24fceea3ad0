/* Settings with listeners of a test's own, and the set that is opened from them. */
#ifndef RG_TEST_LISTEN_FIXTURE_H
#define RG_TEST_LISTEN_FIXTURE_H

#include "control/gateway/listen.h"

extern char fixture_dir[64];
extern struct rg_settings settings;
extern struct rg_listen_set set;
extern char why[RG_LISTEN_ERROR_MAX];

int fixture_setup(void **state); /* no listener yet, three workers */
int fixture_teardown(void **state);

/* A port of 0, which no configuration may have, lets the kernel choose one. */
void parse(const char *text, struct rg_address *ret);
void add(const char *text);      /* a listener */
void add_unix(const char *name); /* one in fixture_dir */

uint16_t port_of(int fd);
int connect_to(const struct rg_address *a); /* -1: it can't be connected to */

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
