/*
 * What is wrong with a document that somebody sent, all of it in one go: for each a path such as
 * `spec.operations[1].policies[0].params.limits[0].requests`, what was got, what was wanted, and what to do about it.
 * A list of configuration errors (conf_errors.h) without a file around it.
 *
 * Owner: whoever embeds it. Thread: any one at a time.
 */
#ifndef RG_COMMON_PROBLEMS_H
#define RG_COMMON_PROBLEMS_H

#include <jansson.h>

#include "control/common/conf_errors.h"

#define RG_PROBLEM_PATH_MAX 512 /* longer paths are cut */

struct rg_problems {
    struct rg_conf_errors errors; /* at most RG_CONF_ERRORS_MAX; the rest is counted */
};

void rg_problems_init(struct rg_problems *problems);
void rg_problems_fini(struct rg_problems *problems);

/* `got`, `wanted` and `remedy` are whole phrases; remedy may be NULL or "". path may be "": the document itself. */
void rg_problems_add(struct rg_problems *problems, const char *path, const char *got, const char *wanted,
                     const char *remedy);

/* The same for who has a sentence of its own. */
void rg_problems_say(struct rg_problems *problems, struct rg_str path, struct rg_str sentence);

static inline bool rg_problems_any(const struct rg_problems *problems)
{
    return rg_conf_errors_any(&problems->errors);
}

/*
 * One by one, in the order in which they were found: the path ("" when it has none) and the sentence that follows it.
 * Views, valid until the next change. false: there is no such one.
 */
bool rg_problems_get(const struct rg_problems *problems, size_t index, struct rg_str *ret_path,
                     struct rg_str *ret_text);

/*
 * For other programs: an array of {"field", "message"}, of at most so many bytes of text; what does not fit is counted
 * in a last one. A new reference; NULL: no memory.
 */
#define RG_PROBLEMS_JSON_MAX 16384u
json_t *rg_problems_json(const struct rg_problems *problems);
/* The other way round: adds those of such an array; what is none of them is passed over. */
void rg_problems_from_json(struct rg_problems *problems, const json_t *list);

/* All of them in one text, `path: got X, wanted Y; remedy`, with `separator` between them. */
void rg_problems_write(const struct rg_problems *problems, const char *separator, FILE *out);

#endif
