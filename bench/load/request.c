/* Writes the request: head, then the body in the pattern that ringgate-origin checks in /sink. Thread: main. */
#include "bench/load/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CELL = 16,
    CHUNK = 16 * 1024, /* a multiple of CELL */
};

static void write_head(FILE *out, const struct rg_load_options *o)
{
    fprintf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n", o->method, o->path, o->host);
    for (unsigned i = 0; i < o->n_headers; i++)
        fprintf(out, "%s\r\n", o->headers[i]);
    if (o->per_connection)
        fputs("Connection: close\r\n", out);
    if (o->chunked_upload)
        fputs("Transfer-Encoding: chunked\r\n", out);
    else if (o->has_body)
        fprintf(out, "Content-Length: %" PRIu64 "\r\n", o->body_bytes);
    fputs("\r\n", out);
}

static void write_pattern(FILE *out, uint64_t offset, uint64_t n)
{
    char cell[2 * CELL];
    for (uint64_t end = offset + n; offset < end; offset += CELL) {
        snprintf(cell, sizeof cell, "%015" PRIx64 "\n", offset);
        fwrite(cell, 1, end - offset < CELL ? (size_t)(end - offset) : CELL, out);
    }
}

static void write_chunks(FILE *out, uint64_t n)
{
    for (uint64_t offset = 0; offset < n; offset += CHUNK) {
        uint64_t size = n - offset < CHUNK ? n - offset : CHUNK;
        fprintf(out, "%" PRIx64 "\r\n", size);
        write_pattern(out, offset, size);
        fputs("\r\n", out);
    }
    fputs("0\r\n\r\n", out);
}

static void write_upgrade(FILE *out, const struct rg_load_options *o)
{
    fprintf(out, "GET %s HTTP/1.1\r\nHost: %s\r\n", o->path, o->host);
    fputs("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: cmluZ2dhdGUtbG9hZC0xNg==\r\n",
          out);
    for (unsigned i = 0; i < o->n_headers; i++)
        fprintf(out, "%s\r\n", o->headers[i]);
    fputs("\r\n", out);
}

/* One frame of binary data, masked with zeros: what is sent is what it says. */
static void write_message(FILE *out, uint64_t n)
{
    static const char mask[4];
    fputc(0x82, out);
    if (n < 126) {
        fputc(0x80 | (int)n, out);
    } else {
        fputc(0x80 | 126, out);
        fputc((int)(n >> 8), out);
        fputc((int)(n & 0xff), out);
    }
    fwrite(mask, 1, sizeof mask, out);
    write_pattern(out, 0, n);
}

static void write_http(FILE *out, const struct rg_load_options *o)
{
    write_head(out, o);
    if (o->chunked_upload)
        write_chunks(out, o->body_bytes);
    else
        write_pattern(out, 0, o->body_bytes);
}

static int init(struct rg_request *r, const struct rg_load_options *o)
{
    FILE *out = open_memstream(&r->bytes, &r->length);
    if (!out)
        return -errno;
    if (r->is_upgrade)
        write_upgrade(out, o);
    else if (r->is_message)
        write_message(out, o->message_bytes);
    else
        write_http(out, o);
    bool failed = ferror(out);
    return fclose(out) != 0 || failed ? -ENOMEM : 0;
}

int rg_request_init(struct rg_request *r, const struct rg_load_options *o)
{
    *r = (struct rg_request){.is_head = strcmp(o->method, "HEAD") == 0, .is_message = o->websocket};
    return init(r, o);
}

int rg_request_init_upgrade(struct rg_request *r, const struct rg_load_options *o)
{
    *r = (struct rg_request){.is_upgrade = true};
    return init(r, o);
}

void rg_request_fini(struct rg_request *r)
{
    free(r->bytes);
    r->bytes = NULL;
}
