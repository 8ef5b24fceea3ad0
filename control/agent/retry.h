/* How long to wait before the next try. Thread: any. */
#ifndef RG_AGENT_RETRY_H
#define RG_AGENT_RETRY_H

#include <stdint.h>

/* first_ms, doubled `failures` times, at most most_ms, give or take a quarter, so that many who failed together do not
 * come back together. */
uint64_t rg_retry_delay(unsigned failures, uint64_t first_ms, uint64_t most_ms);
/* Give or take a quarter. */
uint64_t rg_retry_jitter(uint64_t ms);

#endif
