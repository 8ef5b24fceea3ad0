/* See fuzz_h1.h. */
#include "tests/fuzz/fuzz_h1.h"

static int32_t parse(struct h1_run *r, const char *in, size_t len, enum rg_reason *reason)
{
    struct rg_h1_resume resume = {0};
    const char *buf = h1_guard(2, in, len, r->guard_before);
    if (r->is_response)
        return rg_h1_parse_response(&resume, buf, len, &r->limits, r->fields, &r->res, reason);
    return rg_h1_parse_request(&resume, buf, len, &r->limits, r->fields, &r->req, reason);
}

static void check_cut(struct h1_run *r, const char *in, size_t len, uint64_t *seed, const struct h1_bytes *whole)
{
    size_t ends[FUZZ_PIECES_MAX];
    struct h1_bytes cut = {0};
    h1_run(r, in, len, h1_random_pieces(seed, len, ends, FUZZ_PIECES_MAX));
    h1_summary(r, &cut);
    H1_CHECK(h1_bytes_eq(whole, &cut));
    h1_bytes_fini(&cut);
}

/* A prefix of a good head is never refused, and a refused one is refused whatever follows. */
static void check_prefix(struct h1_run *r, const char *in, size_t len, uint64_t *seed)
{
    enum rg_reason reason = RG_REASON_NONE, reason_of_part = RG_REASON_NONE;
    int32_t n = parse(r, in, len, &reason);
    size_t part = h1_random_below(seed, len + 1);
    int32_t n_of_part = parse(r, in, part, &reason_of_part);
    if (n > 0)
        H1_CHECK(n_of_part == ((int32_t)part >= n ? n : 0));
    else if (n == 0)
        H1_CHECK(n_of_part == 0);
    else
        H1_CHECK(n_of_part == 0 || (n_of_part == -1 && reason_of_part == reason));
}

void fuzz_message(struct h1_run *r, const char *in, size_t len)
{
    uint64_t seed = fuzz_seed(in, len);
    struct h1_bytes whole = {0};
    h1_run_whole(r, in, len);
    h1_summary(r, &whole);
    for (int i = 0; i < 3; i++) {
        r->guard_before = i & 1;
        check_cut(r, in, len, &seed, &whole);
        check_prefix(r, in, len, &seed);
    }
    r->guard_before = false;
    h1_bytes_fini(&whole);
}
