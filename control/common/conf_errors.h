/*
 * The errors of one configuration: collected while decoding goes on, then printed at once in the order of the file.
 * Bounded: a hostile file can't make more of them than RG_CONF_ERRORS_MAX; the rest is counted.
 * Owner: whoever decodes. Thread: any one at a time.
 */
#ifndef RG_COMMON_CONF_ERRORS_H
#define RG_COMMON_CONF_ERRORS_H

#include <stdio.h>

#include "datapath/base/str.h"

#define RG_CONF_ERRORS_MAX 100

struct rg_conf_mark {
    uint32_t line, col; /* from 1; line 0: not in a file, stands after everything that is */
};

struct rg_conf_error {
    struct rg_conf_mark mark;
    uint32_t order;    /* keeps errors of one position in the order in which they were found */
    uint32_t path_len; /* of the path, at the start of the text */
    char *text;        /* everything after the position */
};

struct rg_conf_errors {
    struct rg_conf_error list[RG_CONF_ERRORS_MAX];
    uint32_t count;
    uint32_t more; /* beyond the list */
};

void rg_conf_errors_init(struct rg_conf_errors *errors);
void rg_conf_errors_fini(struct rg_conf_errors *errors);

/* `got`, `wanted` and `remedy` are whole phrases; remedy may be NULL or "" and follows after "; ". path may be "". */
void rg_conf_errors_add(struct rg_conf_errors *errors, struct rg_conf_mark mark, const char *path, const char *got,
                        const char *wanted, const char *remedy);

/* The same for who has a sentence of its own. */
void rg_conf_errors_say(struct rg_conf_errors *errors, struct rg_conf_mark mark, struct rg_str path,
                        struct rg_str sentence);

bool rg_conf_errors_any(const struct rg_conf_errors *errors);

/* One line each, sorted by position. `file` stands before those that have a position. */
void rg_conf_errors_print(struct rg_conf_errors *errors, const char *file, FILE *out);

/* Text of a file or a flag in double quotes, control bytes and quotes escaped, cut to 60 bytes; bare when it is a
 * number. */
void rg_conf_quote(struct rg_str text, char *buf, size_t len);

/* Extends a path by a key or by an index. Keys that are not plain words are quoted, long ones cut. */
void rg_conf_path_key(char *path, size_t len, struct rg_str key);
void rg_conf_path_index(char *path, size_t len, size_t index);

#endif
