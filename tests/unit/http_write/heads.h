/*
 * Messages for the writer's tests, built from text without the project's parser: an error there must not hide one here.
 * The same splitter reads what the writer wrote.
 */
#ifndef TESTS_HTTP_WRITE_HEADS_H
#define TESTS_HTTP_WRITE_HEADS_H

#include "datapath/http/h1_write.h"

struct head {
    struct rg_field fields[RG_H1_FIELDS_MAX];
    struct rg_str start; /* the first line, without CR LF */
    uint16_t n_fields;
};

/* Splits text that ends with an empty line; aborts the test when it is not a well-formed head of exactly this length.
 */
void head_split(struct head *h, struct rg_str text);

/* A request in origin, absolute or asterisk form, with its target's parts set as the parser promises. */
void head_to_request(struct head *h, struct rg_h1_request *ret);
void head_to_response(struct head *h, struct rg_h1_response *ret);

/* Lines with this name (any case); *ret is the value of the last. */
unsigned head_count(const struct head *h, const char *name, struct rg_str *ret);

/* text is a literal that outlives the head. */
struct rg_h1_request request_of(struct head *h, const char *text);
struct rg_h1_response response_of(struct head *h, const char *text);

/* Compares by content and shows both when they differ. */
void assert_text(const char *got, int32_t got_len, const char *want);

#endif
