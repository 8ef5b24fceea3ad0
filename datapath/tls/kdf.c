/* See kdf.h. What is said here to OpenSSL is that of its manual pages provider(7), provider-kdf(7) and
 * EVP_KDF-TLS13_KDF(7). */
#include "datapath/tls/kdf.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>

#include "datapath/base/str.h"

/* ---- what is asked for ---- */

struct request {
    struct rg_tls_schedule *schedule;
    int mode;
    struct rg_str key, salt, prefix, label, data;
};

static struct rg_tls_schedule *schedule_named(struct rg_tls_kdf *kdf, const OSSL_PARAM *digest)
{
    static const char *const names[][3] = {{"SHA2-256", "SHA256", "SHA-256"}, {"SHA2-384", "SHA384", "SHA-384"}};
    const char *name = NULL;
    if (!digest || !OSSL_PARAM_get_utf8_string_ptr(digest, &name))
        return NULL;
    for (unsigned i = 0; i < 3; i++) {
        if (OPENSSL_strcasecmp(name, names[0][i]) == 0)
            return &kdf->sha256;
        if (OPENSSL_strcasecmp(name, names[1][i]) == 0)
            return &kdf->sha384;
    }
    return NULL;
}

static bool get_bytes(const OSSL_PARAM *p, struct rg_str *ret)
{
    const void *bytes = NULL;
    size_t n = 0;
    bool ok = OSSL_PARAM_get_octet_string_ptr(p, &bytes, &n) == 1;
    *ret = (struct rg_str){bytes, bytes ? n : 0};
    return ok;
}

/* Those that it does not know concern others. */
static bool read_request(struct rg_tls_kdf *kdf, const OSSL_PARAM *p, struct request *ret)
{
    bool ok = true;
    *ret = (struct request){.mode = -1};
    for (; p && p->key && ok; p++) {
        if (strcmp(p->key, OSSL_KDF_PARAM_DIGEST) == 0)
            ret->schedule = schedule_named(kdf, p);
        else if (strcmp(p->key, OSSL_KDF_PARAM_MODE) == 0)
            ok = OSSL_PARAM_get_int(p, &ret->mode) == 1;
        else if (strcmp(p->key, OSSL_KDF_PARAM_KEY) == 0)
            ok = get_bytes(p, &ret->key);
        else if (strcmp(p->key, OSSL_KDF_PARAM_SALT) == 0)
            ok = get_bytes(p, &ret->salt);
        else if (strcmp(p->key, OSSL_KDF_PARAM_PREFIX) == 0)
            ok = get_bytes(p, &ret->prefix);
        else if (strcmp(p->key, OSSL_KDF_PARAM_LABEL) == 0)
            ok = get_bytes(p, &ret->label);
        else if (strcmp(p->key, OSSL_KDF_PARAM_DATA) == 0)
            ok = get_bytes(p, &ret->data);
    }
    return ok && ret->schedule && ret->schedule->hmac;
}

/* ---- the answer ---- */

static bool expand(const struct rg_tls_kdf *kdf, const struct request *r, unsigned char *to, size_t n)
{
    struct rg_tls_label label = {r->prefix, r->label, r->data};
    /* Without a key, the HMAC would go on with the one before, which is another session's. */
    if (!r->key.ptr || !rg_tls_hkdf_expand(r->schedule->hmac, r->schedule->bytes, r->key, &label, to, n))
        return false;
    bool server = rg_str_eq(r->label, RG_STR("s ap traffic"));
    if (kdf->tell && (server || rg_str_eq(r->label, RG_STR("c ap traffic"))))
        kdf->tell(kdf->told, server, to, n);
    return true;
}

/* The secret that follows from one before it, which is the salt, and from new input, the key (RFC 8446 7.1). Of either
 * that is not there, zeros take the place. */
static bool extract(const struct request *r, unsigned char *to, size_t n)
{
    static const unsigned char zeros[EVP_MAX_MD_SIZE];
    const struct rg_tls_schedule *s = r->schedule;
    struct rg_tls_label label = {r->prefix, r->label, {(const char *)s->of_nothing, s->bytes}};
    unsigned char before[EVP_MAX_MD_SIZE] = {0};
    size_t len = 0;
    if (n != s->bytes)
        return false;
    bool ok = !r->salt.ptr || rg_tls_hkdf_expand(s->hmac, s->bytes, r->salt, &label, before, s->bytes);
    const unsigned char *input = r->key.ptr ? (const unsigned char *)r->key.ptr : zeros;
    ok = ok && EVP_MAC_init(s->hmac, before, s->bytes, NULL) == 1 &&
         EVP_MAC_update(s->hmac, input, r->key.ptr ? r->key.len : s->bytes) == 1 &&
         EVP_MAC_final(s->hmac, to, &len, n) == 1 && len == n;
    OPENSSL_cleanse(before, sizeof(before));
    return ok;
}

/* ---- as OpenSSL calls it ---- */

static void *new_context(void *kdf)
{
    return kdf; /* a call brings all that it needs */
}

static void free_context(void *context)
{
    (void)context;
}

static int derive(void *context, unsigned char *key, size_t key_len, const OSSL_PARAM params[])
{
    struct request r;
    if (!read_request(context, params, &r))
        return 0;
    r.schedule->keyed = true;
    if (r.mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
        return extract(&r, key, key_len);
    return r.mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY && expand(context, &r, key, key_len);
}

static const OSSL_DISPATCH kdf_functions[] = {{OSSL_FUNC_KDF_NEWCTX, (void (*)(void))new_context},
                                              {OSSL_FUNC_KDF_FREECTX, (void (*)(void))free_context},
                                              {OSSL_FUNC_KDF_DERIVE, (void (*)(void))derive},
                                              {0, NULL}};

static const OSSL_ALGORITHM *query(void *kdf, int operation, int *no_cache)
{
    static const OSSL_ALGORITHM kdfs[] = {
        {OSSL_KDF_NAME_TLS1_3_KDF, "provider=ringgate,ringgate.schedule=yes", kdf_functions, "key schedule of TLS 1.3"},
        {NULL, NULL, NULL, NULL}};
    (void)kdf;
    *no_cache = 0;
    return operation == OSSL_OP_KDF ? kdfs : NULL;
}

static struct rg_tls_kdf *joining; /* what `begin` is called for */

static int begin(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **context)
{
    static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query}, {0, NULL}};
    (void)handle;
    (void)in;
    *out = functions;
    *context = joining;
    return joining != NULL;
}

/* ---- the beginning and the end ---- */

static bool set_up(struct rg_tls_schedule *s, OSSL_LIB_CTX *library, char *hash)
{
    EVP_MD *md = EVP_MD_fetch(library, hash, NULL);
    EVP_MAC *hmac = EVP_MAC_fetch(library, "HMAC", NULL);
    unsigned len = 0;
    bool ok = md && hmac && EVP_Digest("", 0, s->of_nothing, &len, md, NULL) == 1;
    s->bytes = len;
    s->hmac = ok ? rg_tls_hmac_create(hmac, hash) : NULL;
    EVP_MD_free(md);
    EVP_MAC_free(hmac);
    return s->hmac;
}

/* Whose algorithm it is that handshakes would use; NULL: there is none. */
static const char *whose(OSSL_LIB_CTX *library, const char *properties)
{
    EVP_KDF *found = EVP_KDF_fetch(library, OSSL_KDF_NAME_TLS1_3_KDF, properties);
    const char *ret = found ? OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(found)) : NULL;
    EVP_KDF_free(found);
    return ret;
}

int rg_tls_kdf_init(struct rg_tls_kdf *kdf, OSSL_LIB_CTX *library)
{
    static char sha256[] = "SHA256", sha384[] = "SHA384";
    *kdf = (struct rg_tls_kdf){0};
    const char *usual = whose(library, NULL);
    if (!usual || !set_up(&kdf->sha256, library, sha256) || !set_up(&kdf->sha384, library, sha384))
        return -ENOMEM;
    if (strcmp(usual, "default") != 0)
        return -EEXIST;
    joining = kdf;
    if (OSSL_PROVIDER_add_builtin(library, "ringgate", begin) == 1)
        kdf->provider = OSSL_PROVIDER_try_load(library, "ringgate", 1); /* beside those that are there */
    joining = NULL;
    const char *now = whose(library, RG_TLS_KDF_PREFERRED);
    if (!now)
        return -ENOMEM;
    return strcmp(now, "ringgate") == 0 ? 0 : -EEXIST;
}

static void forget(struct rg_tls_schedule *s)
{
    if (s->keyed)
        rg_tls_hmac_forget(s->hmac);
    s->keyed = false;
}

void rg_tls_kdf_forget(struct rg_tls_kdf *kdf)
{
    forget(&kdf->sha256);
    forget(&kdf->sha384);
}

void rg_tls_kdf_fini(struct rg_tls_kdf *kdf)
{
    if (kdf->provider)
        OSSL_PROVIDER_unload(kdf->provider);
    kdf->provider = NULL;
    EVP_MAC_CTX_free(kdf->sha256.hmac);
    EVP_MAC_CTX_free(kdf->sha384.hmac);
    kdf->sha256.hmac = kdf->sha384.hmac = NULL;
}
