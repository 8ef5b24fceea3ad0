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

int rg_request_init(struct rg_request *r, const struct rg_load_options *o)
{
    *r = (struct rg_request){.is_head = strcmp(o->method, "HEAD") == 0};
    FILE *out = open_memstream(&r->bytes, &r->length);
    if (!out)
        return -errno;
    write_head(out, o);
    if (o->chunked_upload)
        write_chunks(out, o->body_bytes);
    else
        write_pattern(out, 0, o->body_bytes);
    bool failed = ferror(out);
    return fclose(out) != 0 || failed ? -ENOMEM : 0;
}

void rg_request_fini(struct rg_request *r)
{
    free(r->bytes);
    r->bytes = NULL;
}
