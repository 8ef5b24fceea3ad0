/* Loads a configuration given as text, the way main does, and keeps what was said about it. */
#ifndef RG_TEST_CONFIG_FIXTURE_H
#define RG_TEST_CONFIG_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/options/options.h"

struct loaded {
    int rc;
    struct rg_settings settings;
    char *errors; /* everything that was written to err */
};

/* The file is named t.yaml in messages. flags may be NULL: --replica 9000 only, so that a text need not name a replica.
 */
struct loaded config_load(const char *text, size_t len, const struct rg_flags *flags);
void config_free(struct loaded *l);

/* Asserts that a text is good, with --replica 9000 given. */
struct rg_settings config_good(const char *text);

/* Asserts that a text is refused with exactly these errors. */
void config_bad(const char *text, const char *errors);
void config_bad_bytes(const char *text, size_t len, const char *errors);

int config_setup(void **state); /* a directory of its own */
int config_teardown(void **state);

#endif
