/*
 * When the handshake with a client is done, OpenSSL's SSL is freed and a session goes on with keys of its own
 * (records.h): an SSL that waits holds 13 KiB, and more in later versions, most of which it will never look at again.
 *
 * What has to be known comes from OpenSSL's documented interface. TLS 1.3: the traffic secrets, by the callback for key
 * logs, and how many records were sealed with the new key (session tickets), by the one for messages. TLS 1.2: the
 * master secret and both randoms, and how many records followed each side's ChangeCipherSpec: its Finished, which a
 * client may send in pieces.
 */
#include <stdlib.h>

#include <openssl/ssl.h>

#include "datapath/tls/parts.h"
#include "datapath/tls/records.h"

#define SERVER_SECRET "SERVER_TRAFFIC_SECRET_0 "
#define CLIENT_SECRET "CLIENT_TRAFFIC_SECRET_0 "
#define HEX_RANDOM    64u /* a secret follows the client's random and a space */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode_hex(const char *from, unsigned char *to, size_t cap)
{
    size_t n = strlen(from);
    if (n == 0 || n % 2 != 0 || n / 2 > cap)
        return false;
    for (size_t i = 0; i < n; i += 2) {
        int high = hex_digit(from[i]), low = hex_digit(from[i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i / 2] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool note_secret(struct rg_tls_half *half, const char *rest)
{
    half->sequence = 0;
    return strlen(rest) > HEX_RANDOM + 1 && decode_hex(rest + HEX_RANDOM + 1, half->secret, sizeof(half->secret));
}

/* A line of a key log, as SSLKEYLOGFILE has them. It is read and forgotten: no file is ever written. */
static void secret_told(const SSL *ssl, const char *line)
{
    struct rg_tls *t = SSL_get_app_data(ssl);
    struct rg_tls_records *r = t ? t->records : NULL;
    bool server = strncmp(line, SERVER_SECRET, sizeof(SERVER_SECRET) - 1) == 0;
    bool client = strncmp(line, CLIENT_SECRET, sizeof(CLIENT_SECRET) - 1) == 0;
    if (!r || (!server && !client))
        return;
    if (server)
        r->has_out = note_secret(&r->out, line + sizeof(SERVER_SECRET) - 1);
    else
        r->has_in = note_secret(&r->in, line + sizeof(CLIENT_SECRET) - 1);
    SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(ssl), NULL);
}

static struct rg_tls_records *records_of(struct rg_tls *t)
{
    if (!t->records && t->env->tools) {
        t->records = rg_pool_get(&t->env->records);
        if (t->records)
            *t->records = (struct rg_tls_records){0};
    }
    return t->records;
}

/*
 * The secret of a direction is told right after its Finished. All others would be written down in hexadecimal, too, at
 * the price of a tenth of a resumed handshake: so the callback is there for this one only (and for the exporter's,
 * which OpenSSL tells just before the server's). A context belongs to one worker, and so do the handshakes that use it.
 */
static void message_seen_13(struct rg_tls *t, int out, int type, unsigned char first)
{
    if (type == SSL3_RT_HANDSHAKE && first == SSL3_MT_FINISHED) {
        if (records_of(t))
            SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(t->ssl), secret_told);
    } else if (type == SSL3_RT_HEADER && out && t->records && t->records->has_out) {
        t->records->out.sequence++;
    }
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
    if (!t || n == 0)
        return;
    unsigned char first = *(const unsigned char *)bytes;
    if (SSL_version(ssl) == TLS1_3_VERSION)
        message_seen_13(t, out, type, first);
    else if (SSL_version(ssl) == TLS1_2_VERSION && type == SSL3_RT_HEADER)
        header_seen_12(t, out, first);
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
    return r->has_in && r->has_out && rg_tls_half_rekey(&r->in, &r->suite, false) &&
           rg_tls_half_rekey(&r->out, &r->suite, true);
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
    SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(t->ssl), NULL);
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
