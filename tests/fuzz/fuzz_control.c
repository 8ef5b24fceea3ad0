/*
 * What comes to the agent from outside, and from the disk: whatever the bytes, a message is refused with a reason or
 * has what its type must have, and a file of the state directory is refused, or comes out as it went in.
 */
#include <stdlib.h>

#include "control/agent/event.h"
#include "control/agent/state_file.h"

#define CHECK(cond)  \
    do {             \
        if (!(cond)) \
            abort(); \
    } while (0)

static void take_message(struct rg_str text)
{
    struct rg_event e;
    char why[RG_EVENT_WHY_MAX];
    if (rg_event_parse(text, &e, why) < 0) {
        CHECK(why[0]);
        return;
    }
    bool keys = e.type == RG_EVENT_KEY_CREATED || e.type == RG_EVENT_KEY_REVOKED;
    bool order = e.type == RG_EVENT_DEPLOYED || e.type == RG_EVENT_UNDEPLOYED;
    if (order || keys || e.type == RG_EVENT_DELETED)
        CHECK(rg_id_is_valid(rg_str_of(e.artifact_id)));
    if (order)
        CHECK(rg_id_is_valid(rg_str_of(e.deployment_id)) && e.performed_at[0] && e.kind < RG_KINDS);
    CHECK(!keys || json_is_object(e.payload));
    CHECK(e.type != RG_EVENT_CONNECTED || rg_id_is_valid(rg_str_of(e.gateway_id)));
    rg_event_fini(&e);
}

static void read_file(struct rg_str bytes)
{
    struct rg_state_deployment d;
    char why[RG_STATE_WHY_MAX] = "", *again;
    size_t len;
    json_t *value;
    if (rg_state_decode_json(bytes, "keys", &value, why) == 0)
        json_decref(value);
    if (rg_state_decode_deployment(bytes, &d, why) < 0) {
        CHECK(why[0]);
        return;
    }
    CHECK(rg_id_is_valid(rg_str_of(d.artifact_id)) && rg_id_is_valid(rg_str_of(d.deployment_id)));
    struct rg_state_deployment back;
    CHECK(rg_state_encode_deployment(&d, &again, &len) == 0);
    CHECK(rg_state_decode_deployment((struct rg_str){again, len}, &back, why) == 0);
    CHECK(rg_str_eq(back.text, d.text) && back.performed_ns == d.performed_ns && back.deployed == d.deployed);
    free(again);
}

/* Checksums keep a fuzzer out of what is behind them: it gets a file whose outer part is right as well. */
static void read_sealed(struct rg_str line)
{
    json_error_t error;
    char *file;
    size_t len;
    json_t *value = json_loadb(line.ptr, line.len, 0, &error);
    if (!value)
        return;
    if (rg_state_encode_json("deployment", value, &file, &len) == 0) {
        read_file((struct rg_str){file, len});
        free(file);
    }
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rg_str bytes = {(const char *)data, size};
    int64_t ns;
    take_message(bytes);
    read_file(bytes);
    read_sealed(bytes);
    if (rg_instant_parse(bytes, &ns)) {
        char text[RG_INSTANT_TEXT_MAX];
        int64_t back;
        rg_instant_format(ns, text);
        CHECK(rg_instant_parse(rg_str_of(text), &back) && back / 1000000 == ns / 1000000);
    }
    return 0;
}
