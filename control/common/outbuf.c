/* Why: servers and WebSockets wait for slow readers in the same way. See outbuf.h. */
#include "control/common/outbuf.h"

#include <stdlib.h>

#include "datapath/base/assert.h"

#define KEEP_MAX 16384

void rg_outbuf_fini(struct rg_outbuf *out)
{
    free(out->bytes);
    *out = (struct rg_outbuf){0};
}

bool rg_outbuf_reserve(struct rg_outbuf *out, size_t room)
{
    size_t used = out->len - out->sent;
    if (out->cap - out->len >= room)
        return true;
    if (out->sent > 0) {
        memmove(out->bytes, out->bytes + out->sent, used);
        out->sent = 0;
        out->len = used;
    }
    if (out->cap - used >= room)
        return true;
    size_t cap = out->cap * 2 > used + room ? out->cap * 2 : used + room;
    char *grown = realloc(out->bytes, cap);
    if (!grown)
        return false;
    out->bytes = grown;
    out->cap = cap;
    return true;
}

bool rg_outbuf_append(struct rg_outbuf *out, struct rg_str bytes)
{
    if (!rg_outbuf_reserve(out, bytes.len))
        return false;
    if (bytes.len > 0)
        memcpy(out->bytes + out->len, bytes.ptr, bytes.len);
    out->len += bytes.len;
    return true;
}

void rg_outbuf_sent(struct rg_outbuf *out, size_t n)
{
    RG_ASSERT(n <= out->len - out->sent);
    out->sent += n;
    if (out->sent < out->len)
        return;
    out->sent = out->len = 0;
    if (out->cap > KEEP_MAX)
        rg_outbuf_fini(out);
}
