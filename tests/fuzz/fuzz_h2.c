/*
 * What a client of HTTP/2 sends, whole or in halves, to a worker in the simulated world: frames in, through the
 * session, streams and exchanges, to a replica that answers in one of a few ways. The first byte says which; the
 * preface and SETTINGS are there already, unless it says otherwise. The world asserts that everything is joined and
 * given back.
 */
#include <stdint.h>
#include <string.h>

#include "tests/sim/sim.h"

#define INPUT_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                            "\0\0\0\x04\0\0\0\0\0"
                            "\0\0\0\x04\x01\0\0\0\0";

static const char *const replicas[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ("HTTP/1.1 103 Early Hints\r\n\r\n"
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
     "x: y\r\n\r\n"),
    "HTTP/1.1 200 OK\r\n\r\nhello",
    "",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[sizeof hello + INPUT_MAX];
    struct sim_choices choices = {0};
    size_t n = 0;
    if (size < 1 || size > INPUT_MAX)
        return 0;
    uint8_t how = data[0];
    if (!(how & 8)) {
        n = sizeof hello - 1;
        memcpy(bytes, hello, n);
    }
    memcpy(bytes + n, data + 1, size - 1);
    n += size - 1;
    if (n == 0)
        return 0;
    struct sim_script script = {.client = bytes,
                                .client_len = (uint32_t)n,
                                .replica = replicas[how & 3],
                                .replica_closes = (how & 3) == 2,
                                .in_halves = how & 4,
                                .naps = how & 16 ? 20 : 0,
                                .clients = 1,
                                .http2 = true,
                                .prefix = UINT32_MAX};
    sim_play(&script, &choices);
    return 0;
}
