/* See remote.h. */
#include "control/agent/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/common/descriptors.h"
#include "control/common/file.h"
#include "control/options/control_url.h"
#include "control/options/options.h"

#define CONNECT_SECONDS 10L

void rg_remote_init(struct rg_remote *r, const struct rg_control_settings *s)
{
    struct rg_control_url url = {0};
    rg_control_url_parse(rg_str_of(s->url), &url);
    *r = (struct rg_remote){.tls = url.tls, .verify = !s->insecure_skip_verify};
    snprintf(r->host, sizeof(r->host), "%.*s", (int)url.host.len, url.host.ptr);
    snprintf(r->path, sizeof(r->path), "%.*s", (int)url.path.len, url.path.ptr);
    snprintf(r->base, sizeof(r->base), "%s://%s", url.tls ? "https" : "http", r->host);
    snprintf(r->ca_file, sizeof(r->ca_file), "%s", s->ca_file);
    snprintf(r->token_file, sizeof(r->token_file), "%s", s->token_file);
}

void rg_remote_fini(struct rg_remote *r)
{
    OPENSSL_cleanse(r->token, sizeof(r->token));
}

/* ---- The token ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* It becomes the value of a field: what could end it, or is no text, has no place in it. */
static bool is_token(struct rg_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return false;
    return true;
}

static int judge(const char *path, struct rg_str text, char *why)
{
    const char *wrong = text.len == 0             ? "is empty"
                        : text.len > RG_TOKEN_MAX ? "is longer than 4096 bytes"
                        : is_token(text)          ? NULL
                                                  : "has white space or control bytes in it";
    if (!wrong)
        return 0;
    snprintf(why, RG_TOKEN_WHY_MAX, "%s, which %s", path, wrong);
    return -EINVAL;
}

int rg_token_read(const char *path, char ret[RG_TOKEN_MAX + 1], char why[RG_TOKEN_WHY_MAX])
{
    char bytes[RG_TOKEN_MAX + 64] = {0}; /* room for white space around it */
    ssize_t n = rg_file_load(path, RG_FILE_REGULAR, bytes, sizeof(bytes));
    if (n < 0) {
        snprintf(why, RG_TOKEN_WHY_MAX, "%s, which can't be read (%s)", path,
                 n == -EINVAL || n == -EISDIR ? "it is no ordinary file" : strerror((int)-n));
        return (int)n;
    }
    struct rg_str text = {bytes, (size_t)n};
    while (text.len > 0 && is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    int r = judge(path, text, why);
    if (r == 0) {
        memcpy(ret, text.ptr, text.len);
        ret[text.len] = '\0';
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return r;
}

/* ---- Before a start ---- */

void rg_remote_inspect(const struct rg_settings *s, struct rg_options_findings *findings)
{
    char token[RG_TOKEN_MAX + 1], why[RG_TOKEN_WHY_MAX], got[RG_TOKEN_WHY_MAX];
    const struct rg_control_settings *c = &s->control;
    if (!c->url[0])
        return;
    if (c->token_file[0] && rg_token_read(c->token_file, token, why) < 0)
        rg_options_refuse(findings, "control.token_file", why, "a file with the gateway's registration token", NULL);
    OPENSSL_cleanse(token, sizeof(token));
    if (!c->ca_file[0] || access(c->ca_file, R_OK) == 0)
        return;
    snprintf(got, sizeof(got), "%s, which can't be read (%s)", c->ca_file, strerror(errno));
    rg_options_refuse(findings, "control.ca_file", got, "a file with certificates in PEM", NULL);
}

void rg_remote_warn(const struct rg_control_settings *s, void (*warn)(void *owner, const char *text), void *owner)
{
    struct rg_control_url url;
    struct stat st;
    char text[2 * RG_TOKEN_WHY_MAX];
    if (!s->url[0] || !rg_control_url_parse(rg_str_of(s->url), &url))
        return;
    if (!url.tls && !url.loopback)
        warn(owner, "control.url: it is in the clear: who is on the way reads the token and can deploy; use wss://");
    if (url.tls && s->insecure_skip_verify)
        warn(owner, "control.insecure_skip_verify: who is on the way can take the control plane's place; name its "
                    "authority in control.ca_file instead");
    if (s->token_file[0] && stat(s->token_file, &st) == 0 && (st.st_mode & S_IRWXO)) {
        snprintf(text, sizeof(text), "control.token_file: all users may use %s, which holds a secret; chmod 600 %s",
                 s->token_file, s->token_file);
        warn(owner, text);
    }
}

/* ---- Connections ---- */

/* With one of the reserve when clients hold all descriptors. */
static curl_socket_t open_socket(void *owner, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)owner;
    (void)purpose;
    int type = address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK;
    int fd = socket(address->family, type, address->protocol);
    if (fd < 0 && errno == EMFILE) {
        rg_descriptors_lift();
        fd = socket(address->family, type, address->protocol);
        rg_descriptors_lower();
    }
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

bool rg_remote_prepare(const struct rg_remote *r, CURL *easy)
{
    bool ok = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok =
        ok && curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK; /* no waiting for a name that does not come */
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, r->verify ? 1L : 0L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, r->verify ? 2L : 0L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK;
    if (r->ca_file[0])
        ok = ok && curl_easy_setopt(easy, CURLOPT_CAINFO, r->ca_file) == CURLE_OK;
    return ok;
}
