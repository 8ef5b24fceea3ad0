/* See retry.h. */
#include "control/agent/retry.h"

#include <sys/random.h>

uint64_t rg_retry_jitter(uint64_t ms)
{
    uint32_t random = UINT32_MAX / 2;
    (void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
    return ms - ms / 4 + (ms / 2 * random >> 32);
}

uint64_t rg_retry_delay(unsigned failures, uint64_t first_ms, uint64_t most_ms)
{
    uint64_t ms = first_ms;
    while (failures-- > 0 && ms < most_ms)
        ms *= 2;
    return rg_retry_jitter(ms < most_ms ? ms : most_ms);
}
