/* A store with a clock that the test sets, calls as an operator and as a gateway, and what came of them. */
#ifndef RG_TEST_STORE_FIXTURE_H
#define RG_TEST_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "control/platform/api.h"
#include "control/platform/sessions.h"
#include "control/platform/store.h"

#define API      "/api/v0.9"
#define INTERNAL "/api/internal/v1"

struct fixture {
    struct rg_store *store;
    struct rg_store_config config;
    int64_t now_ms, set_ms;    /* time passes by now_ms; the wall clock was set by set_ms */
    char dir[256];             /* of a store on the disk; "": in memory */
    struct rg_effects effects; /* of everything since the last fixture_forget */
    unsigned status;           /* of the last call */
    json_t *body;              /* NULL: none, or no JSON */
    char *bytes;               /* the body as it came */
    size_t n_bytes;
    char location[RG_API_LOCATION];
    const char *allow;
    const char *token;   /* of operators: the administrator's unless a test sets another */
    const char *api_key; /* of the gateway that calls */
    const char *accept;
};

/* For cmocka: *state is a struct fixture. */
int fixture_setup(void **state);
int fixture_setup_on_disk(void **state);
int fixture_teardown(void **state);

void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);
void fixture_forget(struct fixture *f); /* effects */

/* Answers the status. */
unsigned call(struct fixture *f, const char *method, const char *path, const char *body);
unsigned callf(struct fixture *f, const char *method, const char *body, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
const char *text_of(const json_t *object, const char *path); /* "a.b.0.c"; fails the test where there is none */
const char *got(struct fixture *f, const char *path);        /* of the last body */
const char *body_bytes(struct fixture *f);
void assert_refused(struct fixture *f, unsigned status, const char *code); /* the last call was */

/* Effects of a kind since the last forget; the n-th one, as JSON (free it). */
size_t count_effects(struct fixture *f, enum rg_effect_kind kind);
json_t *effect_json(struct fixture *f, enum rg_effect_kind kind, size_t n);

/* Gateways: makes one, gives its token (free it). */
char *make_gateway(struct fixture *f, const char *id);
void connect_as(struct fixture *f, const char *token, const char *instance, struct rg_session *ret);
void disconnect(struct fixture *f, struct rg_session *session);
int send_frame(struct fixture *f, const struct rg_session *session, const char *text);

/* A RestApi that can be deployed, and its deployment: returns the deployment's id (free it). */
void make_api(struct fixture *f, const char *id);
char *deploy(struct fixture *f, const char *api, const char *gateway);
const char *status_of(struct fixture *f, const char *api, const char *deployment); /* of the deployment, now */

/* What the gateway was told last of `api`: the operation that an acknowledgement is of. */
struct operation {
    char type[64], artifact[64], deployment[64], performed_at[64];
};
void last_operation(struct fixture *f, struct operation *ret);
void ack(struct fixture *f, const struct rg_session *session, const struct operation *op, bool success);

/* A gateway (edge-1), its connection, an API (hello). */
struct stage {
    char *token;
    struct rg_session session;
};
void set_up(struct fixture *f, struct stage *s);
/* The gateway's answer to what it was told last. */
void answer(struct fixture *f, const struct stage *s, struct operation *ret, bool success);
void assert_status(struct fixture *f, const char *deployment, const char *wanted); /* of one of hello's */

#endif
