/*
 * An open session of ours (records.h): what was received becomes plaintext, alerts and changes of keys are obeyed, what
 * is to be sent becomes records. What a peer may not send ends the session with an alert.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdlib.h>

#include "datapath/tls/tls_parts.h"
#include "datapath/tls/records.h"

#define IDLE_MAX      32u                   /* records in a row that bring no data */
#define PADDED_MAX    (RG_TLS_RECORD + 256) /* TLS 1.3: with type and padding, RFC 8446 5.2 */
#define KEY_RECORDS   (1ull << 23)          /* sealed with one key; AES-GCM bears 2^24.5 (RFC 8446 5.5) */
#define HELD_LEAST    512u
#define KEY_UPDATE    24u
#define CLIENT_HELLO  1u
#define WARNING       1u
#define FATAL         2u
#define MESSAGE_BYTES 5u /* a KeyUpdate */

/* What became of a record. */
enum verdict {
    GOES_ON,
    CLOSED,  /* the peer sends no more */
    ALERTED, /* the peer gave up */
    NO_ROOM,
    BAD, /* ... and the alert that says so */
};

struct opened {
    enum verdict verdict;
    uint8_t alert; /* when BAD */
};

static const struct opened good = {GOES_ON, 0};

static struct opened bad(int alert)
{
    return (struct opened){BAD, (uint8_t)alert};
}

/* ---- what was received: first what is held, then what is queued ---- */

static uint32_t bytes_there(const struct rg_tls *t)
{
    return t->records->held_bytes - t->records->held_at + t->net.bytes;
}

static struct rg_str front(const struct rg_tls *t)
{
    const struct rg_tls_records *r = t->records;
    return r->held ? (struct rg_str){r->held + r->held_at, r->held_bytes - r->held_at} : rg_input_front(&t->net);
}

/* Of the front alone. */
static void use(struct rg_tls *t, uint32_t n)
{
    struct rg_tls_records *r = t->records;
    if (!r->held) {
        rg_input_use(&t->net, n);
        return;
    }
    RG_ASSERT(n <= r->held_bytes - r->held_at);
    r->held_at += n;
    if (r->held_at < r->held_bytes)
        return;
    free(r->held);
    r->held = NULL;
    r->held_at = r->held_bytes = r->held_cap = 0;
}

static void take(struct rg_tls *t, void *to, uint32_t n)
{
    char *at = to;
    while (n > 0) {
        struct rg_str f = front(t);
        RG_ASSERT(f.ptr);
        uint32_t here = f.len < n ? (uint32_t)f.len : n;
        memcpy(at, f.ptr, here);
        use(t, here);
        at += here;
        n -= here;
    }
}

/* The header of the next record, which stays. false: it is not there. */
static bool peek_header(const struct rg_tls *t, unsigned char header[RG_TLS_HEADER])
{
    const struct rg_tls_records *r = t->records;
    uint32_t done = 0;
    if (bytes_there(t) < RG_TLS_HEADER)
        return false;
    for (uint32_t at = r->held_at; r->held && at < r->held_bytes && done < RG_TLS_HEADER; at++)
        header[done++] = (unsigned char)r->held[at];
    for (const struct rg_buf *b = t->net.head; b && done < RG_TLS_HEADER; b = b->next)
        for (uint32_t at = b->off; at < b->len && done < RG_TLS_HEADER; at++)
            header[done++] = (unsigned char)b->data[at];
    return done == RG_TLS_HEADER;
}

static bool grow_held(struct rg_tls_records *r, uint32_t bytes, uint32_t most)
{
    uint32_t cap = r->held_cap ? r->held_cap : HELD_LEAST;
    RG_ASSERT(bytes <= most);
    while (cap < bytes)
        cap *= 2;
    cap = cap < most ? cap : most;
    if (cap <= r->held_cap)
        return true;
    char *held = realloc(r->held, cap);
    if (!held)
        return false;
    r->held = held;
    r->held_cap = cap;
    return true;
}

/*
 * What is left is less than a record, and whoever sends one slowly must not hold the blocks that it came in: they are
 * bounded for all connections together. It takes memory in proportion to what was sent, `most` for all of the record.
 */
static bool hold_rest(struct rg_tls *t, uint32_t most)
{
    struct rg_tls_records *r = t->records;
    uint32_t n = t->net.bytes;
    if (n == 0)
        return true;
    if (!grow_held(r, r->held_bytes + n, most))
        return false;
    while (t->net.bytes > 0) {
        struct rg_str f = rg_input_front(&t->net);
        RG_ASSERT(f.ptr);
        memcpy(r->held + r->held_bytes, f.ptr, f.len);
        r->held_bytes += (uint32_t)f.len;
        rg_input_use(&t->net, (uint32_t)f.len);
    }
    return true;
}

/* ---- alerts and messages ---- */

/* n: of the record; 0: it could not be made. That is not tried again: a nonce is used once. */
static bool made(struct rg_tls *t, uint32_t n)
{
    rg_output_commit(&t->wire, n);
    if (n == 0)
        t->state = RG_TLS_BROKEN;
    return n > 0;
}

static bool send_record(struct rg_tls *t, enum rg_tls_type type, unsigned char *bytes, uint32_t n)
{
    uint32_t cap, size = rg_tls_record_size(t->records, n);
    struct iovec iov = {bytes, n};
    char *room = rg_output_room(&t->wire, t->env->bufs, size, &cap);
    if (!room)
        return false;
    return made(t, rg_tls_record_make(t->records, type, &iov, n, room) ? size : 0);
}

static bool send_alert(struct rg_tls *t, unsigned char level, unsigned char what)
{
    unsigned char alert[2] = {level, what};
    return send_record(t, RG_TLS_ALERT, alert, sizeof(alert));
}

bool rg_tls_open_note_end(struct rg_tls *t)
{
    return send_alert(t, WARNING, SSL3_AD_CLOSE_NOTIFY);
}

static struct opened alert(struct rg_tls *t, const unsigned char *bytes, uint32_t n)
{
    if (n != 2)
        return bad(n == 0 ? SSL_AD_UNEXPECTED_MESSAGE : SSL_AD_DECODE_ERROR); /* RFC 8446 5.4, 6 */
    if (bytes[1] == SSL_AD_CLOSE_NOTIFY)
        return (struct opened){CLOSED, 0};
    /* Warnings are ignored; in TLS 1.3 there is but one. */
    if (t->records->is_13 ? bytes[1] == SSL_AD_USER_CANCELLED : bytes[0] == WARNING)
        return good;
    return (struct opened){ALERTED, 0};
}

/* RFC 8446 4.6.3. Our own answer goes out before the next data: a client that never reads makes us queue nothing. */
static struct opened key_update(struct rg_tls *t)
{
    struct rg_tls_records *r = t->records;
    unsigned char request = r->message[MESSAGE_BYTES - 1];
    if (request > 1)
        return bad(SSL_AD_ILLEGAL_PARAMETER);
    r->message_len = 0;
    r->update_owed |= request == 1;
    return rg_tls_half_update(&r->in, &r->suite, false) ? good : bad(SSL_AD_INTERNAL_ERROR);
}

/* As soon as what is there says so: a message that ends before its last byte would be waited for in vain. */
static struct opened look_at_message(const struct rg_tls_records *r)
{
    const unsigned char *m = r->message;
    if (m[0] != KEY_UPDATE)
        return bad(SSL_AD_UNEXPECTED_MESSAGE);
    if (r->message_len >= MESSAGE_BYTES - 1 && (m[1] != 0 || m[2] != 0 || m[3] != 1))
        return bad(SSL_AD_DECODE_ERROR);
    return good;
}

static struct opened handshake(struct rg_tls *t, const unsigned char *bytes, uint32_t n)
{
    struct rg_tls_records *r = t->records;
    if (n == 0)
        return bad(SSL_AD_UNEXPECTED_MESSAGE);
    if (!r->is_13) { /* a client that would negotiate anew is told that we don't, and may go on without */
        bool is_hello = bytes[0] == CLIENT_HELLO;
        if (!is_hello)
            return bad(SSL_AD_UNEXPECTED_MESSAGE);
        return send_alert(t, WARNING, SSL_AD_NO_RENEGOTIATION) ? good : (struct opened){NO_ROOM, 0};
    }
    uint32_t here = n < MESSAGE_BYTES - r->message_len ? n : MESSAGE_BYTES - r->message_len;
    memcpy(r->message + r->message_len, bytes, here);
    r->message_len = (uint8_t)(r->message_len + here);
    struct opened o = look_at_message(r);
    if (o.verdict == GOES_ON && here < n) /* keys change at the end of a record */
        o = bad(SSL_AD_UNEXPECTED_MESSAGE);
    return o.verdict == GOES_ON && r->message_len == MESSAGE_BYTES ? key_update(t) : o;
}

/* ---- a record ---- */

struct record {
    unsigned char header[RG_TLS_HEADER];
    uint32_t len;   /* on the wire, without its header */
    uint32_t plain; /* of the plaintext; TLS 1.3: with its type and padding */
};

/* RG_TLS_HEADER bytes are looked at before the rest has come. */
static struct opened look_at_header(const struct rg_tls_records *r, struct record *rec)
{
    uint32_t around = RG_TLS_TAG + (r->explicit_nonce ? RG_TLS_EXPLICIT : 0), least = around + (r->is_13 ? 1 : 0);
    rec->len = (uint32_t)rec->header[3] << 8 | rec->header[4];
    if (rec->header[1] != 3 || rec->header[2] != 3)
        return bad(SSL_AD_PROTOCOL_VERSION);
    if (r->is_13 ? rec->header[0] != RG_TLS_APPLICATION
                 : rec->header[0] < RG_TLS_ALERT || rec->header[0] > RG_TLS_APPLICATION)
        return bad(SSL_AD_UNEXPECTED_MESSAGE);
    if (rec->len > around + (r->is_13 ? PADDED_MAX - RG_TLS_TAG : RG_TLS_RECORD))
        return bad(SSL_AD_RECORD_OVERFLOW);
    if (rec->len < least)
        return bad(SSL_AD_BAD_RECORD_MAC);
    rec->plain = rec->len - around;
    return good;
}

/* Decrypts it to where there is room for rec->plain bytes. */
static bool decrypt(struct rg_tls *t, const struct record *rec, char *to)
{
    struct rg_tls_records *r = t->records;
    unsigned char header[RG_TLS_HEADER], explicit_nonce[RG_TLS_EXPLICIT], tag[RG_TLS_TAG];
    take(t, header, sizeof(header));
    if (r->explicit_nonce)
        take(t, explicit_nonce, sizeof(explicit_nonce));
    bool ok = rg_tls_record_begin(r, header, r->explicit_nonce ? explicit_nonce : NULL, rec->plain);
    for (uint32_t left = rec->plain; left > 0;) {
        struct rg_str f = front(t);
        uint32_t here = f.len < left ? (uint32_t)f.len : left;
        ok = ok && rg_tls_record_piece(r, f.ptr, here, to);
        use(t, here);
        to += here;
        left -= here;
    }
    take(t, tag, sizeof(tag));
    return rg_tls_record_end(r, tag) && ok;
}

/* TLS 1.3: the type is the last byte that is not 0. */
static enum rg_tls_type unpad(const unsigned char *bytes, uint32_t *n)
{
    while (*n > 0 && bytes[*n - 1] == 0)
        (*n)--;
    return *n > 0 ? (enum rg_tls_type)bytes[--*n] : (enum rg_tls_type)0;
}

/* *n: of the plaintext; what is left of it is data. */
static struct opened read_record(struct rg_tls *t, const struct record *rec, char *to, uint32_t *n)
{
    struct rg_tls_records *r = t->records;
    const unsigned char *bytes = (const unsigned char *)to;
    enum rg_tls_type type = (enum rg_tls_type)rec->header[0];
    uint32_t len = rec->plain;
    *n = 0;
    if (!decrypt(t, rec, to))
        return bad(SSL_AD_BAD_RECORD_MAC);
    if (len > RG_TLS_RECORD + (r->is_13 ? 1 : 0)) /* its padding counts: RFC 8446 5.4 */
        return bad(SSL_AD_RECORD_OVERFLOW);
    if (r->is_13)
        type = unpad(bytes, &len);
    if (r->message_len > 0 && type != RG_TLS_HANDSHAKE)
        return bad(SSL_AD_UNEXPECTED_MESSAGE);
    if (type == RG_TLS_APPLICATION && len > 0) {
        *n = len;
        r->idle = 0;
    } else if (++r->idle > IDLE_MAX) {
        return bad(SSL_AD_UNEXPECTED_MESSAGE);
    }
    switch (type) {
    case RG_TLS_APPLICATION:
        return good;
    case RG_TLS_ALERT:
        return alert(t, bytes, len);
    case RG_TLS_HANDSHAKE:
        return handshake(t, bytes, len);
    case RG_TLS_CHANGE_CIPHER:
        break;
    }
    return bad(SSL_AD_UNEXPECTED_MESSAGE);
}

/* ---- all that is there ---- */

/* Where plaintext goes: a block that takes as much as comes, and is queued when it is full. */
struct sink {
    struct rg_input *in;
    struct rg_buf *block;
};

static void flush_sink(struct sink *s)
{
    if (s->block && s->block->len > 0)
        rg_input_push(s->in, s->block);
    else
        rg_buf_unref(s->block);
    s->block = NULL;
}

/* NULL: none that is large enough. */
static char *room_in_sink(struct rg_tls *t, struct sink *s, uint32_t n)
{
    if (s->block && s->block->cap - s->block->len >= n)
        return s->block->data + s->block->len;
    flush_sink(s);
    if (bytes_there(t) > RG_BUF_SMALL_CAP)
        s->block = rg_buf_get_bulk(t->env->bufs);
    if (!s->block && n <= RG_BUF_SMALL_CAP)
        s->block = rg_buf_get_small(t->env->bufs);
    return s->block ? s->block->data : NULL;
}

/* The record was decrypted aside, which has freed the blocks that it came in. */
static bool copy_to_sink(struct rg_tls *t, struct sink *s, const char *from, uint32_t n)
{
    while (n > 0) {
        if (!s->block)
            s->block = rg_buf_get_small(t->env->bufs);
        if (!s->block)
            return false;
        uint32_t room = s->block->cap - s->block->len, here = n < room ? n : room;
        memcpy(s->block->data + s->block->len, from, here);
        s->block->len += here;
        from += here;
        n -= here;
        if (n > 0)
            flush_sink(s);
    }
    return true;
}

static struct opened next(struct rg_tls *t, const struct record *rec, struct sink *s)
{
    uint32_t n;
    char *room = room_in_sink(t, s, rec->plain);
    struct opened o = read_record(t, rec, room ? room : t->env->scratch, &n);
    if (room && s->block)
        s->block->len += n;
    else if (!copy_to_sink(t, s, t->env->scratch, n))
        return (struct opened){NO_ROOM, 0};
    return o;
}

static struct opened open_records(struct rg_tls *t, struct rg_input *in)
{
    struct sink s = {in, NULL};
    struct record rec;
    struct opened o = good;
    uint32_t most = HELD_LEAST;
    while (o.verdict == GOES_ON && peek_header(t, rec.header)) {
        o = look_at_header(t->records, &rec);
        if (o.verdict != GOES_ON || bytes_there(t) < RG_TLS_HEADER + rec.len) {
            most = RG_TLS_HEADER + rec.len;
            break;
        }
        o = next(t, &rec, &s);
    }
    flush_sink(&s);
    if (o.verdict == GOES_ON && !hold_rest(t, most))
        o.verdict = NO_ROOM;
    return o;
}

enum rg_tls_event rg_tls_open_run(struct rg_tls *t, struct rg_input *in)
{
    struct opened o = open_records(t, in);
    switch (o.verdict) {
    case GOES_ON:
        return t->fin ? RG_TLS_CUT : RG_TLS_NOTHING;
    case CLOSED:
        t->state = RG_TLS_ENDED;
        rg_input_clear(&t->net);
        return RG_TLS_END;
    case ALERTED:
        return rg_tls_fail(t, RG_TLS_FAIL_ALERT);
    case NO_ROOM:
        return rg_tls_fail(t, RG_TLS_FAIL_MEMORY);
    case BAD:
        break;
    }
    send_alert(t, FATAL, o.alert);
    return rg_tls_fail(t, RG_TLS_FAIL_MALFORMED);
}

/* ---- out ---- */

/* The keys after these, for ourselves; the peer is told with the last record of the old ones. */
static RG_COLD bool renew_keys(struct rg_tls *t)
{
    struct rg_tls_records *r = t->records;
    unsigned char message[MESSAGE_BYTES] = {KEY_UPDATE, 0, 0, 1, 0};
    if (!send_record(t, RG_TLS_HANDSHAKE, message, sizeof(message)))
        return false;
    r->update_owed = false;
    if (rg_tls_half_update(&r->out, &r->suite, true))
        return true;
    t->state = RG_TLS_BROKEN;
    return false;
}

/* As much of it as there is room for. 0: none. */
static uint32_t seal_one(struct rg_tls *t, const struct rg_output *out)
{
    struct rg_tls_records *r = t->records;
    struct iovec iov[RG_OUT_SEGMENTS];
    uint32_t cap, n = out->bytes < RG_TLS_RECORD ? out->bytes : RG_TLS_RECORD;
    char *room = rg_output_room(&t->wire, t->env->bufs, rg_tls_record_size(r, n), &cap);
    if (!room) {
        n = n < RG_BUF_SMALL_CAP - RG_TLS_OVERHEAD ? n : RG_BUF_SMALL_CAP - RG_TLS_OVERHEAD;
        room = rg_output_room(&t->wire, t->env->bufs, rg_tls_record_size(r, n), &cap);
    }
    if (!room)
        return 0;
    rg_output_iov(out, iov);
    bool ok = rg_tls_record_make(r, RG_TLS_APPLICATION, iov, n, room);
    return made(t, ok ? rg_tls_record_size(r, n) : 0) ? n : 0;
}

uint32_t rg_tls_open_seal(struct rg_tls *t, const struct rg_output *out)
{
    struct rg_tls_records *r = t->records;
    if (RG_UNLIKELY(r->is_13 && (r->update_owed || r->out.sequence >= KEY_RECORDS)) && !renew_keys(t))
        return 0;
    return seal_one(t, out);
}
