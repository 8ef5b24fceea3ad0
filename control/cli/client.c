/* See client.h. Why a file of its own for errors (client_trouble.c): they are for people, this is for bytes. */
#include "control/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/client_trouble.h"
#include "control/common/address.h"
#include "control/common/json.h"

#define CONNECT_LIMIT_MS 10000L
#define CALL_LIMIT_MS    60000L

struct transfer {
    struct rg_client *client;
    struct rg_client_answer *answer;
    bool (*each)(void *owner, const char *bytes, size_t n); /* NULL: the body is collected */
    void *owner;
    bool ended;
    bool too_large;
};

int rg_client_init(struct rg_client *client, const struct rg_client_config *config)
{
    *client = (struct rg_client){.config = *config};
    if (strncmp(config->url, "http://", 7) != 0 && strncmp(config->url, "https://", 8) != 0) {
        rg_client_trouble_url(client);
        return -EINVAL;
    }
    client->curl = curl_easy_init();
    return client->curl ? 0 : -ENOMEM;
}

bool rg_client_is_local(const char *url)
{
    struct rg_address address;
    struct rg_address_error why;
    char with_port[300];
    const char *authority = strstr(url, "://");
    authority = authority ? authority + 3 : url;
    size_t len = strcspn(authority, "/?#");
    if (len == 0 || len > 255 || memchr(authority, '@', len))
        return false;
    /* an address needs a port, a URL does not */
    bool has_port = authority[len - 1] != ']' && memrchr(authority, ':', len);
    snprintf(with_port, sizeof(with_port), "%.*s%s", (int)len, authority, has_port ? "" : ":80");
    return rg_address_parse(rg_str_of(with_port), RG_ADDRESS_LOCAL, &address, &why) && rg_address_is_loopback(&address);
}

void rg_client_fini(struct rg_client *client)
{
    curl_easy_cleanup(client->curl);
    client->curl = NULL;
}

void rg_client_answer_fini(struct rg_client_answer *answer)
{
    free(answer->text);
    json_decref(answer->json);
    *answer = (struct rg_client_answer){0};
}

static bool collect(struct transfer *t, const char *bytes, size_t n)
{
    struct rg_client_answer *a = t->answer;
    if (n > RG_CLIENT_ANSWER_MAX - a->len) {
        t->too_large = true;
        return false;
    }
    char *text = realloc(a->text, a->len + n + 1);
    if (!text)
        return false;
    memcpy(text + a->len, bytes, n);
    a->text = text;
    a->len += n;
    a->text[a->len] = '\0';
    return true;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *to)
{
    struct transfer *t = to;
    long status = 0;
    curl_easy_getinfo(t->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!t->each || status != 200)
        return collect(t, bytes, size * n) ? size * n : 0;
    t->ended = !t->each(t->owner, bytes, size * n);
    return t->ended ? 0 : size * n;
}

static void set_trust(CURL *curl, const struct rg_client_config *config)
{
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, config->insecure ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, config->insecure ? 0L : 2L);
    if (config->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, config->ca_file);
}

/* No redirects: the token is for this host alone. */
static void set_common(struct transfer *t, const char *url)
{
    CURL *curl = t->client->curl;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "rgctl/" RG_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_LIMIT_MS);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L); /* an endless answer may be silent for long */
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    if (t->client->config.unix_socket || rg_client_is_local(url))
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (t->client->config.unix_socket)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, t->client->config.unix_socket);
    set_trust(curl, &t->client->config);
}

static bool append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        return false;
    *list = longer;
    return true;
}

/* "Expect:" turns libcurl's wait for 100 (Continue) off: bodies are small and the platform is near. */
static int make_fields(const struct rg_client *client, const char *accept, bool has_body, struct curl_slist **ret)
{
    char token[RG_CLIENT_TOKEN_MAX + 32];
    if (client->config.token) {
        snprintf(token, sizeof(token), "Authorization: Bearer %s", client->config.token);
        if (!append(ret, token))
            return -ENOMEM;
    }
    if (!append(ret, accept) || !append(ret, "Expect:"))
        return -ENOMEM;
    return !has_body || append(ret, "Content-Type: application/json") ? 0 : -ENOMEM;
}

static void set_method(CURL *curl, const char *method, const char *body)
{
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    } else if (strcmp(method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
    if (strcmp(method, "GET") != 0)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

/* 0 when an answer has come; else the client's trouble is set. */
static int transfer(struct transfer *t, const char *method, const char *path, const char *accept, const char *body,
                    long limit_ms)
{
    struct rg_client *client = t->client;
    struct curl_slist *fields = NULL;
    char why[CURL_ERROR_SIZE] = "", *url = NULL;
    size_t base = strlen(client->config.url);
    while (base > 0 && client->config.url[base - 1] == '/')
        base--;
    int r = make_fields(client, accept, body != NULL, &fields);
    if (r == 0 && asprintf(&url, "%.*s%s", (int)base, client->config.url, path) < 0)
        r = -ENOMEM;
    if (r < 0)
        goto out;
    set_common(t, url);
    set_method(client->curl, method, body);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, limit_ms);
    CURLcode code = curl_easy_perform(client->curl);
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &t->answer->status);
    if (code != CURLE_OK && !t->ended)
        r = t->too_large ? rg_client_trouble_size(client) : rg_client_trouble(client, (int)code, why);
out:
    curl_slist_free_all(fields);
    free(url);
    return r;
}

static int finish(struct rg_client_answer *answer, int r, struct rg_client_answer *ret)
{
    char why[160];
    if (r < 0) {
        rg_client_answer_fini(answer);
        return r;
    }
    if (answer->len > 0)
        answer->json = rg_json_parse((struct rg_str){answer->text, answer->len}, why, sizeof(why));
    *ret = *answer;
    return 0;
}

int rg_client_call(struct rg_client *client, const char *method, const char *path, const json_t *body,
                   struct rg_client_answer *ret)
{
    struct rg_client_answer answer = {0};
    struct transfer t = {.client = client, .answer = &answer};
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (body && !text)
        return rg_client_trouble_memory(client);
    int r = transfer(&t, method, path, "Accept: application/json", text, CALL_LIMIT_MS);
    free(text);
    return finish(&answer, r, ret);
}

int rg_client_stream(struct rg_client *client, const char *path, long limit_ms,
                     bool (*each)(void *owner, const char *bytes, size_t n), void *owner, struct rg_client_answer *ret)
{
    struct rg_client_answer answer = {0};
    struct transfer t = {.client = client, .answer = &answer, .each = each, .owner = owner};
    int r = transfer(&t, "GET", path, "Accept: text/event-stream", NULL, limit_ms);
    return finish(&answer, r, ret);
}
