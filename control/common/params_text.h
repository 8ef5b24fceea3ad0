/* The words of params.c: what was got, what was wanted, what was probably meant. Thread: any (pure). */
#ifndef RG_COMMON_PARAMS_TEXT_H
#define RG_COMMON_PARAMS_TEXT_H

#include "control/common/params.h"

#define RG_PARAMS_NUMBER_MAX 64

/* What a number or a boolean looks like in the text that it came from. false: it is neither. */
bool rg_params_scalar_text(const json_t *value, const json_t *written, char buf[RG_PARAMS_NUMBER_MAX],
                           struct rg_str *ret);

/* value NULL: it was left out. */
void rg_params_describe(const json_t *value, const json_t *written, char *buf, size_t len);
void rg_params_wanted(const struct rg_param *row, char *buf, size_t len);
void rg_params_remedy(const struct rg_param *row, const json_t *value, const json_t *written, char *buf, size_t len);

/* For an unknown key: the names there are, and the nearest of them. */
void rg_params_names(const struct rg_param *fields, struct rg_str key, char *wanted, size_t wanted_len, char *remedy,
                     size_t remedy_len);

#endif
