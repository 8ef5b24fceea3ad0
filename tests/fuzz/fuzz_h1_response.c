/* Responses with their bodies, as the answer to GET and HEAD, with and without a WebSocket that was asked for. */
#include "tests/fuzz/fuzz_h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct h1_run r;
    r.is_response = true;
    r.limits = H1_DEFAULT_LIMITS;
    for (int i = 0; i < 4; i++) {
        r.request_method = i & 1 ? RG_METHOD_HEAD : RG_METHOD_GET;
        r.upgrade_asked = i & 2;
        fuzz_message(&r, (const char *)data, size);
    }
    return 0;
}
