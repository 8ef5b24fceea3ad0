/* What the HTTP/1 fuzz targets share: one input, cut at places that follow from its bytes. */
#ifndef RG_TESTS_FUZZ_H1_H
#define RG_TESTS_FUZZ_H1_H

#include "tests/conformance/h1_driver.h"

#define FUZZ_PIECES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline uint64_t fuzz_seed(const char *in, size_t len)
{
    uint64_t seed = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        seed = (seed ^ (unsigned char)in[i]) * UINT64_C(0x100000001b3);
    return seed;
}

/* The same verdict for the input cut anywhere; and the head's verdict depends on nothing behind it. */
void fuzz_message(struct h1_run *r, const char *in, size_t len);

#endif
