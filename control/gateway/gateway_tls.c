/*
 * Certificates and ticket keys while the gateway runs: files that change are read again, keys grow old. What is made of
 * them replaces the settings' store, like any new settings; what can't be used changes nothing.
 * Thread: the control thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/gateway/certificates.h"
#include "control/gateway/gateway.h"
#include "datapath/base/log.h"

#define LOOK_MS 1000 /* between two looks at the files */

/* ---- the store ---- */

static void keys_for(const struct rg_gateway *g, const struct rg_settings *s, struct rg_tls_keys *ret)
{
    *ret = g->tls.keys;
    ret->lifetime_s = s->ticket_lifetime_ms / 1000;
}

int rg_gateway_make_store(const struct rg_gateway *g, const struct rg_settings *s, struct rg_tls_store **ret)
{
    struct rg_tls_keys keys;
    keys_for(g, s, &keys);
    int r = rg_certificates_load(s, g->n_workers, &keys, ret);
    rg_tls_keys_wipe(&keys);
    return r;
}

int rg_gateway_load_certificates(struct rg_gateway *g)
{
    struct rg_settings *s = &g->current->settings;
    int r = rg_tls_key_make(&g->tls.keys.list[0]);
    if (r < 0) {
        rg_error("OpenSSL has no random numbers for the keys of session tickets");
        return r;
    }
    g->tls.keys.n = 1;
    g->tls.keys_since_ms = rg_now_ms();
    rg_gateway_note_files(g, s);
    return rg_gateway_make_store(g, s, &s->tls);
}

static void replace_store(struct rg_gateway *g, struct rg_tls_store *store)
{
    struct rg_settings_box *box = calloc(1, sizeof(*box));
    if (!box) {
        rg_tls_store_destroy(store);
        return;
    }
    box->settings = *rg_gateway_settings(g);
    box->settings.tls = store;
    rg_gateway_publish(g, box);
}

/* ---- files that change ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x100000001b3u + (value >> 32);
}

/* What tells a file from an earlier one of that name. A missing one is a state like any other. */
static uint64_t add_file(uint64_t hash, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return mix(hash, 1);
    hash = mix(mix(hash, (uint64_t)st.st_ino), (uint64_t)st.st_dev);
    hash = mix(mix(hash, (uint64_t)st.st_size), (uint64_t)st.st_mtim.tv_sec);
    hash = mix(mix(hash, (uint64_t)st.st_mtim.tv_nsec), (uint64_t)st.st_ctim.tv_sec);
    return mix(hash, (uint64_t)st.st_ctim.tv_nsec);
}

static uint64_t add_pair(uint64_t hash, const struct rg_certificate_settings *c)
{
    hash = add_file(add_file(hash, c->cert), c->key);
    return c->ocsp[0] ? add_file(hash, c->ocsp) : hash;
}

static uint64_t stamp_of(const struct rg_settings *s)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        const struct rg_tls_settings *tls = &s->listeners[i].tls;
        for (unsigned j = 0; j < tls->n_certificates; j++)
            hash = add_pair(hash, &tls->certificates[j]);
        if (tls->n_certificates > 0 && tls->client_ca[0])
            hash = add_file(hash, tls->client_ca);
    }
    return s->ticket_keys_on ? add_file(hash, s->ticket_keys) : hash;
}

/* Before they are read: what changes meanwhile is seen at the next look. */
void rg_gateway_note_files(struct rg_gateway *g, const struct rg_settings *s)
{
    g->tls.stamp = g->tls.seen = stamp_of(s);
}

static void read_again(struct rg_gateway *g)
{
    struct rg_tls_store *store = NULL;
    int r = rg_gateway_make_store(g, rg_gateway_settings(g), &store);
    if (r < 0) {
        g->metrics.values[RG_CM_CERTIFICATES_FAILED]++;
        rg_error("certificates or ticket keys have changed and can't be used, those that were loaded stay");
        return;
    }
    replace_store(g, store);
    g->metrics.values[RG_CM_CERTIFICATES_LOADED]++;
    rg_info("certificates loaded again generation=%" PRIu64, rg_gateway_settings(g)->generation);
}

/* Files are replaced one after the other: they are read when nothing has changed since the look before. */
static void look_at_files(struct rg_gateway *g)
{
    uint64_t stamp = stamp_of(rg_gateway_settings(g));
    bool settled = stamp == g->tls.seen;
    g->tls.seen = stamp;
    if (!settled || stamp == g->tls.stamp)
        return;
    g->tls.stamp = stamp;
    read_again(g);
}

/* ---- keys that grow old ---- */

/* The old one still opens what it has sealed, until that has expired. */
static void renew_keys(struct rg_gateway *g)
{
    struct rg_tls_keys keys;
    struct rg_tls_store *store = NULL;
    struct rg_tls_key fresh;
    if (rg_tls_key_make(&fresh) < 0)
        return;
    g->tls.keys.list[1] = g->tls.keys.list[0];
    g->tls.keys.list[0] = fresh;
    g->tls.keys.n = 2;
    g->tls.keys_since_ms = rg_now_ms();
    keys_for(g, rg_gateway_settings(g), &keys);
    if (rg_tls_store_rekey(&store, rg_gateway_settings(g)->tls, &keys) == 0) {
        replace_store(g, store);
        rg_debug("session tickets have a new key");
    }
    rg_tls_keys_wipe(&keys);
    explicit_bzero(&fresh, sizeof(fresh));
}

void rg_gateway_tick_tls(struct rg_gateway *g)
{
    const struct rg_settings *s = rg_gateway_settings(g);
    uint64_t now = rg_now_ms();
    if (!s->tls || g->phase != RG_PHASE_SERVING || now < g->tls.next_look_ms)
        return;
    g->tls.next_look_ms = now + LOOK_MS;
    look_at_files(g);
    if (!s->ticket_keys_on && now - g->tls.keys_since_ms >= rg_gateway_settings(g)->ticket_lifetime_ms)
        renew_keys(g);
}

/* ---- the kernel's own ---- */

/* A socket that is not connected can't take it over; one that there is no module for is told so before. */
bool rg_gateway_kernel_has_tls(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool has = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") == 0 || errno == ENOTCONN;
    close(fd);
    return has;
}
