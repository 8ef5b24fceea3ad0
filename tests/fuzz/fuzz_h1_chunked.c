/* Chunked bodies: both modes agree however they are cut, and what is forwarded decodes to the same data. */
#include "tests/fuzz/fuzz_h1.h"

struct result {
    enum rg_chunked_event event;
    enum rg_reason reason;
    size_t used;
    struct h1_bytes out;
};

static struct result decode(enum rg_chunked_mode mode, const char *in, size_t len, struct h1_pieces pieces)
{
    struct result r = {.reason = RG_REASON_NONE};
    r.event = h1_dechunk(mode, in, len, pieces, &r.out, &r.used, &r.reason);
    return r;
}

static bool same_verdict(const struct result *a, const struct result *b)
{
    return a->event == b->event && a->reason == b->reason && a->used == b->used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *in = (const char *)data;
    uint64_t seed = fuzz_seed(in, size);
    struct h1_pieces whole = {&size, 1};
    struct result plain = decode(RG_CHUNKED_DATA, in, size, whole);
    struct result forward = decode(RG_CHUNKED_FORWARD, in, size, whole);
    H1_CHECK(plain.event == forward.event && plain.reason == forward.reason);
    if (plain.event == RG_CHUNKED_END) {
        H1_CHECK(plain.used == forward.used);
        h1_check_forward(&forward.out, &plain.out);
    }
    for (int i = 0; i < 3; i++) {
        size_t ends[FUZZ_PIECES_MAX];
        struct h1_pieces pieces = h1_random_pieces(&seed, size, ends, FUZZ_PIECES_MAX);
        struct result cut_plain = decode(RG_CHUNKED_DATA, in, size, pieces);
        struct result cut_forward = decode(RG_CHUNKED_FORWARD, in, size, pieces);
        H1_CHECK(cut_plain.event == plain.event && cut_plain.reason == plain.reason);
        H1_CHECK(cut_forward.event == forward.event && cut_forward.reason == forward.reason);
        if (plain.event == RG_CHUNKED_END) {
            H1_CHECK(same_verdict(&cut_plain, &plain) && same_verdict(&cut_forward, &forward));
            H1_CHECK(h1_bytes_eq(&cut_plain.out, &plain.out) && h1_bytes_eq(&cut_forward.out, &forward.out));
        }
        h1_bytes_fini(&cut_plain.out);
        h1_bytes_fini(&cut_forward.out);
    }
    h1_bytes_fini(&plain.out);
    h1_bytes_fini(&forward.out);
    return 0;
}
