/*
 * One API call while it is handled: what handlers read and how they answer. A handler answers exactly once; what it has
 * done in the database holds only when the answer is no error.
 *
 * Owner: rg_api_handle; arena and body end with it. Thread: the store's.
 */
#ifndef RG_PLATFORM_CALL_H
#define RG_PLATFORM_CALL_H

#include <jansson.h>

#include "control/common/problems.h"
#include "control/platform/api.h"
#include "control/platform/kinds.h"
#include "control/platform/store_parts.h"
#include "datapath/base/arena.h"
#include "datapath/policy/param.h"

#define RG_CALL_ARGS       3
#define RG_CALL_HANDLE_MAX 100
#define RG_CALL_PAGE_MAX   100

/* Who may call. A higher role may what a lower one may. */
enum rg_scope {
    RG_SCOPE_NONE,    /* anybody */
    RG_SCOPE_READ,    /* role reader */
    RG_SCOPE_WRITE,   /* role operator */
    RG_SCOPE_ADMIN,   /* role admin: tokens, organizations */
    RG_SCOPE_GATEWAY, /* a gateway's token, in the field api-key */
};

struct rg_call;

struct rg_route {
    const char *method;
    const char *pattern; /* below the API's base; {name} is one segment */
    enum rg_scope scope;
    void (*handle)(struct rg_call *call);
    const struct rg_param *body; /* NULL: none is read */
    size_t body_size;            /* of the struct that it is decoded into */
    bool definition;             /* of an artifact: large, and checked further than its rows say */
    enum rg_artifact_type type;  /* of the collection; RG_TYPES: none */
    unsigned success;
    const struct rg_param *answer; /* rows of the answer, for the documentation; NULL: no body, or `media` */
    bool list;                     /* the answer is a list of them */
    const char *media;             /* of an answer that is not JSON */
    const char *const *query;      /* parameters, NULL at the end; NULL: none */
    const char *summary;
};

struct rg_call {
    struct rg_store *store;
    struct rg_db *db;
    const struct rg_api_request *request;
    struct rg_api_answer *answer;
    struct rg_effects *effects;
    const struct rg_route *route;
    enum rg_artifact_type type;
    const char *args[RG_CALL_ARGS]; /* of the pattern, decoded */
    struct rg_arena arena;
    json_t *body;      /* as it came */
    const void *input; /* the body, decoded by the route's rows; where `problems` has some, what is good of it */
    struct rg_problems problems; /* of the body; all that are known are answered together */
    char organization[RG_UUID_LEN + 1];
    char gateway[RG_UUID_LEN + 1]; /* who calls, of RG_SCOPE_GATEWAY */
    char name[RG_CALL_HANDLE_MAX + 1];
    char correlation[128];
    struct rg_actor actor;
    int64_t now_ms;
    char now[RG_INSTANT_TEXT_MAX];
};

/* ---- Answering ---- */

void rg_answer_json(struct rg_call *call, unsigned status, json_t *body); /* takes body over; NULL: no memory, 500 */
void rg_answer_nothing(struct rg_call *call);                             /* 204 */
void rg_answer_bytes(struct rg_call *call, const char *content_type, char *bytes, size_t len); /* takes bytes over */
void rg_answer_located(struct rg_call *call, json_t *body, const char *path_format, ...)
    __attribute__((format(printf, 3, 4))); /* 201 with Location, below the API's base */

void rg_refuse(struct rg_call *call, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* 400 with the list of what is wrong. */
void rg_refuse_problems(struct rg_call *call, const char *code, const struct rg_problems *problems);
/* 400 about one field, and about all that were refused before: who goes on looks for more. What is wrong with a field
 * of which something was said says nothing new. */
void rg_refuse_field(struct rg_call *call, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Of what was found in a document ("spec.context"), that which is about none of the fields ("context") that were
 * refused before: 400 with all of it. */
void rg_refuse_found(struct rg_call *call, const char *code, const struct rg_problems *found);
/* What rg_db_exec returned: an insert that found its name taken. */
void rg_refuse_conflict(struct rg_call *call, const char *code, const char *what, const char *name);

/* ---- Lists ---- */

typedef json_t *rg_row_reader(struct rg_call *call, const struct rg_rows *rows);

/*
 * Answers {"count", "list", "pagination"} of the page that the query asks for. `count_sql` and `list_sql` take the same
 * values; the list has two more parameters at its end, limit and offset.
 */
void rg_answer_list(struct rg_call *call, const char *count_sql, const char *list_sql, const struct rg_value *values,
                    size_t n, rg_row_reader *reader);

/* The first row, as it is read; NULL: there is none. `rows` are ended. */
json_t *rg_rows_first(struct rg_call *call, struct rg_rows *rows, rg_row_reader *reader);

/* All rows as a bare array: what gateways get. */
json_t *rg_rows_array(struct rg_call *call, struct rg_rows *rows, rg_row_reader *reader);

/* ---- Reading ---- */

/* A parameter of the query, decoded, in the arena; NULL: absent (no handler is called if one is malformed). */
const char *rg_call_query(struct rg_call *call, const char *name);
const char *rg_call_decode(struct rg_call *call, struct rg_str raw, bool plus_is_blank); /* NULL: malformed */
const char *rg_call_text(struct rg_call *call, struct rg_str text);                      /* with a NUL, in the arena */
json_t *rg_json_of_view(struct rg_str text);
json_t *rg_json_of_text(const char *text);       /* NULL: null */
json_t *rg_json_of_document(struct rg_str text); /* of JSON that was stored; {} where it is broken */

/* A handle: what the call gave, or made of a name that people read ("My API" -> "my-api"). */
const char *rg_call_handle(struct rg_call *call, struct rg_str given, struct rg_str display_name, unsigned min,
                           unsigned max, bool dots);

void rg_audit(struct rg_call *call, const char *action, const char *type, const char *uuid);

#endif
