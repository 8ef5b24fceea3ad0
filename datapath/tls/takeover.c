/*
 * When the handshake with a client is done, OpenSSL's SSL is freed and a session goes on with keys of its own
 * (records.h): an SSL that waits holds 13 KiB, and more in later versions, most of which it will never look at again.
 *
 * What has to be known comes from OpenSSL's documented interface. TLS 1.3: the traffic secrets, by the key schedule
 * that its handshakes call (kdf.h), and how many records were sealed with the new key (session tickets), by the one for
 * messages. TLS 1.2: the master secret and both randoms, and how many records followed each side's ChangeCipherSpec:
 * its Finished, which a client may send in pieces.
 */

#include <openssl/ssl.h>

#include "datapath/tls/kdf.h"
#include "datapath/tls/tls_parts.h"
#include "datapath/tls/records.h"

static struct rg_tls_records *records_of(struct rg_tls *t)
{
    if (!t->records && t->env->tools) {
        t->records = rg_pool_get(&t->env->records);
        if (t->records)
            *t->records = (struct rg_tls_records){0};
    }
    return t->records;
}

static void secret_told(void *session, bool server, const unsigned char *secret, size_t n)
{
    struct rg_tls_records *r = records_of(session);
    if (!r || n > RG_TLS_SECRET_MAX)
        return;
    struct rg_tls_half *half = server ? &r->out : &r->in;
    bool *has = server ? &r->has_out : &r->has_in;
    memcpy(half->secret, secret, n);
    half->sequence = 0;
    *has = true;
}

int rg_tls_takeover_watch(struct rg_tls *t)
{
    struct rg_tls_kdf *kdf = t->env->kdf;
    if (!kdf)
        return SSL_do_handshake(t->ssl);
    kdf->tell = secret_told;
    kdf->told = t;
    int r = SSL_do_handshake(t->ssl);
    kdf->tell = NULL;
    kdf->told = NULL;
    if (r == 1) /* before, no data was sealed by what follows from its secrets */
        rg_tls_kdf_forget(kdf);
    return r;
}

/* Of those that the new key has sealed. */
static void header_seen_13(struct rg_tls *t, int out)
{
    if (out && t->records && t->records->has_out)
        t->records->out.sequence++;
}

/* The keys are new after a ChangeCipherSpec, and every record counts. */
static void header_seen_12(struct rg_tls *t, int out, unsigned char type)
{
    struct rg_tls_records *r = type == SSL3_RT_CHANGE_CIPHER_SPEC ? records_of(t) : t->records;
    if (!r)
        return;
    bool *has = out ? &r->has_out : &r->has_in;
    struct rg_tls_half *half = out ? &r->out : &r->in;
    if (type == SSL3_RT_CHANGE_CIPHER_SPEC) {
        *has = true;
        half->sequence = 0;
    } else if (*has) {
        half->sequence++;
    }
}

static void message_seen(int out, int version, int type, const void *bytes, size_t n, SSL *ssl, void *arg)
{
    (void)version;
    (void)arg;
    struct rg_tls *t = SSL_get_app_data(ssl);
    if (!t || n == 0 || type != SSL3_RT_HEADER)
        return;
    if (SSL_version(ssl) == TLS1_3_VERSION)
        header_seen_13(t, out);
    else if (SSL_version(ssl) == TLS1_2_VERSION)
        header_seen_12(t, out, *(const unsigned char *)bytes);
}

void rg_tls_takeover_prepare(SSL_CTX *context)
{
    SSL_CTX_set_msg_callback(context, message_seen);
}

/* ---- keys ---- */

static bool find_suite(const struct rg_tls *t, struct rg_tls_suite *ret)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
    const EVP_MD *hash = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;
    return hash && rg_tls_suite_find(t->env->tools, SSL_CIPHER_get_cipher_nid(cipher), EVP_MD_get_type(hash), ret);
}

static bool take_keys_13(struct rg_tls_records *r)
{
    bool ok = r->has_in && r->has_out && rg_tls_half_rekey(&r->in, &r->suite, false) &&
              rg_tls_half_rekey(&r->out, &r->suite, true);
    rg_tls_hmac_forget(r->suite.hmac);
    return ok;
}

/* RFC 5246 6.3: what the client writes with comes first. */
static bool set_keys_12(struct rg_tls_records *r, const unsigned char *block)
{
    size_t key = r->suite.key, iv = r->explicit_nonce ? RG_TLS_IV - RG_TLS_EXPLICIT : RG_TLS_IV;
    return rg_tls_half_set(&r->in, &r->suite, false, block, block + 2 * key, iv) &&
           rg_tls_half_set(&r->out, &r->suite, true, block + key, block + 2 * key + iv, iv);
}

static bool take_keys_12(const struct rg_tls *t, struct rg_tls_records *r)
{
    unsigned char master[SSL_MAX_MASTER_KEY_LENGTH], server[SSL3_RANDOM_SIZE], client[SSL3_RANDOM_SIZE];
    unsigned char block[2 * (RG_TLS_KEY_MAX + RG_TLS_IV)];
    size_t n = SSL_SESSION_get_master_key(SSL_get_session(t->ssl), master, sizeof(master));
    r->explicit_nonce = EVP_CIPHER_get_mode(r->suite.cipher) == EVP_CIPH_GCM_MODE;
    bool ok = r->has_in && r->has_out && n > 0 &&
              SSL_get_server_random(t->ssl, server, sizeof(server)) == sizeof(server) &&
              SSL_get_client_random(t->ssl, client, sizeof(client)) == sizeof(client) &&
              rg_tls_key_block(t->env->tools, &r->suite, master, n, server, client, block, sizeof(block)) &&
              set_keys_12(r, block);
    OPENSSL_cleanse(master, sizeof(master));
    OPENSSL_cleanse(block, sizeof(block));
    return ok;
}

/* ---- taking over ---- */

/* Small records for a client that wants them (RFC 6066 4), and ciphers of another kind, are left to OpenSSL. */
static bool can_be_taken(const struct rg_tls *t, struct rg_tls_records *r)
{
    const SSL_SESSION *session = SSL_get_session(t->ssl);
    int version = SSL_version(t->ssl);
    r->is_13 = version == TLS1_3_VERSION;
    return (r->is_13 || version == TLS1_2_VERSION) && session && !SSL_has_pending(t->ssl) &&
           SSL_SESSION_get_max_fragment_length(session) == TLSEXT_max_fragment_length_DISABLED &&
           find_suite(t, &r->suite);
}

static bool copy_name(struct rg_tls *t)
{
    const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    t->name = name ? OPENSSL_strdup(name) : NULL;
    return !name || t->name;
}

void rg_tls_take_over(struct rg_tls *t)
{
    struct rg_tls_records *r = records_of(t);
    if (!r)
        return;
    if (!can_be_taken(t, r) || !(r->is_13 ? take_keys_13(r) : take_keys_12(t, r)) || !copy_name(t)) {
        rg_tls_records_destroy(t->env, r);
        t->records = NULL;
        return;
    }
    t->version = SSL_get_version(t->ssl);
    t->cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(t->ssl));
    SSL_free(t->ssl);
    t->ssl = NULL;
}
