/*
 * A client of an open session that has the keys and seals whatever it likes: nothing is read beyond its end, what comes
 * out is what stood in records of data and nothing else, and what is held or said because of it stays bounded.
 *
 * The first byte says how the records are cut, with its highest bit that they are those of TLS 1.2. Then for each: its
 * type, how long it is, its content. With the type's highest bit, the content ends with type and padding of its own.
 */
#include <openssl/obj_mac.h>

#include "datapath/tls/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUTPUT_MAX (64u * 1024)

static struct rg_bufs bufs;
static struct rg_metrics metrics;
static struct rg_tls_env env;

static void prepare(struct rg_tls_records *r, bool is_13, const char *in, const char *out)
{
    *r = (struct rg_tls_records){.is_13 = is_13, .explicit_nonce = !is_13};
    RG_ASSERT(rg_tls_suite_find(env.tools, NID_aes_128_gcm, NID_sha256, &r->suite));
    memcpy(r->in.secret, in, r->suite.secret);
    memcpy(r->out.secret, out, r->suite.secret);
    RG_ASSERT(rg_tls_half_rekey(&r->in, &r->suite, false) && rg_tls_half_rekey(&r->out, &r->suite, true));
}

static struct rg_tls *open_session(bool is_13, struct rg_tls_records *peer)
{
    static const char client[32] = "client", server[32] = "server";
    struct rg_tls *t = rg_tls_accept(&env, 0, NULL);
    RG_ASSERT(t);
    t->records = rg_pool_get(&env.records);
    RG_ASSERT(t->records);
    prepare(t->records, is_13, client, server);
    prepare(peer, is_13, server, client);
    t->state = RG_TLS_OPEN;
    return t;
}

static bool is_over(enum rg_tls_event event)
{
    return event == RG_TLS_FAILED || event == RG_TLS_END;
}

/* false: the session is over. */
static bool receive(struct rg_tls *t, struct rg_input *in, const char *bytes, uint32_t n, uint32_t step)
{
    for (uint32_t at = 0; at < n; at += step) {
        struct rg_buf *b = rg_buf_get_small(&bufs);
        RG_ASSERT(b);
        b->len = n - at < step ? n - at : step;
        memcpy(b->data, bytes + at, b->len);
        rg_input_push(&t->net, b);
        if (is_over(rg_tls_run(t, in)))
            return false;
    }
    return true;
}

/* The session answers now and then, and so tells its own new keys. */
static void answer(struct rg_tls *t)
{
    struct rg_output out = {0};
    RG_ASSERT(rg_output_copy(&out, &bufs, "answer", 6));
    RG_ASSERT(rg_tls_seal(t, &out));
    RG_ASSERT(t->wire.bytes < OUTPUT_MAX);
    rg_output_clear(&t->wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rg_input in = {0};
    struct rg_tls_records peer;
    char record[RG_TLS_OVERHEAD + 256];
    uint32_t sent = 0;
    if (!env.tools) {
        rg_bufs_init(&bufs, 4u << 20);
        rg_tls_env_init(&env, &bufs, &metrics, 0);
        rg_tls_env_equip(&env);
    }
    if (size < 1)
        return 0;
    uint32_t step = (data[0] & 0x7f) + 1u;
    struct rg_tls *t = open_session(!(data[0] & 0x80), &peer);
    bool alive = true;
    for (size_t at = 1; alive && size - at >= 2;) {
        uint8_t type = data[at], n = data[at + 1];
        at += 2;
        n = size - at < n ? (uint8_t)(size - at) : n;
        struct iovec iov = {(void *)(uintptr_t)(data + at), n};
        RG_ASSERT(rg_tls_record_make(&peer, (enum rg_tls_type)(type & 0x80 ? 0 : type), &iov, n, record));
        sent += n;
        at += n;
        alive = receive(t, &in, record, rg_tls_record_size(&peer, n), step);
        if (alive && t->records->in.sequence == 0) /* it has obeyed a KeyUpdate */
            RG_ASSERT(rg_tls_half_update(&peer.out, &peer.suite, true));
        if (alive && n % 4 == 0)
            answer(t);
        RG_ASSERT(t->wire.bytes < OUTPUT_MAX && t->net.bytes == 0);
    }
    RG_ASSERT(in.bytes <= sent);
    rg_tls_half_fini(&peer.in);
    rg_tls_half_fini(&peer.out);
    rg_tls_destroy(t);
    rg_input_clear(&in);
    RG_ASSERT(bufs.small.used == 0 && bufs.bulk.used == 0 && env.records.used == 0);
    return 0;
}
