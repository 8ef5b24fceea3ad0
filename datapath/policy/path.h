/*
 * What redirect and request-rewrite do with paths: the part behind the API's context is replaced, whole or as far as
 * the route's prefix goes. Pure but for arena and scratch; thread: as their owners.
 */
#ifndef RG_POLICY_PATH_H
#define RG_POLICY_PATH_H

#include "datapath/policy/view.h"

enum rg_path_edit { RG_PATH_KEEP, RG_PATH_FULL, RG_PATH_PREFIX };

/* For `prepare`: the value in normal form. Empty is a prefix that goes. */
int rg_path_make(struct rg_policy_making *m, const char *path, enum rg_path_edit edit, struct rg_str value,
                 struct rg_str *ret);
/* The path of the request, edited: context, and what takes the place of the rest. false: no room. */
bool rg_path_edit_of(struct rg_policy_request *q, enum rg_path_edit edit, struct rg_str value, struct rg_str *ret);

#endif
