/* Every kind of policy, by name: policies.def. Private to datapath/policy. Thread: any (constant data). */
#ifndef RG_POLICY_KINDS_H
#define RG_POLICY_KINDS_H

#include "datapath/policy/policy.h"

#define RG_POLICY(name) extern const struct rg_policy_kind rg_policy_##name;
#include "datapath/policy/policies.def"
#undef RG_POLICY

#endif
