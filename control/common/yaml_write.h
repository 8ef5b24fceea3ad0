/*
 * A JSON value as YAML, in block style and in the order of its members: what people read, and what other programs read
 * the same way under YAML 1.1 and 1.2. Strings are quoted wherever a plain one could read as something else.
 *
 * Thread: any; no state.
 */
#ifndef RG_COMMON_YAML_WRITE_H
#define RG_COMMON_YAML_WRITE_H

#include <jansson.h>
#include <stddef.h>

/* 0 or -ENOMEM. *ret is one document without markers, ends in a newline and a NUL that does not count; free() it. */
int rg_yaml_write(const json_t *value, char **ret, size_t *ret_len);

#endif
