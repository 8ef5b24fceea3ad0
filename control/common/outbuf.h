/*
 * Bytes that wait to be sent: appended at the end, sent from the front. Grows by need; a large one is given back when
 * it is empty, so that a quiet connection stays small. What bounds it is up to whoever appends.
 *
 * Owner: whoever embeds it (zeros: empty). Thread: the owner's.
 */
#ifndef RG_COMMON_OUTBUF_H
#define RG_COMMON_OUTBUF_H

#include "datapath/base/str.h"

struct rg_outbuf {
    char *bytes; /* [sent, len) is to be sent */
    size_t sent, len, cap;
};

void rg_outbuf_fini(struct rg_outbuf *out);

static inline struct rg_str rg_outbuf_pending(const struct rg_outbuf *out)
{
    return out->len > out->sent ? (struct rg_str){out->bytes + out->sent, out->len - out->sent} : RG_STR_NONE;
}

/* Room for so many more bytes. false: no memory; nothing changed. */
bool rg_outbuf_reserve(struct rg_outbuf *out, size_t room);
bool rg_outbuf_append(struct rg_outbuf *out, struct rg_str bytes); /* can't fail within what was reserved */
void rg_outbuf_sent(struct rg_outbuf *out, size_t n);

#endif
