/*
 * Loads the steering program and keeps its maps. Fails open: whatever goes wrong, the gateway runs on the kernel's
 * hash. Thread: control thread, before workers start; rows of rg_steer_row are written by their workers.
 */
#ifndef RG_BPF_STEER_LOADER_H
#define RG_BPF_STEER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/steer.h"

struct rg_steer;

enum rg_steer_mode { RG_STEER_MODE_HASH, RG_STEER_MODE_LOAD, RG_STEER_MODE_NEAR };

/*
 * Negative errno when the kernel or the rights don't allow it; `why` (may be NULL) then says so in words that an
 * operator can act on. *ret is untouched then.
 */
int rg_steer_create(struct rg_steer **ret, enum rg_steer_mode mode, unsigned workers, unsigned groups, char *why,
                    size_t why_len);

/* Empties the groups: a program that outlives this, with its sockets, leaves every choice to the kernel. NULL is fine.
 */
void rg_steer_destroy(struct rg_steer *s);

/*
 * Puts a listening socket (SO_REUSEPORT, already in listen) into group's slot of worker; the first one of a group also
 * gets the program attached. A socket that takes the place of one that was shut down is added in the same way.
 * -EOPNOTSUPP: not TCP (a UNIX socket has nothing to steer). -EINVAL: not listening, no SO_REUSEPORT, or no such slot.
 * -EBUSY: a process that still runs steers the socket. Its program has been replaced by then, and the kernel's hash
 * decides in that group: it has to call rg_steer_destroy before it passes its sockets on.
 */
int rg_steer_add(struct rg_steer *s, unsigned group, unsigned worker, int fd);

/* The worker's row, valid until rg_steer_destroy; NULL when there is no such worker. */
struct rg_steer_worker *rg_steer_row(struct rg_steer *s, unsigned worker);

/* Connections that got this verdict since create, in all groups. */
uint64_t rg_steer_verdict_count(const struct rg_steer *s, enum rg_steer_verdict v);

#endif
