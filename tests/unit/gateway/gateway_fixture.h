/* A gateway on a temporary configuration, with workers and steering played by fakes. */
#ifndef RG_TEST_GATEWAY_FIXTURE_H
#define RG_TEST_GATEWAY_FIXTURE_H

#include "control/gateway/gateway.h"
#include "fake_steer.h"
#include "fake_worker.h"

#define REPLICA "replica: {address: \"unix:/nowhere/replica.sock\", health: {path: \"off\"}}\n"

extern char fixture_dir[64], fixture_config[96];
extern struct rg_flags fixture_flags;
extern struct rg_gateway gateway;
extern char *text; /* the last report or answer */

int fixture_setup(void **state);
int fixture_teardown(void **state); /* ends the gateway and checks that nothing is left of it */

void write_config(const char *more); /* workers, listeners and admin, and this */
void start_gateway(void);            /* as main does it, up to the control loop */
struct fake_worker *fake(uint16_t id);
FILE *report(void); /* a stream into text, for the test to close */
int reload(void);   /* rg_gateway_reload with its report in text */
/* The status of the admin endpoint's answer; its body is in text. */
uint16_t ask(enum rg_method method, const char *path, const char *query, const char *body);

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
