/*
 * How sessions are made: versions, ciphers, what is switched off, and the callbacks that choose a certificate, agree on
 * a protocol and seal tickets. The callbacks run in the middle of a handshake, perhaps under newer settings than those
 * it began with: they go by the session's environment, never by the context they are called for.
 */
#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "datapath/tls/kdf.h"
#include "datapath/tls/tls_parts.h"

SSL_CTX *rg_tls_first_context(const struct rg_tls_env *env, unsigned listener)
{
    const struct rg_tls_site *site = env->store ? rg_tls_site_of(env->store, listener) : NULL;
    return site ? rg_tls_context_at(site, env->worker, 0) : NULL;
}

static const struct rg_tls_site *site_of_session(SSL *ssl, const struct rg_tls **ret_session)
{
    const struct rg_tls *t = SSL_get_app_data(ssl);
    *ret_session = t;
    return t && t->env->store ? rg_tls_site_of(t->env->store, t->listener) : NULL;
}

static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    const struct rg_tls *t;
    const struct rg_tls_site *site = site_of_session(ssl, &t);
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!asked || !site)
        return SSL_TLSEXT_ERR_NOACK;
    const struct rg_tls_name *name = rg_tls_names_find(&site->names, rg_str_of(asked));
    SSL_CTX *context = rg_tls_context_at(site, t->env->worker, name ? name->value : 0);
    if (context != SSL_get_SSL_CTX(ssl) && !SSL_set_SSL_CTX(ssl, context))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                           unsigned in_len, void *arg)
{
    (void)arg;
    const struct rg_tls *t;
    const struct rg_tls_site *site = site_of_session(ssl, &t);
    unsigned char *chosen = NULL;
    if (!site)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_select_next_proto(&chosen, out_len, site->alpn, site->alpn_len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Of the certificate that was chosen, by its kind of key. */
static const struct rg_tls_staple *staple_of(const struct rg_tls_site *site, uint32_t certificates, int kind)
{
    for (unsigned i = 0; i < RG_TLS_CERTIFICATES_MAX; i++)
        if ((certificates >> i & 1) && site->kinds[i] == kind)
            return &site->staples[i];
    return NULL;
}

static int staple(SSL *ssl, void *arg)
{
    (void)arg;
    const struct rg_tls *t;
    const struct rg_tls_site *site = site_of_session(ssl, &t);
    const EVP_PKEY *key = SSL_get_privatekey(ssl);
    const struct rg_tls_staple *s = NULL;
    for (unsigned i = 0; site && key && i < site->n_contexts; i++)
        if (rg_tls_context_at(site, t->env->worker, i) == SSL_get_SSL_CTX(ssl))
            s = staple_of(site, site->certificates[i], EVP_PKEY_get_base_id(key));
    if (!s || s->len == 0)
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *copy = OPENSSL_memdup(s->der, (size_t)s->len); /* the session frees it */
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, s->len);
    return SSL_TLSEXT_ERR_OK;
}

/* ---- tickets ---- */

static const struct rg_tls_key *key_named(const struct rg_tls_keys *keys, const unsigned char *name, unsigned *ret_age)
{
    for (unsigned i = 0; i < keys->n; i++) {
        *ret_age = i;
        if (memcmp(keys->list[i].name, name, RG_TLS_KEY_NAME_BYTES) == 0)
            return &keys->list[i];
    }
    return NULL;
}

static bool set_mac(EVP_MAC_CTX *mac, const struct rg_tls_key *key)
{
    static char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    return EVP_MAC_init(mac, key->mac, sizeof(key->mac), params) == 1;
}

/* Not looked up by name for each ticket where that can be spared. */
static const EVP_CIPHER *ticket_cipher(const struct rg_tls_env *env)
{
    return env->tools ? env->tools->aes_256_cbc : EVP_aes_256_cbc();
}

static int seal_ticket(const struct rg_tls_key *key, const EVP_CIPHER *aes, unsigned char *name, unsigned char *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    memcpy(name, key->name, RG_TLS_KEY_NAME_BYTES);
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) != 1 ||
        EVP_EncryptInit_ex(cipher, aes, NULL, key->cipher, iv) != 1 || !set_mac(mac, key))
        return -1;
    return 1;
}

/* 0: a full handshake; 1: resumed; 2: resumed, and the ticket is to be made anew. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                      int encrypt)
{
    const struct rg_tls *t = SSL_get_app_data(ssl);
    const struct rg_tls_keys *keys = t && t->env->store ? rg_tls_keys_of(t->env->store) : NULL;
    unsigned age = 0;
    if (!keys || keys->n == 0)
        return 0;
    if (encrypt)
        return seal_ticket(&keys->list[0], ticket_cipher(t->env), name, iv, cipher, mac);
    const struct rg_tls_key *key = key_named(keys, name, &age);
    if (!key)
        return 0;
    if (!set_mac(mac, key) || EVP_DecryptInit_ex(cipher, ticket_cipher(t->env), NULL, key->cipher, iv) != 1)
        return -1;
    /* Clients use a ticket of TLS 1.3 once: without a new one every second handshake of theirs would be a full one. */
    return age > 0 || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

int rg_tls_key_make(struct rg_tls_key *ret)
{
    return RAND_bytes((unsigned char *)ret, (int)sizeof(*ret)) == 1 ? 0 : -EIO;
}

bool rg_tls_keys_parse(struct rg_str bytes, struct rg_tls_keys *ret)
{
    _Static_assert(sizeof(struct rg_tls_key) == RG_TLS_KEY_BYTES, "a file has keys as they are");
    if (bytes.len == 0 || bytes.len % RG_TLS_KEY_BYTES != 0 || bytes.len / RG_TLS_KEY_BYTES > RG_TLS_KEYS_MAX)
        return false;
    ret->n = (unsigned)(bytes.len / RG_TLS_KEY_BYTES);
    memcpy(ret->list, bytes.ptr, bytes.len);
    return true;
}

void rg_tls_keys_wipe(struct rg_tls_keys *keys)
{
    OPENSSL_cleanse(keys, sizeof(*keys));
}

/* ---- making one ---- */

static void set_options(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets alone: nothing is kept here */
    SSL_CTX_set_max_early_data(context, 0);
    SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
    SSL_CTX_set_tlsext_status_cb(context, staple);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_key);
    rg_tls_takeover_prepare(context);
}

static bool set_ciphers(SSL_CTX *context, const struct rg_tls_settings *s, struct rg_tls_fault *fault)
{
    int least = s->min_version == RG_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX_set_security_level(context, RG_TLS_SECURITY_LEVEL);
    if (SSL_CTX_set_min_proto_version(context, least) != 1 || SSL_CTX_set_ciphersuites(context, RG_TLS_CIPHERS_13) != 1)
        return false;
    if (SSL_CTX_set_cipher_list(context, s->ciphers[0] ? s->ciphers : RG_TLS_CIPHERS_12) == 1)
        return true;
    fault->place = RG_TLS_AT_CIPHERS;
    snprintf(fault->got, sizeof(fault->got), "\"%.256s\", of which nothing is known or allowed", s->ciphers);
    fault->wanted = "ciphers of TLS 1.2 as OpenSSL names them";
    fault->remedy = "`openssl ciphers -v -tls1_2` lists them";
    return false;
}

/* A session that was made where clients are asked for less is none here. */
static bool set_session_context(SSL_CTX *context, const struct rg_tls_source *source, unsigned listener)
{
    unsigned char id[EVP_MAX_MD_SIZE], scope[] = {(unsigned char)listener, source->settings->client_certificates};
    unsigned len = 0;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool ok = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(hash, scope, sizeof(scope)) == 1 &&
              EVP_DigestUpdate(hash, source->client_ca.ptr, source->client_ca.len) == 1 &&
              EVP_DigestFinal_ex(hash, id, &len) == 1 && SSL_CTX_set_session_id_context(context, id, len) == 1;
    EVP_MD_CTX_free(hash);
    return ok;
}

/* Clients are told the names of the authorities, so that they know which certificate to show. */
static int add_authorities(SSL_CTX *context, OSSL_LIB_CTX *library, BIO *bio)
{
    X509 *ca;
    int n = 0;
    while ((ca = rg_tls_read_certificate(library, bio, PEM_read_bio_X509))) {
        bool ok =
            X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca) == 1 && SSL_CTX_add_client_CA(context, ca) == 1;
        X509_free(ca);
        if (!ok)
            return 0;
        n++;
    }
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? n : 0;
}

static bool set_client_certificates(SSL_CTX *context, OSSL_LIB_CTX *library, const struct rg_tls_source *source,
                                    struct rg_tls_fault *fault)
{
    const struct rg_tls_settings *s = source->settings;
    int required = s->client_certificates == RG_CLIENT_CERT_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    if (s->client_certificates == RG_CLIENT_CERT_OFF)
        return true;
    BIO *bio = BIO_new_mem_buf(source->client_ca.ptr ? source->client_ca.ptr : "", (int)source->client_ca.len);
    int n = bio ? add_authorities(context, library, bio) : 0;
    BIO_free(bio);
    if (n > 0) {
        ERR_clear_error();
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | required, NULL);
        return true;
    }
    fault->place = RG_TLS_AT_CLIENT_CA;
    snprintf(fault->got, sizeof(fault->got), "\"%s\", which has no certificates that can be read", s->client_ca);
    fault->wanted = "a file with certificates of authorities in PEM";
    return false;
}

SSL_CTX *rg_tls_context_create(OSSL_LIB_CTX *library, const struct rg_tls_source *source, unsigned listener,
                               uint32_t lifetime_s, struct rg_tls_fault *fault)
{
    SSL_CTX *context = SSL_CTX_new_ex(library, RG_TLS_KDF_PREFERRED, TLS_server_method());
    if (!context)
        return NULL;
    set_options(context);
    SSL_CTX_set_timeout(context, (long)lifetime_s);
    if (set_session_context(context, source, listener) && set_ciphers(context, source->settings, fault) &&
        set_client_certificates(context, library, source, fault))
        return context;
    SSL_CTX_free(context);
    return NULL;
}
