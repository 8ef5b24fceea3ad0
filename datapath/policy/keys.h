/*
 * The API keys of an artifact: hashes by which api-key-auth knows who may pass. Keys come and go without a deployment,
 * so the set outlives the policies that read it: the agent holds it, and each policy does.
 *
 * Thread: made, referenced and replaced by the control thread; looked into by workers, without a lock. A replaced table
 * is freed when no worker is inside a look-up any more, for which the control thread waits: some microseconds.
 */
#ifndef RG_POLICY_KEYS_H
#define RG_POLICY_KEYS_H

#include "datapath/base/str.h"

#define RG_KEY_HASH_LEN 32 /* SHA-256 */
#define RG_KEY_NAME_MAX 128

struct rg_key {
    uint8_t hash[RG_KEY_HASH_LEN];
    int64_t expires_ms; /* Unix time; 0: never */
    struct rg_str name; /* for the access record; cut to RG_KEY_NAME_MAX */
};

struct rg_key_set;

struct rg_key_set *rg_key_set_create(void); /* empty, one reference; NULL: no memory */
struct rg_key_set *rg_key_set_ref(struct rg_key_set *set);
void rg_key_set_unref(struct rg_key_set *set); /* NULL is fine */

/* From now on exactly these keys are let in. Copies. 0 or -ENOMEM (then the set is as before). */
int rg_key_set_replace(struct rg_key_set *set, const struct rg_key *keys, size_t n);
size_t rg_key_set_size(const struct rg_key_set *set); /* control thread */

/* 64 hexadecimal digits, as the control plane sends hashes. false: they are not. */
bool rg_key_hash_parse(struct rg_str hex, uint8_t ret[RG_KEY_HASH_LEN]);

enum rg_key_verdict { RG_KEY_UNKNOWN, RG_KEY_EXPIRED, RG_KEY_GOOD };

/* Worker `worker`'s thread. */
enum rg_key_verdict rg_key_set_check(struct rg_key_set *set, uint16_t worker, struct rg_str key, int64_t unix_ms);

#endif
