/*
 * PROXY headers: a verdict depends on nothing behind the header, and every beginning of one leads to it. What is taken
 * fits into its limits.
 */
#include "datapath/http/proxy_header.h"
#include "tests/fuzz/fuzz_h1.h"

static enum rg_proxy_verdict parse(const char *in, size_t len, struct rg_proxy_header *h)
{
    *h = (struct rg_proxy_header){0};
    return rg_proxy_parse(h1_guard(0, in, len, false), len, h);
}

static bool is_open(enum rg_proxy_verdict v)
{
    return v == RG_PROXY_UNSURE || v == RG_PROXY_MORE;
}

static void check_taken(const char *in, const struct rg_proxy_header *h)
{
    struct rg_proxy_header alone;
    H1_CHECK(h->version == 1 || h->version == 2);
    H1_CHECK(h->length <= (h->version == 1 ? RG_PROXY_V1_MAX : RG_PROXY_V2_MAX));
    H1_CHECK(parse(in, h->length, &alone) == RG_PROXY_TAKEN && memcmp(&alone, h, sizeof alone) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *in = (const char *)data;
    struct rg_proxy_header whole, part;
    enum rg_proxy_verdict verdict = parse(in, size, &whole);
    if (verdict == RG_PROXY_TAKEN)
        check_taken(in, &whole);
    /* Byte by byte, where it matters: once settled it stays so, and is what the whole gives. */
    size_t most = size < 300 ? size : 300;
    enum rg_proxy_verdict before = RG_PROXY_UNSURE;
    for (size_t n = 0; n <= most; n++) {
        enum rg_proxy_verdict v = parse(in, n, &part);
        H1_CHECK(is_open(before) || v == before);
        H1_CHECK(before != RG_PROXY_MORE || (v != RG_PROXY_UNSURE && v != RG_PROXY_ABSENT));
        H1_CHECK(is_open(v) || v == verdict);
        before = v;
    }
    return 0;
}
