/* See certificates.h. */
#include "control/gateway/certificates.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "control/common/file.h"
#include "datapath/base/log.h"

#define FILE_MAX    (1024 * 1024)
#define KEYS_WANTED "a file with 80 random bytes for each of 1 to 8 keys"

#define FILES_MAX (RG_LISTENERS_MAX * (RG_TLS_CERTIFICATES_MAX * 3 + 1) + 1)

/* All files of all listeners, in memory for as long as a store is made of them. */
struct files {
    struct rg_tls_source sources[RG_LISTENERS_MAX];
    char *texts[FILES_MAX];
    size_t lens[FILES_MAX];
    unsigned n;
};

/* ---- files ---- */

static int read_file(struct files *files, const char *path, struct rg_str *ret)
{
    char *text = NULL;
    size_t len = 0;
    int r = rg_file_load_all(path, RG_FILE_REGULAR, FILE_MAX, &text, &len);
    if (r < 0)
        return r;
    files->texts[files->n] = text;
    files->lens[files->n++] = len;
    *ret = (struct rg_str){text, len};
    return 0;
}

static void forget(struct files *files)
{
    for (unsigned i = 0; i < files->n; i++) {
        explicit_bzero(files->texts[i], files->lens[i]);
        free(files->texts[i]);
    }
    free(files);
}

static const char *remedy_of(int err)
{
    switch (err) {
    case ENOENT:
        return "put the file there, or correct the path";
    case EACCES:
    case EPERM:
        return "let the user that the gateway runs as read it";
    case EISDIR:
    case EINVAL:
        return "name a regular file";
    case EFBIG:
        return "files have at most 1 MiB";
    default:
        return NULL;
    }
}

/* Where the path of a file is, where its text goes, and how it is called. */
static const struct kind {
    size_t setting, setting_stride, text;
    const char *name, *wanted;
} kinds[] = {
#define CERTIFICATE(m)                                                                           \
    offsetof(struct rg_tls_settings, certificates[0].m), sizeof(struct rg_certificate_settings), \
        offsetof(struct rg_tls_source, m), #m
    [RG_TLS_AT_CERT] = {CERTIFICATE(cert), "a certificate in PEM"},
    [RG_TLS_AT_KEY] = {CERTIFICATE(key), "a private key in PEM"},
    [RG_TLS_AT_OCSP] = {CERTIFICATE(ocsp), "an answer of the certificate's authority"},
    [RG_TLS_AT_CLIENT_CA] = {offsetof(struct rg_tls_settings, client_ca), 0, offsetof(struct rg_tls_source, client_ca),
                             "client_ca", "certificates of authorities in PEM"},
#undef CERTIFICATE
};

static bool read_or_report(struct files *files, unsigned listener, unsigned i, enum rg_tls_place place,
                           const struct rg_tls_reports *reports)
{
    const struct rg_tls_source *source = &files->sources[listener];
    const struct kind *kind = &kinds[place];
    const char *path = (const char *)source->settings + kind->setting + i * kind->setting_stride;
    struct rg_str *to = (struct rg_str *)(void *)((char *)&files->sources[listener] + kind->text) + i;
    int r = path[0] ? read_file(files, path, to) : 0;
    if (r == 0)
        return true;
    struct rg_tls_fault fault = {
        .place = place, .listener = listener, .certificate = i, .wanted = kind->wanted, .remedy = remedy_of(-r)};
    snprintf(fault.got, sizeof(fault.got), "\"%s\", which can't be read (%s)", path, strerror(-r));
    reports->fault(&fault, reports->arg);
    return false;
}

/* Those of the file take the place of others. */
static bool read_ticket_keys(struct files *files, const struct rg_settings *s, struct rg_tls_keys *keys,
                             const struct rg_tls_reports *reports)
{
    struct rg_str bytes = RG_STR_NONE;
    struct rg_tls_fault fault = {.place = RG_TLS_AT_TICKET_KEYS, .wanted = KEYS_WANTED};
    int r = read_file(files, s->ticket_keys, &bytes);
    if (r == 0 && rg_tls_keys_parse(bytes, keys))
        return true;
    if (r < 0)
        snprintf(fault.got, sizeof(fault.got), "\"%s\", which can't be read (%s)", s->ticket_keys, strerror(-r));
    else
        snprintf(fault.got, sizeof(fault.got), "\"%s\", which has %zu bytes", s->ticket_keys, bytes.len);
    fault.remedy = r < 0 ? remedy_of(-r) : "`openssl rand 80` makes a key";
    reports->fault(&fault, reports->arg);
    return false;
}

/* An option whose path was refused already has no value. */
static bool is_complete(const struct rg_tls_settings *s)
{
    if (s->client_certificates != RG_CLIENT_CERT_OFF && !s->client_ca[0])
        return false;
    for (unsigned i = 0; i < s->n_certificates; i++)
        if (!s->certificates[i].cert[0] || !s->certificates[i].key[0])
            return false;
    return s->n_certificates > 0;
}

static bool read_listener(struct files *files, unsigned listener, const struct rg_tls_reports *reports)
{
    bool ok = true;
    for (unsigned i = 0; i < files->sources[listener].settings->n_certificates; i++) {
        ok = read_or_report(files, listener, i, RG_TLS_AT_CERT, reports) && ok;
        ok = read_or_report(files, listener, i, RG_TLS_AT_KEY, reports) && ok;
        ok = read_or_report(files, listener, i, RG_TLS_AT_OCSP, reports) && ok;
    }
    return read_or_report(files, listener, 0, RG_TLS_AT_CLIENT_CA, reports) && ok;
}

/* Of listeners whose files can't be read the rest is not looked at: each error is told once. */
static int load(const struct rg_settings *s, uint16_t workers, const struct rg_tls_keys *own_keys,
                const struct rg_tls_reports *reports, struct rg_tls_store **ret)
{
    struct rg_tls_keys keys = *own_keys;
    static const struct rg_tls_settings none;
    bool any = false, all_read = true;
    struct files *files = calloc(1, sizeof(*files));
    if (!files)
        return -ENOMEM;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        const struct rg_tls_settings *tls = &s->listeners[i].tls;
        files->sources[i].settings = is_complete(tls) ? tls : &none;
        files->sources[i].http2 = s->listeners[i].http2;
        any = any || is_complete(tls);
        if (!read_listener(files, i, reports)) {
            files->sources[i].settings = &none;
            all_read = false;
        }
    }
    if (s->ticket_keys_on && !read_ticket_keys(files, s, &keys, reports))
        all_read = false;
    struct rg_tls_store *store = NULL;
    int r = any ? rg_tls_store_create(&store, files->sources, s->n_listeners, workers, &keys, reports) : 0;
    rg_tls_keys_wipe(&keys);
    forget(files);
    if (r == 0 && !all_read) {
        rg_tls_store_destroy(store);
        r = -EINVAL;
    }
    if (r == 0)
        *ret = store;
    return r;
}

/* ---- words ---- */

static void name_place(enum rg_tls_place place, unsigned listener, unsigned certificate, char *buf, size_t len)
{
    int n = snprintf(buf, len, "listeners[%u].tls", listener);
    size_t used = n > 0 ? (size_t)n : 0;
    if (place == RG_TLS_AT_TICKET_KEYS)
        snprintf(buf, len, "tls.ticket_keys");
    else if (place == RG_TLS_AT_CIPHERS)
        snprintf(buf + used, len - used, ".ciphers");
    else if (place == RG_TLS_AT_CLIENT_CA)
        snprintf(buf + used, len - used, ".client_ca");
    else if (place != RG_TLS_AT_LISTENER)
        snprintf(buf + used, len - used, ".certificates[%u].%s", certificate, kinds[place].name);
}

static void describe_notice(const struct rg_tls_notice *n, char *buf, size_t len)
{
    snprintf(buf, len, "the certificate %s %s; clients will refuse it",
             n->expired ? "has expired on" : "is not valid before", n->when);
}

/* ---- as errors of the configuration ---- */

static void add_finding(const struct rg_tls_fault *fault, void *arg)
{
    char path[96];
    name_place(fault->place, fault->listener, fault->certificate, path, sizeof(path));
    rg_options_refuse(arg, path, fault->got, fault->wanted ? fault->wanted : "others", fault->remedy);
}

void rg_certificates_inspect(const struct rg_settings *s, struct rg_options_findings *findings)
{
    const struct rg_tls_reports reports = {.fault = add_finding, .arg = findings};
    const struct rg_tls_keys no_keys = {0};
    struct rg_tls_store *store = NULL;
    if (load(s, 1, &no_keys, &reports, &store) == 0)
        rg_tls_store_destroy(store);
}

/* ---- to the log ---- */

static void log_fault(const struct rg_tls_fault *fault, void *arg)
{
    (void)arg;
    char path[96];
    name_place(fault->place, fault->listener, fault->certificate, path, sizeof(path));
    rg_error("%s: got %s, wanted %s%s%s", path, fault->got, fault->wanted ? fault->wanted : "others",
             fault->remedy ? "; " : "", fault->remedy ? fault->remedy : "");
}

static void log_notice(const struct rg_tls_notice *notice, void *arg)
{
    (void)arg;
    char text[160];
    describe_notice(notice, text, sizeof(text));
    rg_warn("%s cert=%s", text, notice->file);
}

int rg_certificates_load(const struct rg_settings *s, uint16_t workers, const struct rg_tls_keys *keys,
                         struct rg_tls_store **ret)
{
    const struct rg_tls_reports reports = {.fault = log_fault, .notice = log_notice};
    return load(s, workers, keys, &reports, ret);
}

/* ---- warnings of -t ---- */

struct warning {
    const char *prefix;
    FILE *out;
};

static void print_notice(const struct rg_tls_notice *notice, void *arg)
{
    const struct warning *w = arg;
    char path[96], text[160];
    name_place(RG_TLS_AT_CERT, notice->listener, notice->certificate, path, sizeof(path));
    describe_notice(notice, text, sizeof(text));
    fprintf(w->out, "%s: warning: %s: %s\n", w->prefix, path, text);
}

static void warn_of_mode(const struct warning *w, const char *option, const char *path)
{
    struct stat st;
    if (path[0] && stat(path, &st) == 0 && (st.st_mode & S_IRWXO))
        fprintf(w->out, "%s: warning: %s: all users may use %s, which holds a secret; chmod 640 %s\n", w->prefix,
                option, path, path);
}

static void warn_of_modes(const struct warning *w, const struct rg_settings *s)
{
    char option[96];
    for (unsigned i = 0; i < s->n_listeners; i++) {
        const struct rg_tls_settings *tls = &s->listeners[i].tls;
        for (unsigned j = 0; j < tls->n_certificates; j++) {
            name_place(RG_TLS_AT_KEY, i, j, option, sizeof(option));
            warn_of_mode(w, option, tls->certificates[j].key);
        }
    }
    if (s->ticket_keys_on)
        warn_of_mode(w, "tls.ticket_keys", s->ticket_keys);
}

static void ignore_fault(const struct rg_tls_fault *fault, void *arg)
{
    (void)fault;
    (void)arg;
}

void rg_certificates_warn(const struct rg_settings *s, const char *prefix, FILE *out)
{
    struct warning w = {prefix, out};
    const struct rg_tls_reports reports = {.fault = ignore_fault, .notice = print_notice, .arg = &w};
    const struct rg_tls_keys no_keys = {0};
    struct rg_tls_store *store = NULL;
    warn_of_modes(&w, s);
    if (load(s, 1, &no_keys, &reports, &store) == 0)
        rg_tls_store_destroy(store);
}
