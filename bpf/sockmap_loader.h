/*
 * Loads the programs that carry small messages between the gateway and a local replica past TCP (sockmap.bpf.c), and
 * tries out whether this kernel does it well. Nothing is pinned: programs, link and maps go with the process.
 * Thread: the control thread.
 */
#ifndef RG_BPF_SOCKMAP_LOADER_H
#define RG_BPF_SOCKMAP_LOADER_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/sockmap.h"

struct rg_sockmap;

/*
 * Loads and attaches. Negative errno when the kernel or the rights don't allow it; `why` then says so in words that an
 * operator can act on. *ret is untouched then.
 */
int rg_sockmap_create(struct rg_sockmap **ret, char *why, size_t why_len);
/* Connections that are still in the map go over TCP from here on. NULL is fine. */
void rg_sockmap_destroy(struct rg_sockmap *s);

/*
 * The self-test, with connections of its own over the loopback: data, wake-ups, the count of waiting bytes, the end of
 * a connection, a reader that does not read. Some milliseconds; at most a few seconds on a kernel that loses wake-ups.
 * Negative errno: this kernel can't be trusted with it; `why` says what went wrong. What it did is not counted.
 */
int rg_sockmap_try(struct rg_sockmap *s, char *why, size_t why_len);

/* The map of marks: storing a struct rg_sockmap_end for a socket before it connects lets it in. */
int rg_sockmap_marks_fd(const struct rg_sockmap *s);
int rg_sockmap_mark(const struct rg_sockmap *s, int fd);

/* Since create, without those of the self-test. */
uint64_t rg_sockmap_get(const struct rg_sockmap *s, enum rg_sockmap_count what);

#endif
