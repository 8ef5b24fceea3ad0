/*
 * Text: views into buffers, and the codings that paths, queries and bodies need. Pure functions. Thread: any.
 */
#ifndef RG_ORIGIN_CODEC_H
#define RG_ORIGIN_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct rg_view {
    const char *p;
    size_t n;
};

#define RG_VIEW(literal) ((struct rg_view){(literal), sizeof(literal) - 1})

bool rg_view_is(struct rg_view v, const char *text);
bool rg_view_is_nocase(struct rg_view v, const char *text);
bool rg_view_has_token(struct rg_view list, const char *token); /* comma-separated list, any case */
bool rg_view_number(struct rg_view v, uint64_t max, uint64_t *ret);
bool rg_query_get(struct rg_view query, const char *name, struct rg_view *ret); /* still percent-encoded */
uint64_t rg_query_number(struct rg_view query, const char *name, uint64_t fallback);
bool rg_query_pair(struct rg_view query, const char *name, uint64_t *ret_bytes, uint64_t *ret_ms); /* BYTES/MS */
char *rg_percent_decode(struct rg_view v, size_t *ret_n);      /* heap; NULL when out of memory or badly encoded */
char *rg_base64_decode(struct rg_view v, size_t *ret_n);       /* heap; both alphabets, padding optional */
void rg_base64_encode(const uint8_t *in, size_t n, char *out); /* 4 characters per 3 bytes, then NUL */
void rg_sha1(const void *data, size_t n, uint8_t ret[20]);     /* for the WebSocket handshake; n up to 119 */
void rg_json_string(FILE *out, struct rg_view v); /* quoted; bytes from 0x7f on as \u00XX, so that none is lost */

#define RG_FNV_START UINT64_C(0xcbf29ce484222325)
uint64_t rg_fnv1a(uint64_t hash, const void *data, size_t n);

/* The body of /bytes/N: cells of 16 bytes, each its own offset as 15 hexadecimal digits and a line feed. */
void rg_pattern_fill(char *out, size_t n, uint64_t offset);
bool rg_pattern_check(const char *data, size_t n, uint64_t offset);

#endif
