/* See fetch.h, from the end of a fetch backwards: the callback, what went wrong, a try, what others may ask for. */
#include "control/agent/fetch.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "control/agent/retry.h"
#include "control/common/json.h"
#include "datapath/base/log.h"

#define API           "/api/internal/v1"
#define TIMEOUT_S     30L
#define PAUSE_MS      500
#define PAUSE_MOST_MS 8000
#define SLOW_BYTES_S  1L /* a transfer that stands still for SLOW_S is given up before its time is over */
#define SLOW_S        15L

struct rg_fetch {
    struct rg_transfer transfer;
    struct rg_fetcher *fetcher;
    struct rg_list link;
    struct rg_alarm again;
    struct curl_slist *fields;
    char *path, *accept, *sent;
    size_t sent_len, max_bytes;
    bool post;
    void *owner;
    rg_fetch_done done;

    unsigned tries;
    uint64_t began_ms;
    char *body;
    size_t len, room;
    bool too_large;
    char why[RG_FETCH_WHY_MAX];
};

static void try_once(struct rg_fetch *f);

/* ---- The end ---- */

static void end_try(struct rg_fetch *f)
{
    rg_transfers_remove(f->fetcher->transfers, &f->transfer);
    curl_slist_free_all(f->fields); /* has the token; libcurl keeps copies of its own anyway */
    f->fields = NULL;
}

static void destroy(struct rg_fetch *f)
{
    end_try(f);
    rg_loop_clear_alarm(f->fetcher->transfers->loop, &f->again);
    rg_list_remove(&f->link);
    if (f->body)
        OPENSSL_cleanse(f->body, f->room); /* it may be a secret */
    free(f->body);
    free(f->sent);
    free(f->accept);
    free(f->path);
    free(f);
}

void rg_fetch_cancel(struct rg_fetch *f)
{
    if (f)
        destroy(f);
}

static void finish(struct rg_fetch *f, long status)
{
    struct rg_fetcher *fetcher = f->fetcher;
    bool ok = status >= 200 && status < 300 && !f->why[0];
    struct rg_fetch_answer answer = {status, ok, {f->body, f->len}, f->why};
    uint64_t took_ms = rg_now_ms() - f->began_ms;
    ++*(ok ? fetcher->ok : fetcher->failed);
    rg_histogram_record(fetcher->took, took_ms * 1000);
    rg_debug("control: fetched path=%s status=%ld bytes=%zu tries=%u took_ms=%llu", f->path, status, f->len, f->tries,
             (unsigned long long)took_ms);
    end_try(f);
    f->done(f->owner, &answer);
    destroy(f);
}

/* ---- What went wrong ---- */

/* The control plane's own words, when it has some. */
static void explain_status(struct rg_fetch *f, long status)
{
    char unused[128];
    json_t *root = f->len > 0 ? rg_json_parse((struct rg_str){f->body, f->len}, unused, sizeof(unused)) : NULL;
    const char *text = json_string_value(json_object_get(root, "description"));
    if (!text)
        text = json_string_value(json_object_get(root, "message"));
    snprintf(f->why, sizeof(f->why), "the control plane answered %ld to %s%s%.200s%s", status, f->path,
             text ? " (" : "", text ? text : "", text ? ")" : "");
    json_decref(root);
}

static void explain_failure(struct rg_fetch *f, CURLcode result)
{
    if (f->too_large)
        snprintf(f->why, sizeof(f->why), "the answer to %s is larger than %zu bytes", f->path, f->max_bytes);
    else
        snprintf(f->why, sizeof(f->why), "%s could not be fetched: %s", f->path,
                 f->transfer.error[0] ? f->transfer.error : curl_easy_strerror(result));
}

static bool is_worth_another(const struct rg_fetch *f, CURLcode result, long status)
{
    if (f->tries >= RG_FETCH_TRIES || f->too_large)
        return false;
    return result != CURLE_OK || status == 429 || status >= 500;
}

static void transfer_ended(struct rg_transfer *t, CURLcode result)
{
    struct rg_fetch *f = RG_OWNER(t, struct rg_fetch, transfer);
    long status = 0;
    f->why[0] = '\0';
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result != CURLE_OK)
        explain_failure(f, result);
    else if (status < 200 || status >= 300)
        explain_status(f, status);
    if (!is_worth_another(f, result, status)) {
        finish(f, result == CURLE_OK ? status : 0);
        return;
    }
    ++*f->fetcher->retried;
    rg_debug("control: fetch failed, trying again path=%s reason=\"%s\"", f->path, f->why);
    end_try(f);
    rg_loop_set_alarm(f->fetcher->transfers->loop, &f->again, rg_retry_delay(f->tries - 1, PAUSE_MS, PAUSE_MOST_MS));
}

/* ---- A try ---- */

static size_t take_body(char *bytes, size_t size, size_t n, void *owner)
{
    struct rg_fetch *f = owner;
    size_t len = size * n;
    if (len > f->max_bytes - f->len) {
        f->too_large = true;
        return 0; /* ends the transfer */
    }
    if (len > f->room - f->len) {
        size_t room = f->room ? f->room : 4096;
        while (room - f->len < len)
            room *= 2;
        char *body = realloc(f->body, room);
        if (!body)
            return 0;
        f->body = body;
        f->room = room;
    }
    memcpy(f->body + f->len, bytes, len);
    f->len += len;
    return len;
}

static bool add_field(struct rg_fetch *f, const char *name, const char *value)
{
    char line[RG_TOKEN_MAX + 64];
    snprintf(line, sizeof(line), "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(f->fields, line);
    OPENSSL_cleanse(line, sizeof(line));
    if (longer)
        f->fields = longer;
    return longer != NULL;
}

static bool set_fields(struct rg_fetch *f)
{
    bool ok = add_field(f, "api-key", f->fetcher->remote->token);
    ok = ok && add_field(f, "Accept", f->accept ? f->accept : "application/json");
    ok = ok && add_field(f, "Expect", ""); /* none: a body is small, and a round trip is long */
    if (f->post)
        ok = ok && add_field(f, "Content-Type", "application/json");
    return ok && curl_easy_setopt(f->transfer.easy, CURLOPT_HTTPHEADER, f->fields) == CURLE_OK;
}

static bool set_up(struct rg_fetch *f)
{
    const struct rg_remote *r = f->fetcher->remote;
    CURL *easy = f->transfer.easy;
    char url[1024];
    snprintf(url, sizeof(url), "%s%s" API "%s", r->base, r->path, f->path);
    bool ok = rg_remote_prepare(r, easy) && set_fields(f);
    ok = ok && curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_USERAGENT, "ringgate/" RG_VERSION) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_TIMEOUT, TIMEOUT_S) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES_S) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, SLOW_S) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_WRITEDATA, f) == CURLE_OK;
    if (f->post) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->sent_len) == CURLE_OK;
        ok = ok && curl_easy_setopt(easy, CURLOPT_POSTFIELDS, f->sent_len ? f->sent : "") == CURLE_OK;
    }
    return ok;
}

/* A failure of our own comes by callback as well, from the loop. */
static void try_once(struct rg_fetch *f)
{
    f->tries++;
    f->len = 0;
    f->transfer.easy = curl_easy_init();
    if (f->transfer.easy && set_up(f) && rg_transfers_add(f->fetcher->transfers, &f->transfer))
        return;
    end_try(f);
    f->tries = RG_FETCH_TRIES;
    rg_loop_set_alarm(f->fetcher->transfers->loop, &f->again, 0);
}

static void again_due(struct rg_alarm *a)
{
    struct rg_fetch *f = RG_OWNER(a, struct rg_fetch, again);
    if (f->tries < RG_FETCH_TRIES) {
        try_once(f);
        return;
    }
    snprintf(f->why, sizeof(f->why), "%s could not be fetched: no memory", f->path);
    finish(f, 0);
}

/* ---- From outside ---- */

static bool copy_request(struct rg_fetch *f, const struct rg_fetch_request *request)
{
    f->path = strdup(request->path);
    f->accept = request->accept ? strdup(request->accept) : NULL;
    f->post = request->post || request->body.len > 0;
    f->max_bytes = request->max_bytes;
    f->owner = request->owner;
    if (request->body.len > 0) {
        f->sent = malloc(request->body.len);
        if (f->sent)
            memcpy(f->sent, request->body.ptr, request->body.len);
        f->sent_len = request->body.len;
    }
    return f->path && (f->accept || !request->accept) && (f->sent || request->body.len == 0);
}

struct rg_fetch *rg_fetch_begin(struct rg_fetcher *fetcher, const struct rg_fetch_request *request, rg_fetch_done done)
{
    struct rg_fetch *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->fetcher = fetcher;
    f->transfer.ended = transfer_ended;
    f->again.due = again_due;
    f->done = done;
    f->began_ms = rg_now_ms();
    rg_list_append(&fetcher->running, &f->link);
    if (!copy_request(f, request)) {
        destroy(f);
        return NULL;
    }
    try_once(f);
    return f;
}

void rg_fetcher_init(struct rg_fetcher *f, const struct rg_remote *remote, struct rg_transfers *transfers)
{
    static uint64_t nowhere;
    static struct rg_histogram no_histogram;
    *f = (struct rg_fetcher){.remote = remote,
                             .transfers = transfers,
                             .ok = &nowhere,
                             .failed = &nowhere,
                             .retried = &nowhere,
                             .took = &no_histogram};
    rg_list_init(&f->running);
}

void rg_fetcher_fini(struct rg_fetcher *f)
{
    for (struct rg_list *at = f->running.next, *next; at != &f->running; at = next) {
        next = at->next;
        destroy(RG_CONTAINER(at, struct rg_fetch, link));
    }
}
