/*
 * Template functions in the strings of an artifact: {{ secret "openai-key" }}, {{ env "REGION" | default "eu" }}.
 * An action is a pipeline of functions; what comes before a "|" is the last argument of what comes after it.
 * Private to artifact*.c and compile*.c.
 *
 * What a function of the outside gives (a secret, the environment) is hidden: the place where it stands is remembered,
 * and no message shows what stands there. Secrets are taken only where nothing but a request or a response sees them:
 * in the parameters of policies and in `auth.value`.
 *
 * Owner: rendered text is the JSON value's; names and paths are the arena's. Thread: any one at a time.
 */
#ifndef RG_ARTIFACT_ARTIFACT_TEMPLATE_H
#define RG_ARTIFACT_ARTIFACT_TEMPLATE_H

#include <jansson.h>

#include "control/common/problems.h"
#include "datapath/base/arena.h"

#define RG_TEMPLATE_OUTPUT_MAX (64u * 1024) /* bytes of one string, before and after */
#define RG_TEMPLATE_WORK_MAX   (64u << 20)  /* bytes that all functions of an artifact may make */
#define RG_TEMPLATE_DEPTH_MAX  16           /* of parentheses */

struct rg_template_name { /* a list of texts */
    const struct rg_template_name *next;
    struct rg_str text;
    const char *path; /* of a secret: where it is named first */
};

struct rg_template_source {
    bool (*secret)(void *owner, struct rg_str handle, struct rg_str *ret);
    bool (*env)(void *owner, struct rg_str name, struct rg_str *ret);
    void *owner;
};

struct rg_template_found {
    bool any;                               /* there is a template function */
    const struct rg_template_name *secrets; /* handles, each once */
    const struct rg_template_name *hidden;  /* paths of strings whose text must not be shown */
    size_t work;                            /* bytes that functions have made */
};

/* Reads the templates of a value and of all that is in it, without asking for anything. 0, -EINVAL or -ENOMEM. */
int rg_template_scan(const json_t *value, const char *path, struct rg_arena *arena, struct rg_template_found *ret,
                     struct rg_problems *why);

/*
 * *ret: a reference to the value with its templates rendered; what has none is shared with `value`, which stays as it
 * is. 0, -EINVAL (problems say why) or -ENOMEM.
 */
int rg_template_render(const json_t *value, const char *path, const struct rg_template_source *source,
                       struct rg_arena *arena, json_t **ret, struct rg_template_found *found, struct rg_problems *why);

/* ---- Of one string, shared by the two files ---- */

struct rg_template_value {
    struct rg_str text;
    bool missing; /* an environment variable that is not set */
    bool hidden, secret, literal;
};

struct rg_template_eval {
    const char *p, *end;
    const struct rg_template_source *source; /* NULL: nothing is asked for, functions give "" */
    struct rg_arena *arena;
    struct rg_template_found *found;
    const char *path; /* of the string */
    unsigned depth;
    bool secret_is_allowed;
    bool no_memory;
    char got[256], wanted[256]; /* why it failed */
};

static inline bool rg_template_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool rg_template_fail(struct rg_template_eval *e, const char *wanted, const char *got, ...)
    __attribute__((format(printf, 3, 4)));

/* Room for what a function makes. NULL: failed. */
char *rg_template_room(struct rg_template_eval *e, size_t n);

/* Calls the function of this name (artifact_functions.c). */
bool rg_template_call(struct rg_template_eval *e, struct rg_str name, const struct rg_template_value *args, size_t n,
                      struct rg_template_value *ret);

#define RG_TEMPLATE_ARGS_MAX 4

#endif
