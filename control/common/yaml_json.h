/*
 * YAML to JSON values, for texts that come over a network. YAML 1.2's core schema: only true and false are booleans,
 * `yes` and `on` are strings. Refused, with line and column: tags, a key twice or one that is no scalar, merge keys,
 * several documents, numbers without end (.inf, .nan), and whatever is larger than the limits once aliases are
 * expanded. A text in JSON is YAML too.
 *
 * Owner: the caller, of the result. Thread: any one; values that were aliased are shared and must not be changed.
 */
#ifndef RG_COMMON_YAML_JSON_H
#define RG_COMMON_YAML_JSON_H

#include <jansson.h>

#include "control/common/problems.h"

#define RG_YAML_DEPTH_MAX 64
#define RG_YAML_NODES_MAX 200000u /* keys and values, with what aliases stand for */

struct rg_yaml_json {
    json_t *value;   /* null for an empty document */
    json_t *written; /* numbers that JSON would write otherwise (1.10, 0x1f); for struct rg_params_source */
};

/* At most max_bytes of text. 0, -EINVAL (problems say why) or -ENOMEM; *ret is untouched on failure. */
int rg_yaml_json(struct rg_str text, size_t max_bytes, struct rg_yaml_json *ret, struct rg_problems *problems);
void rg_yaml_json_fini(struct rg_yaml_json *doc);

/* How a number stood in the text. false: as JSON writes it. */
bool rg_yaml_written(const json_t *written, const json_t *number, struct rg_str *ret);

#endif
