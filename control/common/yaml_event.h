/* What both readers of YAML (conf_tree.c, yaml_json.c) need of libyaml's parser. Thread: any. */
#ifndef RG_COMMON_YAML_EVENT_H
#define RG_COMMON_YAML_EVENT_H

#include <yaml.h>

#include "control/common/conf_errors.h"

static inline struct rg_conf_mark rg_yaml_mark(yaml_mark_t m)
{
    return (struct rg_conf_mark){(uint32_t)m.line + 1, (uint32_t)m.column + 1};
}

/* Adds what the parser could not read, with its own words for the grammar and ours for what people do most. */
void rg_yaml_refuse_syntax(const yaml_parser_t *p, struct rg_str text, const char *path, struct rg_conf_errors *errors);

#endif
