/*
 * The replica's status as an Internet Computer replica gives it (CBOR, self-describe tag, HTTP 200 whatever the health)
 * and the switch of that health. Thread: any; the switch is one atomic of the server.
 */
#include "bench/origin/origin.h"

#include <string.h>

static const char *const HEALTH_NAMES[RG_HEALTH_COUNT] = {
    [RG_HEALTHY] = "healthy",
    [RG_UNHEALTHY] = "unhealthy",
    [RG_STARTING] = "starting",
    [RG_WAITING_FOR_CERTIFIED_STATE] = "waiting_for_certified_state",
    [RG_WAITING_FOR_ROOT_DELEGATION] = "waiting_for_root_delegation",
    [RG_CERTIFIED_STATE_BEHIND] = "certified_state_behind",
    [RG_DOWN] = "down",
};

const char *rg_health_name(int health)
{
    return HEALTH_NAMES[health];
}

enum { CBOR_UINT = 0, CBOR_BYTES = 2, CBOR_TEXT = 3, CBOR_MAP = 5, ROOT_KEY_SIZE = 133 };

/* Head of a CBOR item, RFC 8949 section 3: the shortest form. */
static void cbor_head(FILE *out, unsigned major, uint64_t n)
{
    unsigned bytes = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < UINT64_C(0x100000000) ? 4 : 8;
    unsigned info = bytes == 0 ? (unsigned)n : bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27;
    putc((int)(major << 5 | info), out);
    for (unsigned i = bytes; i-- > 0;)
        putc((int)(n >> (8 * i) & 0xff), out);
}

static void cbor_text(FILE *out, const char *text)
{
    cbor_head(out, CBOR_TEXT, strlen(text));
    fputs(text, out);
}

/* As long as a BLS public key in DER, but made up: nothing is signed with it. */
static void cbor_root_key(FILE *out)
{
    cbor_text(out, "root_key");
    cbor_head(out, CBOR_BYTES, ROOT_KEY_SIZE);
    for (int i = 0; i < ROOT_KEY_SIZE; i++)
        putc(i == 0 ? 0x30 : i == 1 ? 0x81 : i == 2 ? 0x82 : (i * 37) & 0xff, out);
}

static void write_status(FILE *out, int health)
{
    fputs("\xd9\xd9\xf7", out); /* tag 55799 */
    cbor_head(out, CBOR_MAP, 5);
    cbor_root_key(out);
    cbor_text(out, "impl_version");
    cbor_text(out, RG_VERSION);
    cbor_text(out, "impl_hash");
    cbor_text(out, "ringgate-origin");
    cbor_text(out, "replica_health_status");
    cbor_text(out, HEALTH_NAMES[health]);
    cbor_text(out, "certified_height");
    cbor_head(out, CBOR_UINT, 1000000);
}

enum rg_step rg_status_handle(struct rg_client *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return RG_STEP_RESET;
    write_status(out, c->thread->server->health);
    fclose(out);
    return rg_send_text(c, 200, "application/cbor", text, n);
}

static int health_of(struct rg_view name)
{
    for (int i = 0; i < RG_HEALTH_COUNT; i++)
        if (rg_view_is(name, HEALTH_NAMES[i]))
            return i;
    return -1;
}

/* PUT or POST sets, GET shows. */
enum rg_step rg_control_handle(struct rg_client *c)
{
    struct rg_server *s = c->thread->server;
    const struct rg_request *req = &c->task.req;
    struct rg_view name;
    char text[64];

    if (rg_view_is(req->method, "PUT") || rg_view_is(req->method, "POST")) {
        int health = rg_query_get(req->query, "status", &name) ? health_of(name) : -1;
        if (health < 0)
            return rg_send_short(c, 400, "status must be healthy, unhealthy, down or a state of a replica\n");
        s->health = health;
        rg_server_wake(s);
    } else if (!rg_view_is(req->method, "GET") && !req->is_head) {
        return rg_send_short(c, 405, "GET shows, PUT sets\n");
    }
    snprintf(text, sizeof(text), "%s\n", HEALTH_NAMES[s->health]);
    return rg_send_short(c, 200, text);
}
