/*
 * The one definition of what the sockmap programs and the gateway share. Only whole words: see sockmap.bpf.c.
 * Compatibility: the layout belongs to one build; the programs are embedded in the gateway, so both sides always agree.
 */
#ifndef RG_BPF_SOCKMAP_H
#define RG_BPF_SOCKMAP_H

#include <linux/types.h>

#define RG_SOCKMAP_CONNECTIONS_MAX 65536 /* those beyond it go over TCP */

/*
 * What one side may have sent past TCP before the other side sends something. The kernel keeps no limit of its own on
 * this way; what is larger goes over TCP, which does, and so does all that follows it. docs/adr/0013-sockmap.md has the
 * measurements.
 */
#define RG_SOCKMAP_AHEAD_MAX     (128u << 10)
#define RG_SOCKMAP_MESSAGE_MAX   (32u << 10) /* of one message */
#define RG_SOCKMAP_MESSAGE_BYTES 1024u       /* what each message costs the kernel beside its bytes */

enum rg_sockmap_side { RG_SOCKMAP_GATEWAY, RG_SOCKMAP_REPLICA };

/* Of one socket, kept by the kernel as long as the socket lives. The gateway stores one before it connects. */
struct rg_sockmap_end {
    __u64 id;   /* the connection's, the same for both ends; 0: not established yet */
    __u64 side; /* enum rg_sockmap_side */
};

/* What happened, one counter each. RG_SOCKMAP_COUNTS(X) with X(ID, "family", "labels", "help"). */
#define RG_SOCKMAP_COUNTS(X)                                                                                          \
    X(CONNECTIONS, "sockmap_connections_total", "", "Connections to the replica of which both ends entered the map.") \
    X(REDIRECTED, "sockmap_messages_total", "way=\"redirected\"",                                                     \
      "Messages of connections with `replica.sockmap`: `redirected` past TCP; `tcp`: sent over TCP, because they "    \
      "were "                                                                                                         \
      "large, too much had been sent before them, or the other end is not in the map.")                               \
    X(BY_TCP, "sockmap_messages_total", "way=\"tcp\"", "")

enum rg_sockmap_count {
#define RG_SOCKMAP_X(id, family, labels, help) RG_SOCKMAP_##id,
    RG_SOCKMAP_COUNTS(RG_SOCKMAP_X)
#undef RG_SOCKMAP_X
        RG_SOCKMAP_COUNT_COUNT
};

#endif
