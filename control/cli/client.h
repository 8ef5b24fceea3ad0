/*
 * HTTP to the platform or to an admin endpoint, by libcurl: one connection that is kept, one call at a time, answers of
 * bounded size. Certificates are verified unless the operator said otherwise.
 *
 * Owner: whoever called init. Thread: one.
 */
#ifndef RG_CLI_CLIENT_H
#define RG_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define RG_CLIENT_URL_DEFAULT "http://127.0.0.1:9080"
#define RG_CLIENT_API         "/api/v0.9"
#define RG_CLIENT_ANSWER_MAX  (64u * 1024 * 1024)
#define RG_CLIENT_TOKEN_MAX   8192u

struct rg_client_config {
    const char *url;         /* http://HOST[:PORT] or https://HOST[:PORT]; a path before the API's is kept */
    const char *unix_socket; /* NULL: by the URL's host */
    const char *token;       /* NULL: none is sent */
    const char *ca_file;     /* NULL: the system's authorities */
    bool insecure;           /* certificates are not verified */
    bool is_admin;           /* a gateway's admin endpoint is asked, not the platform */
};

/* The views of the configuration must outlive the client. */
struct rg_client {
    struct rg_client_config config;
    void *curl;
    char trouble[768]; /* why the last call got no answer, with a remedy; for people */
};

struct rg_client_answer {
    long status;
    char *text; /* the body, a NUL after it */
    size_t len;
    json_t *json; /* NULL: not JSON */
};

/* Whether a URL names this machine by a loopback address: no proxy stands before it, and nobody listens on the way. */
bool rg_client_is_local(const char *url);

/* -EINVAL: trouble says why (a URL that is none); -ENOMEM. */
int rg_client_init(struct rg_client *client, const struct rg_client_config *config);
void rg_client_fini(struct rg_client *client);

/* 0 for any answer, whatever its status; else a negative errno and trouble. fini the answer after 0. */
int rg_client_call(struct rg_client *client, const char *method, const char *path, const json_t *body,
                   struct rg_client_answer *ret);
void rg_client_answer_fini(struct rg_client_answer *answer);

/*
 * GET of an endless answer: bytes go to `each` as they come, which returns false to end it (then 0). A status other
 * than 200 comes as an answer like that of rg_client_call; its status is 200 when the stream had begun. limit_ms 0: as
 * long as it lasts; passed: -ETIMEDOUT.
 */
int rg_client_stream(struct rg_client *client, const char *path, long limit_ms,
                     bool (*each)(void *owner, const char *bytes, size_t n), void *owner, struct rg_client_answer *ret);

#endif
