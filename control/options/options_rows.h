/*
 * What rows of a table of options are made with, where the struct that is decoded begins with struct rg_settings. To be
 * included where such a table is made. Thread: any (constant data).
 */
#ifndef RG_OPTIONS_OPTIONS_ROWS_H
#define RG_OPTIONS_OPTIONS_ROWS_H

#include "control/common/conf.h"
#include "datapath/settings.h"

#define RG_OPTION_HOUR (3600ull * 1000)
#define RG_OPTION_DAY  (24 * RG_OPTION_HOUR)

extern const struct rg_conf_word rg_words_alpn[];
extern const struct rg_conf_word rg_words_client_certificates[];
extern const struct rg_conf_word rg_words_format[];
extern const struct rg_conf_word rg_words_log_level[];
extern const struct rg_conf_word rg_words_proxy[];
extern const struct rg_conf_word rg_words_redirect[];
extern const struct rg_conf_word rg_words_tls_version[];
extern const struct rg_conf_word rg_words_workers[];
extern const struct rg_conf_custom rg_custom_ciphers;

#define RG_OPTION_MEMBER(m)        .offset = offsetof(struct rg_settings, m), .size = sizeof(((struct rg_settings *)0)->m)
#define RG_OPTION_STRIDE(m)        sizeof(((struct rg_settings *)0)->m[0])
#define RG_OPTION(p, t, m, d, ...) {.path = p, .type = RG_CONF_##t, RG_OPTION_MEMBER(m), .preset = d, __VA_ARGS__},
#define RG_LIST(p, count_m, array_m, ...)            \
    {.path = p,                                      \
     .type = RG_CONF_LIST,                           \
     RG_OPTION_MEMBER(count_m),                      \
     .array = offsetof(struct rg_settings, array_m), \
     .stride = RG_OPTION_STRIDE(array_m),            \
     __VA_ARGS__},

#endif
