/*
 * guard_deployments [N]: N deployments (200) of one REST API to a gateway, as the store's thread does them: the API is
 * changed, deployed, fetched by the gateway, acknowledged, and looked at. For callgrind to count
 * (guard_deployments.py). Thread: main.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/artifact/artifact.h"
#include "control/platform/store_parts.h"
#include "datapath/base/assert.h"
#include "tests/unit/platform/store_fixture.h"

#define HELLO   API "/rest-apis/hello"
#define WARM_UP 30 /* until as many are kept as may be: the oldest goes with each new one */

void rg_guard_deployments(struct fixture *f, const struct rg_session *session, unsigned first, unsigned n);

static int check(const char *yaml, size_t len, struct rg_problems *problems, void *arg)
{
    struct rg_artifact *artifact = NULL;
    (void)arg;
    int r = rg_artifact_decode(yaml, len, &artifact, problems);
    rg_artifact_destroy(artifact);
    return r;
}

/* Each in a job of its own. */
static void begin(struct fixture *f)
{
    RG_ASSERT(rg_db_begin(&f->store->db) == 0);
}

static void end(struct fixture *f)
{
    RG_ASSERT(rg_db_commit(&f->store->db) == 0);
    f->now_ms++;
}

static void change(struct fixture *f, unsigned i)
{
    char body[1024];
    snprintf(body, sizeof(body),
             "{\"id\":\"hello\",\"displayName\":\"Hello\",\"context\":\"/hello\",\"version\":\"v1.0\",\"projectId\":"
             "\"default\",\"upstream\":{\"main\":{\"url\":\"http://127.0.0.1:9000\"}},\"policies\":[{\"name\":"
             "\"set-headers\",\"version\":\"v1\",\"params\":{\"response\":{\"headers\":[{\"name\":\"X-Revision\","
             "\"value\":\"%u\"}]}}}],\"operations\":[{\"name\":\"all\",\"request\":{\"method\":\"GET\",\"path\":"
             "\"/*\"}}]}",
             i);
    begin(f);
    RG_ASSERT(call(f, "PUT", HELLO, body) == 200);
    end(f);
}

static void deploy_one(struct fixture *f, const struct rg_session *session, unsigned i)
{
    struct operation op;
    change(f, i);
    begin(f);
    char *id = deploy(f, "hello", "edge");
    end(f);
    last_operation(f, &op);
    begin(f);
    RG_ASSERT(callf(f, "GET", NULL, "/api/internal/v1/apis/%s", op.artifact) == 200);
    end(f);
    begin(f);
    ack(f, session, &op, true);
    end(f);
    begin(f);
    RG_ASSERT(strcmp(status_of(f, "hello", id), "DEPLOYED") == 0);
    end(f);
    free(id);
    fixture_forget(f);
}

/* Not inlined, so that callgrind can switch counting on and off with it. */
__attribute__((noinline)) void rg_guard_deployments(struct fixture *f, const struct rg_session *session, unsigned first,
                                                    unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        deploy_one(f, session, i);
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200;
    struct rg_session session;
    struct fixture *f;
    RG_ASSERT(fixture_setup_on_disk((void **)&f) == 0);
    fixture_close(f);
    f->config.check = check;
    fixture_open(f);
    char *token = make_gateway(f, "edge");
    make_api(f, "hello");
    connect_as(f, token, "edge-1", &session);
    f->api_key = token;
    for (unsigned i = 0; i < WARM_UP; i++)
        deploy_one(f, &session, i);
    rg_guard_deployments(f, &session, WARM_UP, n);
    printf("deployments %u\n", n);
    free(token);
    return fixture_teardown((void **)&f);
}
