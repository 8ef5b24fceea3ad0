/*
 * See keys.h. A table is open-addressed by the first bytes of the hash, which nobody can choose, and never changes.
 *
 * Replaced tables: a worker says that it is inside a look-up in a line of its own, the same for all sets, and reads the
 * pointer afterwards; the control thread changes the pointer and then waits until it has seen each worker outside. Both
 * sides are sequentially consistent, so that a worker which was not seen inside reads the new pointer.
 */
#include "datapath/policy/keys.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "datapath/base/assert.h"
#include "datapath/http/h1_chars.h"
#include "datapath/policy/digest.h"
#include "datapath/settings.h"

struct table {
    size_t n, mask;
    struct rg_key slots[]; /* names follow; a slot without a name is empty */
};

struct rg_key_set {
    unsigned refs; /* the control thread's */
    struct table *table;
};

static struct {
    _Alignas(64) uint32_t inside;
} workers[RG_WORKERS_MAX];

static size_t slot_of(const uint8_t hash[RG_KEY_HASH_LEN])
{
    uint64_t h;
    memcpy(&h, hash, sizeof h);
    return (size_t)h;
}

static size_t names_len(const struct rg_key *keys, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += 1 + (keys[i].name.len < RG_KEY_NAME_MAX ? keys[i].name.len : RG_KEY_NAME_MAX);
    return len;
}

static void put(struct table *t, const struct rg_key *key, char **names)
{
    size_t i = slot_of(key->hash) & t->mask, len = key->name.len < RG_KEY_NAME_MAX ? key->name.len : RG_KEY_NAME_MAX;
    while (t->slots[i].name.ptr && !rg_digest_eq(t->slots[i].hash, key->hash))
        i = (i + 1) & t->mask;
    t->slots[i] = *key;
    if (len > 0)
        memcpy(*names, key->name.ptr, len);
    t->slots[i].name = (struct rg_str){*names, len};
    *names += len + 1;
}

static struct table *make_table(const struct rg_key *keys, size_t n)
{
    size_t slots = 8;
    while (slots < 2 * n)
        slots *= 2;
    size_t bytes = sizeof(struct table) + slots * sizeof(struct rg_key);
    struct table *t = calloc(1, bytes + names_len(keys, n));
    if (!t)
        return NULL;
    char *names = (char *)t + bytes;
    t->n = n;
    t->mask = slots - 1;
    for (size_t i = 0; i < n; i++)
        put(t, &keys[i], &names);
    return t;
}

struct rg_key_set *rg_key_set_create(void)
{
    struct rg_key_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->refs = 1;
    set->table = make_table(NULL, 0);
    if (set->table)
        return set;
    free(set);
    return NULL;
}

struct rg_key_set *rg_key_set_ref(struct rg_key_set *set)
{
    set->refs++;
    return set;
}

void rg_key_set_unref(struct rg_key_set *set)
{
    if (!set || --set->refs > 0)
        return;
    free(set->table);
    free(set);
}

int rg_key_set_replace(struct rg_key_set *set, const struct rg_key *keys, size_t n)
{
    struct table *t = make_table(keys, n);
    if (!t)
        return -ENOMEM;
    struct table *old = __atomic_exchange_n(&set->table, t, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < RG_WORKERS_MAX; i++)
        while (__atomic_load_n(&workers[i].inside, __ATOMIC_SEQ_CST) != 0)
            sched_yield();
    free(old);
    return 0;
}

size_t rg_key_set_size(const struct rg_key_set *set)
{
    return set->table->n;
}

bool rg_key_hash_parse(struct rg_str hex, uint8_t ret[RG_KEY_HASH_LEN])
{
    if (hex.len != 2 * (size_t)RG_KEY_HASH_LEN)
        return false;
    for (size_t i = 0; i < RG_KEY_HASH_LEN; i++) {
        int high = rg_hex_value(hex.ptr[2 * i]), low = rg_hex_value(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static enum rg_key_verdict look_up(const struct table *t, const uint8_t hash[RG_KEY_HASH_LEN], int64_t unix_ms)
{
    for (size_t i = slot_of(hash) & t->mask; t->slots[i].name.ptr; i = (i + 1) & t->mask)
        if (rg_digest_eq(t->slots[i].hash, hash)) {
            int64_t expires_ms = t->slots[i].expires_ms;
            return expires_ms != 0 && expires_ms <= unix_ms ? RG_KEY_EXPIRED : RG_KEY_GOOD;
        }
    return RG_KEY_UNKNOWN;
}

enum rg_key_verdict rg_key_set_check(struct rg_key_set *set, uint16_t worker, struct rg_str key, int64_t unix_ms)
{
    uint8_t hash[RG_KEY_HASH_LEN];
    RG_ASSERT(worker < RG_WORKERS_MAX);
    if (!rg_digest(key, hash))
        return RG_KEY_UNKNOWN;
    __atomic_store_n(&workers[worker].inside, 1, __ATOMIC_SEQ_CST);
    enum rg_key_verdict verdict = look_up(__atomic_load_n(&set->table, __ATOMIC_SEQ_CST), hash, unix_ms);
    __atomic_store_n(&workers[worker].inside, 0, __ATOMIC_RELEASE);
    return verdict;
}
