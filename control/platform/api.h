/*
 * The platform's API as one function: a request and the database in, an answer and a list of effects out. No sockets:
 * whoever carries requests (http_server) fills in the request, sends the answer once the store has committed, and then
 * carries out the effects. Both APIs go through here: the public one (/api/v0.9) and the gateways' (/api/internal/v1).
 *
 * Owner: the request's texts are views of the caller's and are not kept; answer and effects belong to the caller and
 * are emptied by their fini. Thread: the store's (store.h); a request is handled inside the transaction of its job.
 */
#ifndef RG_PLATFORM_API_H
#define RG_PLATFORM_API_H

#include "control/platform/effects.h"
#include "datapath/base/str.h"

struct rg_store;

#define RG_API_BODY_MAX  (1024u * 1024u) /* more is answered 413; a carrier may refuse sooner */
#define RG_API_LOCATION  256
#define RG_API_FILE_NAME 128

struct rg_api_request {
    struct rg_str method;
    struct rg_str path;  /* without the query, percent escapes as they came */
    struct rg_str query; /* without the '?' */
    struct rg_str body;
    struct rg_str content_type, accept;
    struct rg_str bearer;     /* of `Authorization: Bearer`; "" without */
    struct rg_str api_key;    /* of the field `api-key`; "" without */
    struct rg_str peer;       /* the client's address as text, for the audit */
    struct rg_str request_id; /* becomes the correlation id of events, and the tracking id of 5xx */
};

/* Zeroed before, emptied by rg_api_answer_fini. */
struct rg_api_answer {
    unsigned status;
    const char *content_type; /* NULL: no body */
    char *body;               /* of malloc */
    size_t body_len;
    char location[RG_API_LOCATION];     /* "": none */
    char file_name[RG_API_FILE_NAME];   /* of Content-Disposition: attachment; "": none */
    const char *allow;                  /* of 405; NULL: none. Constant text */
    unsigned retry_after;               /* seconds; 0: none */
    const char *authenticate;           /* WWW-Authenticate of 401; NULL: none */
    bool stream;                        /* GET /events: go on as Server-Sent Events of `organization` */
    char organization[RG_UUID_LEN + 1]; /* of whoever asked; "" for gateways and strangers */
    char token[RG_UUID_LEN + 1];        /* the id of theirs; the same */
    int64_t expires_ms;                 /* of that token, as the store counts time; 0: never */
};

/* For 507: a full disk is found by a statement, or only by the commit. */
#define RG_STORAGE_FULL      "STORAGE_FULL"
#define RG_STORAGE_FULL_TEXT "The platform's disk is full; nothing was changed. Make room where its option data leads."

/*
 * Always answers. What was refused or failed has changed nothing in the database, and has no effects. Opens a
 * transaction where none is open.
 */
void rg_api_handle(struct rg_store *store, const struct rg_api_request *request, struct rg_api_answer *answer,
                   struct rg_effects *effects);

void rg_api_answer_fini(struct rg_api_answer *answer);

/* Replaces whatever the answer holds by an error of the shape that `path`'s API has: for carriers (413, 429, 503). */
void rg_api_answer_refuse(struct rg_api_answer *answer, struct rg_str path, unsigned status, const char *code,
                          const char *message);

#endif
