/* See store.h. Certificates are parsed once for each worker, so that not even their reference counts are shared. */
#include "datapath/tls/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "datapath/tls/library.h"
#include "datapath/tls/tls_parts.h"

struct rg_tls_store {
    uint16_t workers, n;
    struct rg_tls_keys keys;
    struct rg_tls_site *sites[RG_LISTENERS_MAX];
};

/* One listener in the making. */
struct build {
    const struct rg_tls_source *source;
    const struct rg_tls_reports *reports;
    unsigned listener;
    uint32_t lifetime_s;
    uint16_t workers;
    OSSL_LIB_CTX *library; /* of the worker that contexts are made for; first those of worker 0 */
    struct rg_tls_pair pairs[RG_TLS_CERTIFICATES_MAX];
    bool failed;
};

const struct rg_tls_site *rg_tls_site_of(const struct rg_tls_store *store, unsigned listener)
{
    return listener < store->n ? store->sites[listener] : NULL;
}

const struct rg_tls_keys *rg_tls_keys_of(const struct rg_tls_store *store)
{
    return &store->keys;
}

/* ---- what is wrong ---- */

static void report(struct build *b, struct rg_tls_fault *fault)
{
    fault->listener = b->listener;
    b->failed = true;
    b->reports->fault(fault, b->reports->arg);
    ERR_clear_error();
}

static void refuse(struct build *b, enum rg_tls_place place, unsigned i, const char *got, const char *wanted,
                   const char *remedy)
{
    const struct rg_certificate_settings *c = &b->source->settings->certificates[i];
    struct rg_tls_fault fault = {.place = place, .certificate = i, .wanted = wanted, .remedy = remedy};
    const char *file = place == RG_TLS_AT_KEY ? c->key : place == RG_TLS_AT_OCSP ? c->ocsp : c->cert;
    snprintf(fault.got, sizeof(fault.got), "\"%s\", %s", file, got);
    report(b, &fault);
}

/* With what OpenSSL says about it. */
static void refuse_by_error(struct build *b, enum rg_tls_place place, unsigned i, const char *got, const char *wanted)
{
    char text[128];
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(text, sizeof(text), "%s (%s)", got, why ? why : "no cause given");
    refuse(b, place, i, text, wanted, NULL);
}

/* ---- certificate and key ---- */

static BIO *bio_of(struct rg_str text)
{
    return BIO_new_mem_buf(text.ptr ? text.ptr : "", (int)text.len);
}

static void free_pair(struct rg_tls_pair *p)
{
    X509_free(p->leaf);
    sk_X509_pop_free(p->chain, X509_free);
    EVP_PKEY_free(p->key);
    *p = (struct rg_tls_pair){0};
}

X509 *rg_tls_read_certificate(OSSL_LIB_CTX *library, BIO *bio,
                              X509 *(*read)(BIO *bio, X509 **x, pem_password_cb *cb, void *arg))
{
    X509 *x = X509_new_ex(library, NULL);
    if (x && read(bio, &x, NULL, NULL))
        return x;
    X509_free(x);
    return NULL;
}

/* The server's own comes first, those that lead to an authority follow. */
static bool parse_chain(OSSL_LIB_CTX *library, struct rg_tls_pair *p, struct rg_str text)
{
    BIO *bio = bio_of(text);
    X509 *next;
    p->leaf = bio ? rg_tls_read_certificate(library, bio, PEM_read_bio_X509_AUX) : NULL;
    p->chain = sk_X509_new_null();
    while (p->leaf && p->chain && (next = rg_tls_read_certificate(library, bio, PEM_read_bio_X509)))
        if (!sk_X509_push(p->chain, next))
            X509_free(next);
    bool clean = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE; /* that is the end of the file */
    BIO_free(bio);
    if (p->leaf && clean)
        ERR_clear_error();
    return p->leaf && clean;
}

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)arg = true;
    return -1;
}

static bool parse_key(OSSL_LIB_CTX *library, struct rg_tls_pair *p, struct rg_str text, bool *is_encrypted)
{
    BIO *bio = bio_of(text);
    *is_encrypted = false;
    p->key = bio ? PEM_read_bio_PrivateKey_ex(bio, NULL, no_passphrase, is_encrypted, library, NULL) : NULL;
    BIO_free(bio);
    return p->key;
}

static void tell_time(const struct build *b, unsigned i, bool expired, const ASN1_TIME *when)
{
    struct rg_tls_notice notice = {.listener = b->listener,
                                   .certificate = i,
                                   .file = b->source->settings->certificates[i].cert,
                                   .expired = expired};
    struct tm tm = {0};
    if (!b->reports->notice || ASN1_TIME_to_tm(when, &tm) != 1)
        return;
    strftime(notice.when, sizeof(notice.when), "%Y-%m-%d %H:%M:%S UTC", &tm);
    b->reports->notice(&notice, b->reports->arg);
}

static void note_times(const struct build *b, struct rg_tls_site *site, unsigned i)
{
    const X509 *leaf = b->pairs[i].leaf;
    struct tm tm = {0};
    int64_t end = ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) == 1 ? timegm(&tm) : 0;
    if (i == 0 || end < site->expiry_s)
        site->expiry_s = end;
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
        tell_time(b, i, true, X509_get0_notAfter(leaf));
    else if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
        tell_time(b, i, false, X509_get0_notBefore(leaf));
}

static void parse_pair(struct build *b, unsigned i)
{
    struct rg_tls_pair *p = &b->pairs[i];
    bool is_encrypted;
    bool have_cert = parse_chain(b->library, p, b->source->cert[i]);
    if (!have_cert)
        refuse_by_error(b, RG_TLS_AT_CERT, i, "which has no certificate that can be read",
                        "a file with the certificate in PEM, and those that lead to its authority after it");
    if (!parse_key(b->library, p, b->source->key[i], &is_encrypted)) {
        if (is_encrypted)
            refuse(b, RG_TLS_AT_KEY, i, "an encrypted key", "a private key in PEM without a passphrase",
                   "`openssl pkey -in FILE -out NEW` decrypts it; keep the new file readable by root only");
        else
            refuse_by_error(b, RG_TLS_AT_KEY, i, "which has no private key that can be read",
                            "a private key in PEM without a passphrase");
        return;
    }
    if (have_cert && X509_check_private_key(p->leaf, p->key) != 1)
        refuse(b, RG_TLS_AT_KEY, i, "which is not the key of the certificate", "the private key that belongs to `cert`",
               "compare `openssl pkey -in KEY -pubout` and `openssl x509 -in CERT -pubkey -noout`");
}

/* ---- names ---- */

static int add_name(struct build *b, struct rg_tls_names *names, const unsigned char *text, int len, unsigned i)
{
    struct rg_str name = {(const char *)text, len > 0 ? (size_t)len : 0};
    if (memchr(name.ptr, '\0', name.len)) {
        refuse(b, RG_TLS_AT_CERT, i, "which has a name with a NUL byte in it", "a certificate with honest names", NULL);
        return 0;
    }
    /* What no client can ask for leads nowhere. */
    return rg_tls_name_is_valid(name) ? rg_tls_names_add(names, name, i) : 0;
}

static int add_alternative_names(struct build *b, struct rg_tls_names *names, unsigned i, bool *found)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(b->pairs[i].leaf, NID_subject_alt_name, NULL, NULL);
    int r = 0;
    for (int j = 0; r == 0 && j < sk_GENERAL_NAME_num(list); j++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, j);
        if (name->type != GEN_DNS)
            continue;
        *found = true;
        r = add_name(b, names, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName), i);
    }
    GENERAL_NAMES_free(list);
    return r;
}

/* RFC 6125 6.4.4: the common name counts only where there is no name of the right kind. */
static int add_names(struct build *b, struct rg_tls_names *names, unsigned i)
{
    bool found = false;
    int r = add_alternative_names(b, names, i, &found);
    X509_NAME *subject = X509_get_subject_name(b->pairs[i].leaf);
    int at = r < 0 || found ? -1 : X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return r;
    const ASN1_STRING *common = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    return add_name(b, names, ASN1_STRING_get0_data(common), ASN1_STRING_length(common), i);
}

/* Of certificates that share a name, the first of each kind of key is used. */
static uint32_t first_of_each_kind(const struct build *b, uint32_t certificates)
{
    uint32_t ret = 0;
    for (unsigned i = 0; i < RG_TLS_CERTIFICATES_MAX; i++) {
        bool taken = false;
        if (!(certificates >> i & 1))
            continue;
        for (unsigned j = 0; j < i; j++)
            taken = taken ||
                    ((ret >> j & 1) && EVP_PKEY_get_base_id(b->pairs[j].key) == EVP_PKEY_get_base_id(b->pairs[i].key));
        if (!taken)
            ret |= 1u << i;
    }
    return ret;
}

static uint16_t context_for(struct rg_tls_site *site, uint32_t certificates)
{
    for (uint16_t i = 0; i < site->n_contexts; i++)
        if (site->certificates[i] == certificates)
            return i;
    if (site->n_contexts == RG_TLS_CONTEXTS_MAX)
        return 0;
    site->certificates[site->n_contexts] = certificates;
    return site->n_contexts++;
}

/* The first certificate is the default, with those of other kinds that share its first name. */
static int plan_contexts(struct build *b, struct rg_tls_site *site)
{
    struct rg_tls_names *names = &site->names;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < b->source->settings->n_certificates; i++)
        r = add_names(b, names, i);
    if (r < 0 || b->failed)
        return r < 0 ? r : -EINVAL;
    bool has_name = names->n > 0 && (names->list[0].certificates & 1);
    context_for(site, has_name ? first_of_each_kind(b, names->list[0].certificates) : 1);
    for (unsigned i = 0; i < names->n; i++)
        names->list[i].value = context_for(site, first_of_each_kind(b, names->list[i].certificates));
    rg_tls_names_sort(names);
    return 0;
}

/* ---- contexts ---- */

static bool use_pair(struct build *b, SSL_CTX *context, unsigned i)
{
    const struct rg_tls_pair *p = &b->pairs[i];
    if (SSL_CTX_use_cert_and_key(context, p->leaf, p->key, p->chain, 0) == 1)
        return true;
    refuse_by_error(b, RG_TLS_AT_CERT, i, "which can't be used", "a certificate of 112 bits of security or more");
    return false;
}

static SSL_CTX *make_context(struct build *b, const struct rg_tls_site *site, unsigned which)
{
    struct rg_tls_fault fault = {.place = RG_TLS_AT_LISTENER, .got = "settings that OpenSSL refuses"};
    SSL_CTX *context = rg_tls_context_create(b->library, b->source, b->listener, b->lifetime_s, &fault);
    if (!context) {
        report(b, &fault);
        return NULL;
    }
    for (unsigned i = 0; i < b->source->settings->n_certificates; i++) {
        if ((site->certificates[which] >> i & 1) && !use_pair(b, context, i)) {
            SSL_CTX_free(context);
            return NULL;
        }
    }
    return context;
}

/* Whether it is about this certificate, and still true, is the client's to judge; that it is an answer at all is ours.
 */
static void keep_staple(struct build *b, struct rg_tls_site *site, unsigned i)
{
    struct rg_str text = b->source->ocsp[i];
    const unsigned char *at = (const unsigned char *)text.ptr;
    site->kinds[i] = EVP_PKEY_get_base_id(b->pairs[i].key);
    if (b->source->settings->certificates[i].ocsp[0] == '\0')
        return;
    OCSP_RESPONSE *answer = text.len > 0 ? d2i_OCSP_RESPONSE(NULL, &at, (long)text.len) : NULL;
    bool good = answer && OCSP_response_status(answer) == OCSP_RESPONSE_STATUS_SUCCESSFUL;
    OCSP_RESPONSE_free(answer);
    if (!good) {
        refuse(b, RG_TLS_AT_OCSP, i, "which has no successful OCSP answer in DER",
               "an answer of the certificate's authority", "`openssl ocsp -respout FILE` saves one");
        return;
    }
    site->staples[i].der = OPENSSL_memdup(text.ptr, text.len);
    site->staples[i].len = site->staples[i].der ? (int)text.len : 0;
}

static bool parse_pairs(struct build *b)
{
    for (unsigned i = 0; i < b->source->settings->n_certificates; i++) {
        free_pair(&b->pairs[i]);
        parse_pair(b, i);
    }
    return !b->failed;
}

static int make_contexts(struct build *b, struct rg_tls_site *site)
{
    site->contexts = calloc((size_t)b->workers * site->n_contexts, sizeof(*site->contexts));
    if (!site->contexts)
        return -ENOMEM;
    for (unsigned w = 0; w < b->workers; w++) {
        b->library = rg_tls_library_of(w);
        if (w > 0 && !parse_pairs(b))
            return -EINVAL;
        for (unsigned i = 0; i < site->n_contexts; i++) {
            SSL_CTX **at = &site->contexts[w * site->n_contexts + i];
            *at = make_context(b, site, i);
            if (!*at)
                return -EINVAL;
        }
    }
    return 0;
}

static void add_protocol(struct rg_tls_site *site, const char *name)
{
    size_t len = strlen(name);
    RG_ASSERT(site->alpn_len + len < sizeof(site->alpn));
    site->alpn[site->alpn_len++] = (unsigned char)len;
    memcpy(site->alpn + site->alpn_len, name, len);
    site->alpn_len = (uint8_t)(site->alpn_len + len);
}

/* Clients of HTTP/1.0 that have a name for it are served as ever. */
static void add_http1(struct rg_tls_site *site)
{
    add_protocol(site, "http/1.1");
    add_protocol(site, "http/1.0");
}

/* Without a list, or with none of it left, all that the listener speaks. */
static void set_protocols(struct rg_tls_site *site, const struct rg_tls_source *source)
{
    const struct rg_tls_settings *s = source->settings;
    for (unsigned i = 0; i < s->n_alpn; i++) {
        if (s->alpn[i] == RG_ALPN_HTTP11)
            add_http1(site);
        else if (source->http2)
            add_protocol(site, "h2");
    }
    if (site->alpn_len > 0)
        return;
    if (source->http2)
        add_protocol(site, "h2");
    add_http1(site);
}

static void drop_site(struct rg_tls_site *site, uint16_t workers)
{
    if (!site || --site->refs > 0)
        return;
    for (unsigned i = 0; site->contexts && i < (unsigned)workers * site->n_contexts; i++)
        SSL_CTX_free(site->contexts[i]);
    free(site->contexts);
    for (unsigned i = 0; i < RG_TLS_CERTIFICATES_MAX; i++)
        OPENSSL_free(site->staples[i].der);
    rg_tls_names_fini(&site->names);
    free(site);
}

static int build_site(struct build *b, struct rg_tls_site **ret)
{
    struct rg_tls_site *site = calloc(1, sizeof(*site));
    int r = -ENOMEM;
    if (!site)
        return r;
    site->refs = 1;
    set_protocols(site, b->source);
    r = parse_pairs(b) ? plan_contexts(b, site) : -EINVAL;
    for (unsigned i = 0; r == 0 && i < b->source->settings->n_certificates; i++)
        note_times(b, site, i);
    for (unsigned i = 0; r == 0 && i < b->source->settings->n_certificates; i++)
        keep_staple(b, site, i);
    if (r == 0 && b->failed)
        r = -EINVAL;
    if (r == 0)
        r = make_contexts(b, site);
    for (unsigned i = 0; i < RG_TLS_CERTIFICATES_MAX; i++)
        free_pair(&b->pairs[i]);
    if (r == 0)
        *ret = site;
    else
        drop_site(site, b->workers);
    return r;
}

int rg_tls_store_create(struct rg_tls_store **ret, const struct rg_tls_source *sources, unsigned n, uint16_t workers,
                        const struct rg_tls_keys *keys, const struct rg_tls_reports *reports)
{
    struct rg_tls_store *store = calloc(1, sizeof(*store));
    int r = store ? 0 : -ENOMEM;
    if (r < 0)
        return r;
    store->workers = workers;
    store->n = (uint16_t)n;
    store->keys = *keys;
    for (unsigned i = 0; i < n && r != -ENOMEM; i++) {
        struct build b = {.source = &sources[i],
                          .reports = reports,
                          .listener = i,
                          .lifetime_s = keys->lifetime_s,
                          .workers = workers,
                          .library = rg_tls_library_of(0)};
        int one = sources[i].settings->n_certificates ? build_site(&b, &store->sites[i]) : 0;
        r = one < 0 ? one : r; /* what is wrong with the others is told, too */
    }
    if (r == 0)
        *ret = store;
    else
        rg_tls_store_destroy(store);
    return r;
}

int rg_tls_store_rekey(struct rg_tls_store **ret, const struct rg_tls_store *store, const struct rg_tls_keys *keys)
{
    struct rg_tls_store *copy = malloc(sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    *copy = *store;
    copy->keys = *keys;
    for (unsigned i = 0; i < copy->n; i++)
        if (copy->sites[i])
            copy->sites[i]->refs++;
    *ret = copy;
    return 0;
}

uint64_t rg_tls_store_expiry(const struct rg_tls_store *store)
{
    int64_t first = 0;
    for (unsigned i = 0; store && i < store->n; i++)
        if (store->sites[i] && (first == 0 || store->sites[i]->expiry_s < first))
            first = store->sites[i]->expiry_s;
    return first > 0 ? (uint64_t)first : 0;
}

void rg_tls_store_destroy(struct rg_tls_store *store)
{
    if (!store)
        return;
    for (unsigned i = 0; i < store->n; i++)
        drop_site(store->sites[i], store->workers);
    rg_tls_keys_wipe(&store->keys);
    free(store);
}
