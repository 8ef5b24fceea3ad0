/*
 * A certificate of the platform's own making, for https before anybody has given one: gateways and rgctl then pin it
 * (--ca-file DATA/tls.crt) or don't verify. Thread: main.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "control/platform/platform.h"

#define VALID_SECONDS (10L * 365 * 24 * 3600)

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool set_names(X509 *x)
{
    char host[65] = "", names[256];
    X509_NAME *name = X509_get_subject_name(x);
    if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
        snprintf(host, sizeof(host), "localhost");
    snprintf(names, sizeof(names), "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", host);
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"ringgate-platform", -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(x, name) == 1 && add_extension(x, NID_subject_alt_name, names) &&
           add_extension(x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(x, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
           add_extension(x, NID_ext_key_usage, "serverAuth");
}

static X509 *make(EVP_PKEY *key)
{
    uint64_t serial;
    X509 *x = X509_new();
    rg_random(&serial, sizeof(serial));
    if (x && X509_set_version(x, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(x), -3600) && X509_gmtime_adj(X509_getm_notAfter(x), VALID_SECONDS) &&
        X509_set_pubkey(x, key) == 1 && set_names(x) && X509_sign(x, key, EVP_sha256()) > 0)
        return x;
    X509_free(x);
    return NULL;
}

/* Whole or not at all. */
static int write_file(const char *path, mode_t mode, bool (*write)(FILE *out, void *what), void *what)
{
    char temporary[300];
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    FILE *out = fdopen(fd, "we");
    if (!out) {
        close(fd);
        unlink(temporary);
        return -ENOMEM;
    }
    errno = 0; /* OpenSSL may fail without one */
    int r = write(out, what) && fflush(out) == 0 && fsync(fd) == 0 ? 0 : errno > 0 ? -errno : -EIO;
    if (fclose(out) != 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(temporary);
    return r;
}

static bool write_key(FILE *out, void *what)
{
    return PEM_write_PrivateKey(out, what, NULL, NULL, 0, NULL, NULL) == 1;
}

static bool write_certificate(FILE *out, void *what)
{
    return PEM_write_X509(out, what) == 1;
}

int rg_platform_make_certificate(const char *cert, const char *key, char *why, size_t size)
{
    if (access(cert, F_OK) == 0 && access(key, F_OK) == 0)
        return 0;
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = pair ? make(pair) : NULL;
    int r = x ? write_file(key, 0600, write_key, pair) : -ENOMEM;
    const char *failed = x ? key : "a certificate";
    if (r == 0) {
        failed = cert;
        r = write_file(cert, 0644, write_certificate, x);
    }
    if (r < 0)
        snprintf(why, size, "can't make %s: %s", failed, strerror(-r));
    X509_free(x);
    EVP_PKEY_free(pair);
    return r;
}
