/* See ws_frames.h. */
#include "datapath/http/ws_frames.h"

#define OPCODE_CLOSE 8
#define KEY_LEN      4

static unsigned head_len(uint8_t second)
{
    unsigned n = second & 127;
    return n == 127 ? 10 : n == 126 ? 4 : 2;
}

/* The head is complete. A length over 63 bits is no frame of anybody: it never ends then, either way. */
static void begin(struct rg_ws_frames *f)
{
    uint64_t n = f->head[1] & 127;
    unsigned from = 2, to = head_len(f->head[1]);
    if (to > from)
        n = 0;
    for (; from < to; from++)
        n = n << 8 | f->head[from];
    f->left = (n & INT64_MAX) + (f->head[1] & 128 ? KEY_LEN : 0);
    f->closed |= (f->head[0] & 15) == OPCODE_CLOSE;
    f->have = 0;
}

void rg_ws_frames_pass(struct rg_ws_frames *f, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t n = f->left < len ? (size_t)f->left : len;
        f->left -= n;
        bytes += n;
        len -= n;
        if (len == 0)
            return;
        f->head[f->have++] = (uint8_t)*bytes++;
        len--;
        if (f->have >= 2 && f->have == head_len(f->head[1]))
            begin(f);
    }
}
