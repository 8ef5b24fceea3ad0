/*
 * The ring that carries access records from one worker to the control thread.
 *
 * head and tail count bytes since the beginning and never wrap (2^64); the index is the count modulo the size. A record
 * lies contiguous: when it would cross the end, a filler covers the rest and the record starts at index 0. The producer
 * owns head, the consumer owns tail; each publishes with release and reads the other's with acquire, and keeps a copy
 * of what it last saw, so that the common case touches no cache line of the other side.
 */
#include "datapath/access_log.h"

#include <stdlib.h>

#define STRINGS    15
#define STRING_MAX 4096
#define ALIGNMENT  8
#define CACHE_LINE 64
#define FILLER     UINT32_MAX
#define FIXED_LEN  offsetof(struct rg_access_record, peer) /* everything before the first string */

struct slot {
    uint32_t size; /* of the whole slot with its strings, a multiple of ALIGNMENT; or FILLER */
    uint16_t lens[STRINGS];
    unsigned char fixed[FIXED_LEN];
};

#define SLOT_MAX (sizeof(struct slot) + STRINGS * STRING_MAX + ALIGNMENT)

/* Twice the largest record, so that an empty ring takes any record wherever its head stands. */
#define RING_MIN ((size_t)128 * 1024)
_Static_assert(RING_MIN >= 2 * SLOT_MAX, "a record must fit into an empty ring");
_Static_assert(_Alignof(struct slot) <= ALIGNMENT, "slots are aligned");

struct rg_access_ring {
    size_t mask;
    unsigned char *bytes;
    struct {
        uint64_t head; /* atomic; written here only */
        uint64_t tail_seen;
    } producer __attribute__((aligned(CACHE_LINE)));
    struct {
        uint64_t tail; /* atomic; written here only */
        uint64_t head_seen;
        uint32_t taken; /* size of the record that the caller holds; 0: none */
    } consumer __attribute__((aligned(CACHE_LINE)));
};

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) & ~(to - 1);
}

struct rg_access_ring *rg_access_ring_create(size_t bytes)
{
    size_t size = RING_MIN;
    while (size < bytes && size <= SIZE_MAX / 4)
        size *= 2;
    struct rg_access_ring *ring = aligned_alloc(CACHE_LINE, sizeof(*ring));
    if (ring == NULL)
        return NULL;
    *ring = (struct rg_access_ring){.mask = size - 1};
    ring->bytes = aligned_alloc(CACHE_LINE, size);
    if (ring->bytes == NULL) {
        free(ring);
        return NULL;
    }
    return ring;
}

void rg_access_ring_destroy(struct rg_access_ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->bytes);
    free(ring);
}

/* Finds room for need contiguous bytes. NULL: full. *ret_head is the head after the filler, if one was needed. */
static struct slot *reserve(struct rg_access_ring *ring, size_t need, uint64_t *ret_head)
{
    uint64_t head = ring->producer.head;
    size_t size = ring->mask + 1;
    size_t index = (size_t)head & ring->mask;
    size_t filler = size - index < need ? size - index : 0;
    if (head + filler + need - ring->producer.tail_seen > size) {
        ring->producer.tail_seen = __atomic_load_n(&ring->consumer.tail, __ATOMIC_ACQUIRE);
        if (head + filler + need - ring->producer.tail_seen > size)
            return NULL;
    }
    if (filler != 0) /* aligned slots leave room for at least the size field */
        memcpy(ring->bytes + index, &(uint32_t){FILLER}, sizeof(uint32_t));
    *ret_head = head + filler;
    return (struct slot *)(void *)(ring->bytes + ((size_t)*ret_head & ring->mask));
}

bool rg_access_ring_put(struct rg_access_ring *ring, const struct rg_access_record *record)
{
    const struct rg_str strings[STRINGS] = {
        record->peer,     record->method,     record->target,      record->host,        record->user_agent,
        record->referer,  record->request_id, record->traceparent, record->tls_version, record->tls_cipher,
        record->tls_name, record->unit,       record->route,       record->policy,      record->upstream};
    uint16_t lens[STRINGS];
    size_t need = sizeof(struct slot);
    for (unsigned i = 0; i < STRINGS; i++) {
        lens[i] = (uint16_t)(strings[i].len < STRING_MAX ? strings[i].len : STRING_MAX);
        need += lens[i];
    }
    need = round_up(need, ALIGNMENT);

    uint64_t head;
    struct slot *slot = reserve(ring, need, &head);
    if (slot == NULL)
        return false;
    slot->size = (uint32_t)need;
    memcpy(slot->lens, lens, sizeof(lens));
    memcpy(slot->fixed, record, FIXED_LEN);
    char *out = (char *)(slot + 1);
    for (unsigned i = 0; i < STRINGS; i++) {
        if (lens[i] != 0)
            memcpy(out, strings[i].ptr, lens[i]);
        out += lens[i];
    }
    __atomic_store_n(&ring->producer.head, head + need, __ATOMIC_RELEASE);
    return true;
}

/* The oldest record, fillers skipped. NULL: empty. */
static const struct slot *oldest(struct rg_access_ring *ring)
{
    uint64_t tail = ring->consumer.tail;
    if (tail == ring->consumer.head_seen) {
        ring->consumer.head_seen = __atomic_load_n(&ring->producer.head, __ATOMIC_ACQUIRE);
        if (tail == ring->consumer.head_seen)
            return NULL;
    }
    size_t index = (size_t)tail & ring->mask;
    uint32_t size;
    memcpy(&size, ring->bytes + index, sizeof(size));
    if (size == FILLER) { /* published together with the record behind it */
        __atomic_store_n(&ring->consumer.tail, tail + (ring->mask + 1 - index), __ATOMIC_RELEASE);
        index = 0;
    }
    return (const struct slot *)(const void *)(ring->bytes + index);
}

bool rg_access_ring_take(struct rg_access_ring *ring, struct rg_access_record *ret)
{
    rg_access_ring_next(ring);
    const struct slot *slot = oldest(ring);
    if (slot == NULL)
        return false;
    memcpy(ret, slot->fixed, FIXED_LEN);
    struct rg_str *const strings[STRINGS] = {&ret->peer,        &ret->method,     &ret->target,     &ret->host,
                                             &ret->user_agent,  &ret->referer,    &ret->request_id, &ret->traceparent,
                                             &ret->tls_version, &ret->tls_cipher, &ret->tls_name,   &ret->unit,
                                             &ret->route,       &ret->policy,     &ret->upstream};
    const char *in = (const char *)(slot + 1);
    for (unsigned i = 0; i < STRINGS; i++) {
        *strings[i] = (struct rg_str){in, slot->lens[i]};
        in += slot->lens[i];
    }
    ring->consumer.taken = slot->size;
    return true;
}

void rg_access_ring_next(struct rg_access_ring *ring)
{
    __atomic_store_n(&ring->consumer.tail, ring->consumer.tail + ring->consumer.taken, __ATOMIC_RELEASE);
    ring->consumer.taken = 0;
}
