/*
 * The gateway's listening sockets: one per listener and worker, bound here or inherited from a service manager
 * (LISTEN_FDS), all in listen before any worker starts so that the steering program sees whole groups.
 *
 * Ownership: the descriptors belong to this set until a worker takes its own over (rg_listen_give); the file of a UNIX
 * socket that was bound here is removed by rg_listen_unlink. Thread: the control thread, before the workers start and
 * at the end.
 */
#ifndef RG_GATEWAY_LISTEN_H
#define RG_GATEWAY_LISTEN_H

#include <sys/stat.h>

#include "datapath/settings.h"

#define RG_LISTEN_ERROR_MAX 512

struct rg_listen_socket {
    struct rg_address address; /* as bound: a port of 0 is replaced by the one that the kernel chose */
    uint16_t group;            /* reuseport group for steering */
    bool steerable;            /* TCP, one socket per worker */
    bool inherited;            /* at least one descriptor came from outside */
    uint64_t borrowed; /* bit per worker: its descriptor came from outside, or shares the queue of one that did */
    bool owns_file;    /* a UNIX socket whose file was made here */
    dev_t dev;
    ino_t ino;
    int fds[RG_WORKERS_MAX]; /* -1: none, or taken over by its worker */
};

struct rg_listen_set {
    uint16_t n;
    uint16_t workers;
    uint16_t groups; /* steerable listeners */
    struct rg_listen_socket sockets[RG_LISTENERS_MAX];
};

/*
 * Only at a start: an address in use is waited for, up to a second for all listeners together, because a process that
 * was killed keeps its sockets a little longer than itself. Negative errno when a listener can't be opened; `why` then
 * names it (as --listen when it came by_flag), the cause and a remedy. The set is empty then.
 */
int rg_listen_open(struct rg_listen_set *set, const struct rg_settings *s, bool by_flag, char *why, size_t why_len);

/* Worker's descriptors, in the order of the listeners, for struct rg_worker_init. They stay the set's until
 * rg_listen_give. */
uint16_t rg_listen_of_worker(const struct rg_listen_set *set, uint16_t worker, int ret[RG_LISTENERS_MAX]);
/* Bit per listener: the worker's descriptor is of a socket that others hold too, and that outlives this process. */
uint32_t rg_listen_borrowed(const struct rg_listen_set *set, uint16_t worker);
void rg_listen_give(struct rg_listen_set *set, uint16_t worker);

void rg_listen_unlink(struct rg_listen_set *set); /* removes the files of UNIX sockets that are still ours */
void rg_listen_close(struct rg_listen_set *set);  /* what was not given away; an empty set is fine */

/* One listening socket for the control thread's own use (the admin endpoint), at once or not at all. A descriptor or a
 * negative errno. */
int rg_listen_single(const struct rg_address *address, char *why, size_t why_len);

void rg_address_format(const struct rg_address *a, char *out, size_t len); /* "1.2.3.4:80", "[::1]:80", "unix:/path" */

#endif
