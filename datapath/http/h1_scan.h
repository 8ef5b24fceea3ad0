/*
 * Fast scans over the bytes of a head: 16 at a time with SSE2 (every x86-64 has it), byte by byte elsewhere.
 * No scan reads a byte at or after end. Private to datapath/http. Thread: any.
 */
#ifndef RG_HTTP_H1_SCAN_H
#define RG_HTTP_H1_SCAN_H

#include "datapath/base/assert.h"
#include "datapath/http/fields_table.h"
#include "datapath/http/h1_chars.h"

#if defined(__x86_64__) && !defined(RG_NO_SIMD)
#include <emmintrin.h>
#define RG_SCAN_SSE2 1
#endif

static inline const char *rg_scan_class(const char *p, const char *end, unsigned classes)
{
    while (p < end && rg_char_is(*p, classes))
        p++;
    return p;
}

#ifdef RG_SCAN_SSE2

/* Bit i: byte i may not stand in a field value (a control other than HTAB, or DEL). */
static inline unsigned rg_scan_not_value16(__m128i v)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    __m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

/*
 * The first byte at or after p that may not stand in a field value, or end. from: the start of readable memory; with 16
 * bytes between it and end, the last bytes are looked at by one load that ends at end.
 */
static inline const char *rg_scan_value(const char *from, const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        unsigned stop = rg_scan_not_value16(_mm_loadu_si128((const __m128i *)(const void *)p));
        if (stop)
            return p + __builtin_ctz(stop);
    }
    if (RG_LIKELY(end - from >= 16) && p < end) {
        unsigned stop = rg_scan_not_value16(_mm_loadu_si128((const __m128i *)(const void *)(end - 16)));
        stop >>= 16 - (end - p);
        return stop ? p + __builtin_ctz(stop) : end;
    }
    return rg_scan_class(p, end, RG_CHAR_VALUE);
}

/* Bytes i to i+15 are n times 0xff (n <= 16), then zeros, at offset 16 - n. */
static const uint8_t rg_scan_keep[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                         255, 255, 255, 255, 255, 255, 255, 255};

static inline __m128i rg_scan_lower16(__m128i v)
{
    __m128i upper = _mm_cmpgt_epi8(_mm_add_epi8(v, _mm_set1_epi8(0x7f - 'Z')), _mm_set1_epi8(0x7f - 26));
    return _mm_or_si128(v, _mm_and_si128(upper, _mm_set1_epi8(0x20)));
}

/* Bit i: byte i is a lower-case letter, a digit or '-': what nearly all field names are made of. */
static inline unsigned rg_scan_plain_name16(__m128i lower)
{
    __m128i alpha = _mm_cmpgt_epi8(_mm_add_epi8(lower, _mm_set1_epi8(0x7f - 'z')), _mm_set1_epi8(0x7f - 26));
    __m128i digit = _mm_cmpgt_epi8(_mm_add_epi8(lower, _mm_set1_epi8(0x7f - '9')), _mm_set1_epi8(0x7f - 10));
    __m128i dash = _mm_cmpeq_epi8(lower, _mm_set1_epi8('-'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(alpha, digit), dash));
}

static inline unsigned rg_scan_colon16(__m128i v)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(':')));
}

static inline __m128i rg_scan_keep16(__m128i v, unsigned n)
{
    return _mm_and_si128(v, _mm_loadu_si128((const __m128i *)(const void *)(rg_scan_keep + 16 - n)));
}

static inline uint64_t rg_scan_low64(__m128i v)
{
    return (uint64_t)_mm_cvtsi128_si64(v);
}

static inline uint64_t rg_scan_high64(__m128i v)
{
    return (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(v, v));
}

/* Names of 16 to 31 bytes; first: the first 16, in lower case. */
static inline size_t rg_scan_long_name(const char *p, const char *end, __m128i first, uint8_t *id)
{
    if (end - p < 32)
        return 0;
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));
    unsigned colon = rg_scan_colon16(v);
    if (!colon)
        return 0;
    unsigned n = (unsigned)__builtin_ctz(colon);
    v = rg_scan_lower16(v);
    if (~rg_scan_plain_name16(v) & ((1u << n) - 1))
        return 0;
    v = rg_scan_keep16(v, n);
    *id = rg_scan_high64(v) ? RG_FIELD_OTHER
                            : rg_field_by_words(rg_scan_low64(first), rg_scan_high64(first), rg_scan_low64(v));
    return 16 + n;
}

/*
 * Length of a field name made of letters, digits and '-' that ends in a colon, and which field it is. 0: not such a
 * name, or too near to end; the caller then looks byte by byte.
 */
static inline size_t rg_scan_name(const char *p, const char *end, uint8_t *id)
{
    if (end - p < 16)
        return 0;
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    unsigned colon = rg_scan_colon16(v);
    v = rg_scan_lower16(v);
    unsigned other = ~rg_scan_plain_name16(v);
    if (RG_UNLIKELY(!colon))
        return other & 0xffff ? 0 : rg_scan_long_name(p, end, v, id);
    unsigned n = (unsigned)__builtin_ctz(colon);
    if (RG_UNLIKELY(other & ((1u << n) - 1)))
        return 0;
    v = rg_scan_keep16(v, n);
    *id = rg_field_by_words(rg_scan_low64(v), rg_scan_high64(v), 0);
    return n;
}

#else

static inline const char *rg_scan_value(const char *from, const char *p, const char *end)
{
    (void)from;
    return rg_scan_class(p, end, RG_CHAR_VALUE);
}

static inline size_t rg_scan_name(const char *p, const char *end, uint8_t *id)
{
    (void)p;
    (void)end;
    (void)id;
    return 0;
}

#endif
#endif
