/*
 * What a replica of HTTP/2 sends, whole or in halves, to a worker in the simulated world: frames in, through the
 * session and its streams, into the exchanges of clients that ask in one of a few ways. The first byte says which; the
 * replica's SETTINGS are there already, unless it says otherwise. The world asserts that everything is joined and given
 * back.
 */
#include <stdint.h>
#include <string.h>

#include "tests/sim/sim.h"

#define INPUT_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char hello[] = "\0\0\0\x04\0\0\0\0\0"
                            "\0\0\0\x04\x01\0\0\0\0";

static const char *const clients[] = {
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[sizeof hello + INPUT_MAX];
    struct sim_choices choices = {0};
    size_t n = 0;
    if (size < 2 || size > INPUT_MAX)
        return 0;
    uint8_t how = data[0];
    if (!(how & 8)) {
        n = sizeof hello - 1;
        memcpy(bytes, hello, n);
    }
    memcpy(bytes + n, data + 1, size - 1);
    n += size - 1;
    struct sim_script script = {.client = clients[how & 3],
                                .replica = bytes,
                                .replica_len = (uint32_t)n,
                                .h2c = true,
                                .replica_closes = how & 32,
                                .in_halves = how & 4,
                                .naps = how & 16 ? 20 : 0,
                                .clients = how & 64 ? 3 : 1,
                                .prefix = UINT32_MAX};
    sim_play(&script, &choices);
    return 0;
}
