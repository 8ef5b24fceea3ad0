/* See sse.h. */
#include "control/cli/sse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rg_sse_init(struct rg_sse *sse)
{
    *sse = (struct rg_sse){.line = malloc(RG_SSE_EVENT_MAX + 1), .data = malloc(RG_SSE_EVENT_MAX + 1)};
    if (sse->line && sse->data)
        return 0;
    rg_sse_fini(sse);
    return -ENOMEM;
}

void rg_sse_fini(struct rg_sse *sse)
{
    free(sse->line);
    free(sse->data);
    *sse = (struct rg_sse){0};
}

static void begin_event(struct rg_sse *sse)
{
    sse->data_len = 0;
    sse->type[0] = '\0';
    sse->has_data = sse->is_too_long = false;
}

/* Lines of data are joined by a newline. */
static void add_data(struct rg_sse *sse, const char *value, size_t len)
{
    size_t needed = len + (sse->has_data ? 1 : 0);
    if (needed > RG_SSE_EVENT_MAX - sse->data_len) {
        sse->is_too_long = true;
        return;
    }
    if (sse->has_data)
        sse->data[sse->data_len++] = '\n';
    memcpy(sse->data + sse->data_len, value, len);
    sse->data_len += len;
    sse->has_data = true;
}

static bool end_event(struct rg_sse *sse, bool (*each)(void *owner, const char *type, const char *data), void *owner)
{
    bool go_on = true;
    sse->data[sse->data_len] = '\0';
    if (sse->is_too_long)
        sse->dropped++;
    else if (sse->has_data)
        go_on = each(owner, sse->type[0] ? sse->type : "message", sse->data);
    begin_event(sse);
    return go_on;
}

/* "name: value", one blank after the colon does not count; what begins with a colon is a comment. */
static void take_field(struct rg_sse *sse)
{
    const char *colon = memchr(sse->line, ':', sse->line_len);
    size_t name = colon ? (size_t)(colon - sse->line) : sse->line_len;
    const char *value = colon ? colon + 1 : sse->line + sse->line_len;
    size_t len = sse->line_len - (size_t)(value - sse->line);
    if (len > 0 && value[0] == ' ') {
        value++;
        len--;
    }
    if (name == 4 && memcmp(sse->line, "data", 4) == 0)
        add_data(sse, value, len);
    else if (name == 5 && memcmp(sse->line, "event", 5) == 0)
        snprintf(sse->type, sizeof(sse->type), "%.*s", (int)(len < sizeof(sse->type) ? len : sizeof(sse->type) - 1),
                 value);
}

bool rg_sse_take(struct rg_sse *sse, const char *bytes, size_t n,
                 bool (*each)(void *owner, const char *type, const char *data), void *owner)
{
    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        bool second_of_crlf = c == '\n' && sse->after_cr;
        sse->after_cr = c == '\r';
        if (second_of_crlf)
            continue;
        if (c != '\n' && c != '\r') {
            if (sse->line_len < RG_SSE_EVENT_MAX)
                sse->line[sse->line_len++] = c;
            else
                sse->is_too_long = true;
            continue;
        }
        bool is_blank = sse->line_len == 0;
        if (!is_blank)
            take_field(sse);
        sse->line_len = 0;
        if (is_blank && !end_event(sse, each, owner))
            return false;
    }
    return true;
}
