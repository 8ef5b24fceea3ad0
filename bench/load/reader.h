/*
 * Reads one response after the other out of the bytes of a connection: pure, resumable at any byte, keeps no body. It
 * is strict about what a length depends on (status line, Content-Length, Transfer-Encoding, chunks), since a wrong
 * length must be found, and does not look at anything else.
 * Thread: that of the connection.
 */
#ifndef RG_LOAD_READER_H
#define RG_LOAD_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RG_READER_LINE = 240,       /* kept of a line that arrives in pieces; no length needs more */
    RG_READER_HEAD = 64 * 1024, /* a longer head is an error */
};

enum rg_reader_step {
    RG_READER_STATUS,
    RG_READER_FIELDS,
    RG_READER_COUNTED, /* body with Content-Length */
    RG_READER_TO_END,  /* body until the connection ends */
    RG_READER_CHUNK_SIZE,
    RG_READER_CHUNK,
    RG_READER_CHUNK_END,
    RG_READER_TRAILERS,
    RG_READER_FRAME, /* head of a WebSocket frame */
    RG_READER_DONE,
    RG_READER_BAD,
};

struct rg_reader {
    uint64_t left; /* of the body or the chunk */
    uint32_t head; /* bytes of lines so far */
    uint16_t status;
    uint8_t step; /* enum rg_reader_step */
    bool is_head; /* the answer to HEAD has no body */
    bool keep;    /* the connection may be used again */
    bool chunked, coded, has_length;
    bool may_switch;    /* 101 is an answer */
    bool begun;         /* at least one byte of this response has arrived */
    uint16_t line_kept; /* bytes in line */
    const char *why;    /* RG_READER_BAD: static text */
    char line[RG_READER_LINE];
};

void rg_reader_begin(struct rg_reader *r, bool is_head);
/* The answer to the request for a WebSocket: with 101 the response ends at the end of its head. */
void rg_reader_begin_upgrade(struct rg_reader *r);
/* A WebSocket message of the server, in one frame, as binary data: whole, it counts as an answer with 200. */
void rg_reader_begin_message(struct rg_reader *r);
/* Uses bytes up to the end of the response: RG_READER_DONE, RG_READER_BAD, or any other step, which wants more. */
enum rg_reader_step rg_reader_feed(struct rg_reader *r, const char *data, size_t n, size_t *ret_used);
/* The connection has ended: RG_READER_DONE when that ends the response, RG_READER_BAD else. */
enum rg_reader_step rg_reader_end(struct rg_reader *r);
/* Bytes that certainly belong to the body and may be discarded unseen; then rg_reader_skip says how many were. */
uint64_t rg_reader_discardable(const struct rg_reader *r);
enum rg_reader_step rg_reader_skip(struct rg_reader *r, uint64_t n);

#endif
