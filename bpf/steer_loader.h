/*
 * Loads the steering program and keeps its maps. Fails open: whatever goes wrong, the gateway runs on the kernel's hash.
 * Thread: control thread, before workers start; rows of rg_steer_row are written by their workers.
 */
#ifndef RG_BPF_STEER_LOADER_H
#define RG_BPF_STEER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/steer.h"

struct rg_steer;

enum rg_steer_mode { RG_STEER_MODE_HASH, RG_STEER_MODE_LOAD };

/*
 * Negative errno when the kernel or the rights don't allow it; `why` (may be NULL) then says so in words that an
 * operator can act on. *ret is untouched then.
 */
int rg_steer_create(struct rg_steer **ret, enum rg_steer_mode mode, unsigned workers, unsigned groups, char *why, size_t why_len);
void rg_steer_destroy(struct rg_steer *s);

/* Puts a listening socket (SO_REUSEPORT, already in listen) into group's slot of worker; the first one of a group also gets the program attached. */
int rg_steer_add(struct rg_steer *s, unsigned group, unsigned worker, int fd);

struct rg_steer_worker *rg_steer_row(struct rg_steer *s, unsigned worker);
uint64_t rg_steer_verdict_count(const struct rg_steer *s, enum rg_steer_verdict v);

#endif
