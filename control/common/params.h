/*
 * Decodes a JSON value by a table of struct rg_param (datapath/policy/param.h): the parameters of policies, and the
 * parts of an artifact. Every error of the value is reported, with its path, what was got, what was wanted, and the
 * name that was probably meant.
 *
 * Ownership: strings and lists are copied into the caller's arena. Thread: any one.
 */
#ifndef RG_COMMON_PARAMS_H
#define RG_COMMON_PARAMS_H

#include <jansson.h>

#include "control/common/problems.h"
#include "datapath/base/arena.h"
#include "datapath/policy/param.h"

struct rg_params_source {
    const json_t *value;   /* NULL: nothing was given, as if an empty object */
    const char *path;      /* of the value, put before the names in messages; "" or NULL: none */
    const json_t *written; /* of struct rg_yaml_json, so that 1.10 is not 1.1 where a string is wanted; NULL: JSON */
    bool tolerant;         /* unknown keys pass, null counts as absent, keys are taken in any case of letters */
};

/*
 * Fills the struct at `ret` by `fields` (up to the row without a name), what was left out by the rows' initial values;
 * an object that was left out gets those of its own rows. 0, -EINVAL (problems were added; `ret` holds what was good)
 * or -ENOMEM.
 */
int rg_params_decode(const struct rg_param *fields, const struct rg_params_source *source, struct rg_arena *arena,
                     void *ret, struct rg_problems *problems);

/* "500ms", "1m30s", "1.5h" in microseconds. false: not a duration, or one that does not fit. */
bool rg_params_parse_duration(struct rg_str text, uint64_t *ret_us);

#endif
