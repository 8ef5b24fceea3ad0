/*
 * A perfect hash over the names of fields.def. A name is taken as three little-endian words of its lower-case bytes,
 * zero at the end. The slots are written down in fields.c; tests/unit/http/test_fields.c checks them against fields.def
 * and prints the table that fits when a field was added. Private to datapath/http. Thread: any (constant data).
 */
#ifndef RG_HTTP_FIELDS_TABLE_H
#define RG_HTTP_FIELDS_TABLE_H

#include <endian.h>

#include "datapath/http/http.h"

#define RG_FIELD_NAME_MAX   24 /* bytes that the words hold; the names of fields.def are shorter */
#define RG_FIELD_HASH_BITS  8
#define RG_FIELD_HASH_SLOTS (1 << RG_FIELD_HASH_BITS)

extern const uint64_t rg_field_hash_factor;
extern const uint8_t rg_field_slots[RG_FIELD_HASH_SLOTS];
extern const char rg_field_names[RG_FIELD_COUNT][RG_FIELD_NAME_MAX];

static inline unsigned rg_field_hash(uint64_t w0, uint64_t w1, uint64_t w2, uint64_t factor)
{
    uint64_t mixed = w0 ^ (w1 << 29 | w1 >> 35) ^ (w2 << 47 | w2 >> 17);
    return (unsigned)((mixed * factor) >> (64 - RG_FIELD_HASH_BITS));
}

static inline uint64_t rg_field_word(const char *padded, unsigned i)
{
    uint64_t w;
    memcpy(&w, padded + 8 * i, sizeof(w));
    return le64toh(w);
}

static inline uint8_t rg_field_by_words(uint64_t w0, uint64_t w1, uint64_t w2)
{
    uint8_t id = rg_field_slots[rg_field_hash(w0, w1, w2, rg_field_hash_factor)];
    const char *name = rg_field_names[id];
    bool same = rg_field_word(name, 0) == w0 && rg_field_word(name, 1) == w1 && rg_field_word(name, 2) == w2;
    return same ? id : (uint8_t)RG_FIELD_OTHER;
}

#endif
