/* See client.h. Files are read by OpenSSL's own functions, when a client is made; verifying reads none. */
#include "datapath/tls/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "datapath/tls/tls_parts.h"

#define SYSTEM_FILE \
    "/etc/ssl/certs/ca-certificates.crt" /* Debian's, of all authorities; SSL_CERT_FILE may name another */

struct rg_tls_client {
    SSL_CTX *context;
    bool has_name; /* to be sent */
    char name[256];
};

static const char *last_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "unknown error";
}

static bool copy_path(char out[PATH_MAX], struct rg_str path)
{
    if (path.len >= PATH_MAX)
        return false;
    memcpy(out, path.ptr, path.len);
    out[path.len] = '\0';
    return true;
}

/* ---- the system's authorities: one store for all, read again when the file has changed ---- */

static struct {
    X509_STORE *store;
    struct stat st;
} authorities;

static void __attribute__((destructor)) free_authorities(void)
{
    X509_STORE_free(authorities.store);
    authorities.store = NULL;
}

static X509_STORE *read_authorities(const char *file)
{
    X509_STORE *store = X509_STORE_new();
    if (store && X509_STORE_load_file(store, file) == 1)
        return store;
    X509_STORE_free(store);
    return NULL;
}

const char *rg_tls_client_system_file(void)
{
    const char *named = getenv(X509_get_default_cert_file_env());
    return named ? named : SYSTEM_FILE;
}

static int use_system_authorities(SSL_CTX *context, struct rg_fault *fault)
{
    const char *file = rg_tls_client_system_file();
    struct stat st;
    if (stat(file, &st) != 0)
        return rg_fault(fault, "ca_file",
                        "there is none, and the system's authorities can't be read (%.100s: %s): "
                        "the package ca-certificates has them",
                        file, strerror(errno));
    const struct stat *was = &authorities.st;
    bool same = authorities.store && st.st_dev == was->st_dev && st.st_ino == was->st_ino &&
                st.st_size == was->st_size && memcmp(&st.st_mtim, &was->st_mtim, sizeof st.st_mtim) == 0;
    if (!same) {
        X509_STORE *store = read_authorities(file);
        if (!store)
            return rg_fault(fault, "ca_file", "there is none, and the system's authorities can't be read (%.100s: %s)",
                            file, last_error());
        X509_STORE_free(authorities.store);
        authorities.store = store;
        authorities.st = st;
    }
    SSL_CTX_set1_cert_store(context, authorities.store);
    return 0;
}

/* ---- making one ---- */

static int set_authorities(SSL_CTX *context, const struct rg_tls_client_source *source, struct rg_fault *fault)
{
    char path[PATH_MAX];
    if (!source->verify) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        return 0;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (source->ca_file.len == 0)
        return use_system_authorities(context, fault);
    if (!copy_path(path, source->ca_file) || SSL_CTX_load_verify_file(context, path) != 1)
        return rg_fault(fault, "ca_file", "\"%.*s\" has no certificates of authorities in PEM that can be read: %s",
                        rg_fault_shown(source->ca_file), source->ca_file.ptr, last_error());
    /* Whoever names one certificate means that it is to be trusted, of a root or not. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    return 0;
}

static int set_own_certificate(SSL_CTX *context, const struct rg_tls_client_source *source, struct rg_fault *fault)
{
    char path[PATH_MAX];
    if (source->cert_file.len == 0)
        return 0;
    if (!copy_path(path, source->cert_file) || SSL_CTX_use_certificate_chain_file(context, path) != 1)
        return rg_fault(fault, "cert_file", "\"%.*s\" has no certificate in PEM that can be used: %s",
                        rg_fault_shown(source->cert_file), source->cert_file.ptr, last_error());
    if (!copy_path(path, source->key_file) || SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return rg_fault(fault, "key_file", "\"%.*s\" has no key in PEM that belongs to the certificate: %s",
                        rg_fault_shown(source->key_file), source->key_file.ptr, last_error());
    return 0;
}

static bool is_address(const char *text)
{
    struct in6_addr any;
    return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

static bool set_name(struct rg_tls_client *c, struct rg_str name)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(c->context);
    if (name.len == 0 || name.len >= sizeof c->name)
        return false;
    memcpy(c->name, name.ptr, name.len);
    c->has_name = !is_address(c->name);
    if (!c->has_name)
        return X509_VERIFY_PARAM_set1_ip_asc(param, c->name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, c->name, 0) == 1;
}

/* Told when a session can be resumed, with TLS 1.3 some time after the handshake. 1: it was taken over. */
static int remember(SSL *ssl, SSL_SESSION *session)
{
    const struct rg_tls *t = SSL_get_app_data(ssl);
    if (!t || !t->memory)
        return 0;
    SSL_SESSION_free(t->memory->session);
    t->memory->session = session;
    return 1;
}

static bool set_protocol(SSL_CTX *context)
{
    static const unsigned char http11[] = "\x08http/1.1";
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_security_level(context, RG_TLS_SECURITY_LEVEL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, remember);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(context, RG_TLS_CIPHERS_13) == 1 &&
           SSL_CTX_set_cipher_list(context, RG_TLS_CIPHERS_12) == 1 &&
           SSL_CTX_set_alpn_protos(context, http11, sizeof http11 - 1) == 0;
}

int rg_tls_client_create(struct rg_tls_client **ret, const struct rg_tls_client_source *source, struct rg_fault *fault)
{
    struct rg_tls_client *c = calloc(1, sizeof *c);
    int err = -ENOMEM;
    if (!c)
        return err;
    c->context = SSL_CTX_new(TLS_client_method());
    if (!c->context || !set_protocol(c->context) || !set_name(c, source->server_name))
        goto failed;
    err = set_authorities(c->context, source, fault);
    if (err == 0)
        err = set_own_certificate(c->context, source, fault);
    if (err < 0)
        goto failed;
    *ret = c;
    return 0;

failed:
    ERR_clear_error();
    rg_tls_client_destroy(c);
    return err;
}

void rg_tls_client_destroy(struct rg_tls_client *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->context);
    free(c);
}

/* ---- a connection ---- */

static bool begin(struct rg_tls *t, const struct rg_tls_client *c)
{
    BIO *bio = NULL;
    t->ssl = SSL_new(c->context);
    if (!t->ssl || !(bio = rg_tls_bio(t)))
        return false;
    SSL_set_bio(t->ssl, bio, bio); /* takes it over */
    SSL_set_app_data(t->ssl, t);
    SSL_set_connect_state(t->ssl);
    if (c->has_name && SSL_set_tlsext_host_name(t->ssl, c->name) != 1)
        return false;
    if (t->memory->session && SSL_set_session(t->ssl, t->memory->session) != 1)
        ERR_clear_error(); /* a full handshake, then */
    t->state = RG_TLS_SHAKING;
    return true;
}

struct rg_tls *rg_tls_connect(struct rg_tls_env *env, const struct rg_tls_client *c, struct rg_tls_memory *memory,
                              void *owner)
{
    struct rg_tls *t = rg_pool_get(&env->sessions);
    if (!t)
        return NULL;
    *t = (struct rg_tls){.env = env, .owner = owner, .memory = memory};
    rg_list_init(&t->waiting);
    if (begin(t, c))
        return t;
    ERR_clear_error();
    t->memory = NULL;
    rg_tls_destroy(t);
    return NULL;
}

void rg_tls_memory_forget(struct rg_tls_memory *m)
{
    SSL_SESSION_free(m->session);
    m->session = NULL;
}
