/*
 * Server-Sent Events, as the HTML standard has them parsed: bytes in, events out, in whatever pieces they come.
 * Bounded: an event that is larger than the limit is dropped and counted.
 *
 * Owner: whoever embeds it. Thread: one.
 */
#ifndef RG_CLI_SSE_H
#define RG_CLI_SSE_H

#include <stdbool.h>
#include <stddef.h>

#define RG_SSE_EVENT_MAX (1024u * 1024)

struct rg_sse {
    char *line, *data; /* each of RG_SSE_EVENT_MAX + 1 */
    size_t line_len, data_len;
    char type[128];
    bool has_data, after_cr, is_too_long;
    unsigned long dropped;
};

int rg_sse_init(struct rg_sse *sse); /* -ENOMEM */
void rg_sse_fini(struct rg_sse *sse);

/* Calls `each` for each event that these bytes complete, until it returns false: then false. Texts are valid during the
 * call; type is "message" where the stream names none. */
bool rg_sse_take(struct rg_sse *sse, const char *bytes, size_t n,
                 bool (*each)(void *owner, const char *type, const char *data), void *owner);

#endif
