/*
 * What a replica of HTTP/2 sends, whole or in halves, to a worker in the simulated world: frames in, through the
 * session and its streams, into the exchanges of clients that ask in one of a few ways. The first byte says which; the
 * replica's SETTINGS are there already, unless it says otherwise. The world asserts that everything is joined and given
 * back.
 */
#include "fuzz_h2.h"

static const char hello[] = FUZZ_H2_FRAME FUZZ_H2_ACK;

enum { REPLICA_CLOSES = 32, THREE_CLIENTS = 64 };

static const char *const clients[] = {
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[sizeof hello + FUZZ_H2_MAX];
    struct sim_choices choices = {0};
    uint32_t n;
    if (size < 2 || size > FUZZ_H2_MAX)
        return 0;
    struct sim_script script = fuzz_h2_script(data, size, hello, sizeof hello - 1, bytes, &n);
    script.client = clients[data[0] & FUZZ_H2_OTHER];
    script.replica = bytes;
    script.replica_len = n;
    script.h2c = true;
    script.replica_closes = data[0] & REPLICA_CLOSES;
    if (data[0] & THREE_CLIENTS)
        script.clients = 3;
    sim_play(&script, &choices);
    return 0;
}
