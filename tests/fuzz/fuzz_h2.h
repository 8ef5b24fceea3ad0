/* What fuzz_h2 and fuzz_h2c share: how their input becomes the bytes of the side that speaks HTTP/2. */
#ifndef RG_FUZZ_H2_H
#define RG_FUZZ_H2_H

#include <stdint.h>
#include <string.h>

#include "tests/sim/sim.h"

#define FUZZ_H2_MAX   16384                  /* bytes of input */
#define FUZZ_H2_FRAME "\0\0\0\x04\0\0\0\0\0" /* SETTINGS, empty */
#define FUZZ_H2_ACK   "\0\0\0\x04\x01\0\0\0\0"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bits of the first byte; the two lowest choose the other side. */
enum { FUZZ_H2_OTHER = 3, FUZZ_H2_IN_HALVES = 4, FUZZ_H2_NO_HELLO = 8, FUZZ_H2_NAPS = 16 };

/* A script of what both targets take out of the first byte; bytes is what is behind it, after the hello. */
static inline struct sim_script fuzz_h2_script(const uint8_t *data, size_t size, const char *hello, size_t hello_len,
                                               char *bytes, uint32_t *ret_len)
{
    uint8_t how = data[0];
    size_t n = how & FUZZ_H2_NO_HELLO ? 0 : hello_len;
    memcpy(bytes, hello, n);
    memcpy(bytes + n, data + 1, size - 1);
    *ret_len = (uint32_t)(n + size - 1);
    return (struct sim_script){
        .in_halves = how & FUZZ_H2_IN_HALVES, .naps = how & FUZZ_H2_NAPS ? 20 : 0, .clients = 1, .prefix = UINT32_MAX};
}

#endif
