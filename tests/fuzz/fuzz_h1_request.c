/* Requests with their bodies: ordinary limits, then small ones. */
#include "tests/fuzz/fuzz_h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct h1_run r;
    r.limits = H1_DEFAULT_LIMITS;
    r.framing_options.body_bytes = 0;
    fuzz_message(&r, (const char *)data, size);
    r.limits = (struct rg_h1_limits){
        .head_bytes = 200, .field_bytes = 40, .target_bytes = 20, .fields = 4, .allow_underscore = true};
    r.framing_options.body_bytes = 100;
    fuzz_message(&r, (const char *)data, size);
    return 0;
}
