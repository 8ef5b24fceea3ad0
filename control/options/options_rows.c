/* Why: the words and the value of a kind of its own that options of listeners and limits take. Thread: any (constant
 * data). */
#include "control/options/options_rows.h"

#include "datapath/base/log.h"

const struct rg_conf_word rg_words_client_certificates[] = {
    {"off", RG_CLIENT_CERT_OFF, NULL},
    {"optional", RG_CLIENT_CERT_OPTIONAL, NULL},
    {"required", RG_CLIENT_CERT_REQUIRED, NULL},
    {0},
};

const struct rg_conf_word rg_words_format[] = {{"json", RG_ACCESS_JSON, NULL}, {0}};

const struct rg_conf_word rg_words_alpn[] = {
    {"http/1.1", RG_ALPN_HTTP11, NULL},
    {"h2", RG_ALPN_H2, NULL},
    {0},
};

const struct rg_conf_word rg_words_log_level[] = {
    {"error", RG_LOG_ERROR, NULL},
    {"warn", RG_LOG_WARN, NULL},
    {"info", RG_LOG_INFO, NULL},
    {"debug", RG_LOG_DEBUG, NULL},
    {0},
};

const struct rg_conf_word rg_words_redirect[] = {{"off", 0, NULL}, {"301", 301, NULL}, {"308", 308, NULL}, {0}};

/* 0 is no count of workers, so it can stand for auto until the CPUs are counted. */
const struct rg_conf_word rg_words_workers[] = {{"auto", 0, NULL}, {0}};

const struct rg_conf_word rg_words_tls_version[] = {
    {"1.2", RG_TLS_1_2, NULL},
    {"1.3", RG_TLS_1_3, NULL},
    {"1.1", 0, "TLS before 1.2 is broken, and spoken nowhere any more"},
    {"1.0", 0, "TLS before 1.2 is broken, and spoken nowhere any more"},
    {0},
};

const struct rg_conf_word rg_words_proxy[] = {
    {"off", RG_PROXY_MODE_OFF, NULL},
    {"accept", RG_PROXY_MODE_ACCEPT, NULL},
    {"require", RG_PROXY_MODE_REQUIRE, NULL},
    {0},
};

/* --- listeners[].tls.ciphers: what OpenSSL makes of it is seen when it is used --- */

static bool is_cipher_list(struct rg_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || strchr("\"'\\", text.ptr[i]))
            return false;
    return text.len > 0;
}

static bool ciphers_parse(struct rg_str text, void *target)
{
    char *ciphers = target;
    bool is_default = rg_str_eq(text, RG_STR("default"));
    if (!is_cipher_list(text) || text.len >= sizeof(((struct rg_tls_settings *)0)->ciphers))
        return false;
    memset(ciphers, 0, sizeof(((struct rg_tls_settings *)0)->ciphers));
    if (!is_default)
        memcpy(ciphers, text.ptr, text.len);
    return true;
}

static void ciphers_format(const void *target, char *buf, size_t len)
{
    const char *ciphers = target;
    snprintf(buf, len, "%s", ciphers[0] ? ciphers : "default");
}

static bool ciphers_equal(const void *a, const void *b)
{
    return strcmp(a, b) == 0;
}

static void ciphers_copy(void *to, const void *from)
{
    memcpy(to, from, sizeof(((struct rg_tls_settings *)0)->ciphers));
}

const struct rg_conf_custom rg_custom_ciphers = {
    .parse = ciphers_parse,
    .format = ciphers_format,
    .equal = ciphers_equal,
    .copy = ciphers_copy,
    .wanted = "default, or ciphers like ECDHE+AESGCM:ECDHE+CHACHA20",
    .schema = "\"type\": \"string\", \"maxLength\": 511, \"pattern\": \"^[!#-&(-[-~\\\\]]+$\"",
    .any_word = true,
};
