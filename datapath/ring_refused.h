/*
 * Why the kernel refused a ring, in words that lead to the remedy: the same errno comes from a setting of the machine,
 * from a container's filter and from an old kernel. Pure but for rg_ring_system_read. Thread: any; cold.
 */
#ifndef RG_RING_REFUSED_H
#define RG_RING_REFUSED_H

#include <stddef.h>
#include <stdint.h>

/* What tells the causes apart. */
struct rg_ring_system {
    char release[65]; /* of the kernel, as uname says it */
    int disabled;     /* kernel.io_uring_disabled; -1: the kernel has no such setting (before 6.6) */
    uint64_t memlock; /* RLIMIT_MEMLOCK in bytes; UINT64_MAX: none */
};

void rg_ring_system_read(struct rg_ring_system *ret);

/* One sentence and what to do, for the negative errno of setting a ring up. */
void rg_ring_refused_text(char *to, size_t size, int err, const struct rg_ring_system *system);

#endif
