/*
 * Carries small messages between the gateway and a replica on the same machine past TCP: what one end sends is put
 * straight into the receive queue of the other end.
 *
 * Two programs. `enter` (sock_ops, on the root of the cgroup tree, because the replica may run in any cgroup) sees
 * every TCP connection of the machine begin, and touches only those whose active end the gateway has marked. `redirect`
 * (sk_msg) runs for each message that one of their ends sends.
 *
 * It fails open: every path that can't decide leaves the message to TCP. The order of bytes is kept by one rule: once a
 * message has gone over TCP, all that follow it in that direction do, until the gateway's next request shows that it
 * has read them. The other order needs no care: a reader empties the queue of redirected messages before that of TCP,
 * and a redirected message is in the queue when its send returns.
 *
 * What the replica reads comes all by one way. Of a socket in the map, FIONREAD tells the redirected bytes only, and
 * servers rely on it: so a connection whose first request went over TCP never enters with its replica's end, and the
 * gateway sends no request on a marked connection that could not be redirected. Its own end may get both.
 *
 * Only whole words on the stack: to a process with CAP_BPF and without CAP_PERFMON, Linux 6.1 refuses a program that
 * writes a part of a stack slot which holds something already.
 */
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/sockmap.h"

#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#define FAMILY_V4 2
#define FAMILY_V6 10

/* Who a socket is. Entries go with their sockets. */
struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct rg_sockmap_end);
} ends SEC(".maps");

struct flow {
    __u64 ahead_gateway; /* what the gateway was charged since the replica last sent */
    __u64 ahead_replica; /* and the other way round */
    __u64 by_tcp;        /* not 0: the rest of this response goes over TCP */
    __u64 ending;        /* not 0: all responses do */
};

/* By id, which is the socket cookie of the gateway's end. Without its flow a connection goes over TCP, for good. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, RG_SOCKMAP_CONNECTIONS_MAX);
    __type(key, __u64);
    __type(value, struct flow);
} flows SEC(".maps");

/* A connection as both ends can name it. IPv4 is ::ffff:a.b.c.d, as a listener for both families has it. */
struct tuple {
    __u64 netns; /* the same addresses may exist in another network namespace */
    __u64 gateway[2], replica[2];
    __u64 ports;
};

/* Connections whose replica's end has not been established yet: a moment, on the same machine. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct tuple);
    __type(value, __u64);
} waiting SEC(".maps");

/* Both ends of each connection: id * 2 + side. */
struct {
    __uint(type, BPF_MAP_TYPE_SOCKHASH);
    __uint(max_entries, 2 * RG_SOCKMAP_CONNECTIONS_MAX);
    __type(key, __u64);
    __type(value, __u64);
} sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, RG_SOCKMAP_COUNT_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} counts SEC(".maps");

static __always_inline void count(enum rg_sockmap_count what)
{
    __u32 key = what;
    __u64 *n = bpf_map_lookup_elem(&counts, &key);

    if (n)
        __sync_fetch_and_add(n, 1); /* sk_msg runs where it may be preempted */
}

/* ---- a connection begins and ends ---- */

static __always_inline __u64 pair(__u32 first, __u32 second)
{
    return (__u64)first | (__u64)second << 32;
}

/*
 * Every field is read whatever the family is, and by READ_ONCE: from reads in branches the compiler makes one read of a
 * computed address, and the verifier refuses such addresses within the context.
 */
static __always_inline bool name(struct bpf_sock_ops *ops, bool ours, struct tuple *ret)
{
    __u64 family = READ_ONCE(ops->family);
    __u64 local_port = READ_ONCE(ops->local_port), remote_port = bpf_ntohl(READ_ONCE(ops->remote_port));
    __u64 local4 = READ_ONCE(ops->local_ip4), remote4 = READ_ONCE(ops->remote_ip4);
    __u64 local[2] = {pair(READ_ONCE(ops->local_ip6[0]), READ_ONCE(ops->local_ip6[1])),
                      pair(READ_ONCE(ops->local_ip6[2]), READ_ONCE(ops->local_ip6[3]))};
    __u64 remote[2] = {pair(READ_ONCE(ops->remote_ip6[0]), READ_ONCE(ops->remote_ip6[1])),
                       pair(READ_ONCE(ops->remote_ip6[2]), READ_ONCE(ops->remote_ip6[3]))};

    if (family == FAMILY_V4) {
        local[0] = remote[0] = 0;
        local[1] = pair(bpf_htonl(0xffff), (__u32)local4);
        remote[1] = pair(bpf_htonl(0xffff), (__u32)remote4);
    } else if (family != FAMILY_V6) {
        return false;
    }
    ret->netns = bpf_get_netns_cookie(ops);
    ret->gateway[0] = ours ? local[0] : remote[0];
    ret->gateway[1] = ours ? local[1] : remote[1];
    ret->replica[0] = ours ? remote[0] : local[0];
    ret->replica[1] = ours ? remote[1] : local[1];
    ret->ports = ours ? local_port << 32 | remote_port : remote_port << 32 | local_port;
    return true;
}

static __always_inline void enter_gateway(struct bpf_sock_ops *ops)
{
    struct bpf_sock *sk = ops->sk;
    struct rg_sockmap_end *end;
    struct tuple tuple = {};
    struct flow flow = {};
    __u64 id, key;

    end = sk ? bpf_sk_storage_get(&ends, sk, NULL, 0) : NULL;
    if (!end || end->id != 0 || !name(ops, true, &tuple))
        return;
    id = bpf_get_socket_cookie(ops);
    key = id * 2 + RG_SOCKMAP_GATEWAY;
    if (bpf_map_update_elem(&flows, &id, &flow, BPF_NOEXIST))
        return;
    if (bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG) ||
        bpf_sock_hash_update(ops, &sockets, &key, BPF_NOEXIST) || bpf_map_update_elem(&waiting, &tuple, &id, BPF_ANY)) {
        bpf_map_delete_elem(&flows, &id);
        return;
    }
    end->id = id;
}

static __always_inline void enter_replica(struct bpf_sock_ops *ops)
{
    struct rg_sockmap_end mine = {.side = RG_SOCKMAP_REPLICA};
    struct bpf_sock *sk = ops->sk;
    struct tuple tuple = {};
    __u64 *id, key;

    if (!sk || !name(ops, false, &tuple))
        return;
    id = bpf_map_lookup_elem(&waiting, &tuple);
    if (!id)
        return;
    mine.id = *id;
    bpf_map_delete_elem(&waiting, &tuple);
    if (!bpf_map_lookup_elem(&flows, &mine.id))
        return; /* ended meanwhile */
    if (!bpf_sk_storage_get(&ends, sk, &mine, BPF_SK_STORAGE_GET_F_CREATE))
        return;
    key = mine.id * 2 + RG_SOCKMAP_REPLICA;
    if (bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG) ||
        bpf_sock_hash_update(ops, &sockets, &key, BPF_NOEXIST))
        return;
    if (bpf_map_lookup_elem(&flows, &mine.id))
        count(RG_SOCKMAP_CONNECTIONS);
    else
        bpf_map_delete_elem(&sockets, &key); /* the first request was quicker, and has gone over TCP */
}

/*
 * An end that has sent or got a FIN loses, in the kernel, what it has not read of redirected messages when the other
 * FIN follows. With TCP it does not: so no response is redirected any more from the first FIN on.
 */
static __always_inline void change_state(struct bpf_sock_ops *ops)
{
    struct bpf_sock *sk = ops->sk;
    struct rg_sockmap_end *end = sk ? bpf_sk_storage_get(&ends, sk, NULL, 0) : NULL;
    __u64 id = end ? end->id : 0, state = READ_ONCE(ops->args[1]);
    struct flow *flow = id ? bpf_map_lookup_elem(&flows, &id) : NULL;

    if (!flow || state == BPF_TCP_ESTABLISHED)
        return;
    WRITE_ONCE(flow->ending, 1);
    if (end->side == RG_SOCKMAP_GATEWAY && state == BPF_TCP_CLOSE)
        bpf_map_delete_elem(&flows, &id);
}

SEC("sockops")
int enter(struct bpf_sock_ops *ops)
{
    switch (ops->op) {
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
        enter_gateway(ops);
        break;
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
        enter_replica(ops);
        break;
    case BPF_SOCK_OPS_STATE_CB:
        change_state(ops);
        break;
    default:
        break;
    }
    return 1;
}

/* ---- a message ---- */

/* May it go past TCP? It is charged then. */
static __always_inline bool admit(__u64 *ahead, __u64 size)
{
    __u64 charge = size + RG_SOCKMAP_MESSAGE_BYTES;

    if (size > RG_SOCKMAP_MESSAGE_MAX || READ_ONCE(*ahead) + charge > RG_SOCKMAP_AHEAD_MAX)
        return false;
    __sync_fetch_and_add(ahead, charge);
    return true;
}

static __always_inline bool send_past_tcp(struct sk_msg_md *msg, __u64 to)
{
    if (bpf_msg_redirect_hash(msg, &sockets, &to, BPF_F_INGRESS) != SK_PASS)
        return false;
    count(RG_SOCKMAP_REDIRECTED);
    return true;
}

/*
 * HTTP/1 takes turns: who sends has read what was sent to it. Of the gateway that is certain: it sends on a connection
 * that it knows to be unused, and a whole request at once. The kernel asks about all of it at once, too: it divides
 * only what needs more than its 17 fragments, and RG_SOCKMAP_MESSAGE_MAX takes 9 of the smallest.
 */
static __always_inline void send_request(struct sk_msg_md *msg, struct flow *flow, __u64 id)
{
    WRITE_ONCE(flow->ahead_replica, 0);
    WRITE_ONCE(flow->by_tcp, 0);
    if (admit(&flow->ahead_gateway, msg->size) && send_past_tcp(msg, id * 2 + RG_SOCKMAP_REPLICA))
        return;
    count(RG_SOCKMAP_BY_TCP);
    bpf_map_delete_elem(&flows, &id);
}

static __always_inline void send_response(struct sk_msg_md *msg, struct flow *flow, __u64 id)
{
    WRITE_ONCE(flow->ahead_gateway, 0);
    if (!READ_ONCE(flow->by_tcp) && !READ_ONCE(flow->ending) && admit(&flow->ahead_replica, msg->size) &&
        send_past_tcp(msg, id * 2 + RG_SOCKMAP_GATEWAY))
        return;
    count(RG_SOCKMAP_BY_TCP);
    WRITE_ONCE(flow->by_tcp, 1);
}

SEC("sk_msg")
int redirect(struct sk_msg_md *msg)
{
    struct bpf_sock *sk = msg->sk;
    struct rg_sockmap_end *end = sk ? bpf_sk_storage_get(&ends, sk, NULL, 0) : NULL;
    __u64 id = end ? end->id : 0;
    struct flow *flow = id ? bpf_map_lookup_elem(&flows, &id) : NULL;

    if (!flow)
        count(RG_SOCKMAP_BY_TCP);
    else if (end->side == RG_SOCKMAP_GATEWAY)
        send_request(msg, flow, id);
    else
        send_response(msg, flow, id);
    return SK_PASS;
}

char _license[] SEC("license") = "GPL";
