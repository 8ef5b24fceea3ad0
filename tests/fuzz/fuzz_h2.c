/*
 * What a client of HTTP/2 sends, whole or in halves, to a worker in the simulated world: frames in, through the
 * session, streams and exchanges, to a replica that answers in one of a few ways. The first byte says which; the
 * preface and SETTINGS are there already, unless it says otherwise. The world asserts that everything is joined and
 * given back.
 */
#include "fuzz_h2.h"

static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" FUZZ_H2_FRAME FUZZ_H2_ACK;

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
    static char bytes[sizeof hello + FUZZ_H2_MAX];
    struct sim_choices choices = {0};
    uint32_t n;
    if (size < 1 || size > FUZZ_H2_MAX)
        return 0;
    struct sim_script script = fuzz_h2_script(data, size, hello, sizeof hello - 1, bytes, &n);
    if (n == 0)
        return 0;
    script.client = bytes;
    script.client_len = n;
    script.http2 = true;
    script.replica = replicas[data[0] & FUZZ_H2_OTHER];
    script.replica_closes = (data[0] & FUZZ_H2_OTHER) == 2;
    sim_play(&script, &choices);
    return 0;
}
