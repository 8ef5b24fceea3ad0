/*
 * Regular expressions that are searched for within a value, as those of artifacts mean it: base/regex.h matches whole
 * values. Owner: the arena of the policy. Thread: see policy.h.
 */
#ifndef RG_POLICY_PATTERN_H
#define RG_POLICY_PATTERN_H

#include "datapath/base/regex.h"
#include "datapath/policy/policy.h"

/* For `prepare`. path: of the pattern, below params. */
int rg_policy_pattern_make(struct rg_policy_making *m, const char *path, struct rg_str pattern,
                           const struct rg_regex **ret);

#endif
