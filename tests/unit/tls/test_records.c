/* records.h and open.c: sessions with keys of ours, against the records of RFC 8448, and against a peer that has the
 * keys and breaks the rules. */
#include "tls_fixture.h"

#include "datapath/tls/records.h"

#include <openssl/obj_mac.h>

static char text[65536], got[65536], raw[65536];

static int make_all(void **state)
{
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7 + i / 251);
    make_env(state);
    rg_tls_env_equip(&env);
    return env.tools ? 0 : -1;
}

/* ---- known answers: RFC 8448 3, "Simple 1-RTT Handshake" ---- */

static const unsigned char server_secret[32] = {0xa1, 0x1a, 0xf9, 0xf0, 0x55, 0x31, 0xf8, 0x56, 0xad, 0x47, 0x11,
                                                0x6b, 0x45, 0xa9, 0x50, 0x32, 0x82, 0x04, 0xb4, 0xf4, 0x4b, 0xfb,
                                                0x6b, 0x3a, 0x4b, 0x4f, 0x1f, 0x3f, 0xcb, 0x63, 0x16, 0x43};
static const unsigned char client_secret[32] = {0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8,
                                                0x88, 0x9b, 0xce, 0x65, 0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf,
                                                0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5};
static const unsigned char server_key[16] = {0x9f, 0x02, 0x28, 0x3b, 0x6c, 0x9c, 0x07, 0xef,
                                             0xc2, 0x6b, 0xb9, 0xf2, 0xac, 0x92, 0xe3, 0x56};
static const unsigned char server_iv[12] = {0xcf, 0x78, 0x2b, 0x88, 0xdd, 0x83, 0x54, 0x9a, 0xad, 0xf1, 0xe9, 0x84};
/* 00 01 ... 31 (50 bytes), the first record of the client, and the second one of the server. */
static const unsigned char client_record[] = {
    0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa, 0xfe, 0x82, 0x28,
    0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8,
    0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62,
    0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4};
static const unsigned char server_record[] = {
    0x17, 0x03, 0x03, 0x00, 0x43, 0x2e, 0x93, 0x7e, 0x11, 0xef, 0x4a, 0xc7, 0x40, 0xe5, 0x38, 0xad, 0x36, 0x00,
    0x5f, 0xc4, 0xa4, 0x69, 0x32, 0xfc, 0x32, 0x25, 0xd0, 0x5f, 0x82, 0xaa, 0x1b, 0x36, 0xe3, 0x0e, 0xfa, 0xf9,
    0x7d, 0x90, 0xe6, 0xdf, 0xfc, 0x60, 0x2d, 0xcb, 0x50, 0x1a, 0x59, 0xa8, 0xfc, 0xc4, 0x9c, 0x4b, 0xf2, 0xe5,
    0xf0, 0xa2, 0x1c, 0x00, 0x47, 0xc2, 0xab, 0xf3, 0x32, 0x54, 0x0d, 0xd0, 0x32, 0xe1, 0x67, 0xc2, 0x95, 0x5d};

/* A session that is open, with the keys of the example, and the peer that it speaks with. */
struct duel {
    struct rg_tls *server;
    struct rg_tls_records peer;
    struct rg_input in;
};

static void prepare(struct rg_tls_records *r, const unsigned char *in, const unsigned char *out)
{
    r->is_13 = true;
    assert_true(rg_tls_suite_find(env.tools, NID_aes_128_gcm, NID_sha256, &r->suite));
    memcpy(r->in.secret, in, 32);
    memcpy(r->out.secret, out, 32);
    assert_true(rg_tls_half_rekey(&r->in, &r->suite, false));
    assert_true(rg_tls_half_rekey(&r->out, &r->suite, true));
}

static void begin_duel(struct duel *d)
{
    *d = (struct duel){.server = rg_tls_accept(&env, 0, NULL)};
    d->server->records = rg_pool_get(&env.records);
    *d->server->records = (struct rg_tls_records){0};
    prepare(d->server->records, client_secret, server_secret);
    prepare(&d->peer, server_secret, client_secret);
    d->server->state = RG_TLS_OPEN;
}

static void end_duel(struct duel *d)
{
    rg_tls_half_fini(&d->peer.in);
    rg_tls_half_fini(&d->peer.out);
    rg_tls_destroy(d->server);
    rg_input_clear(&d->in);
}

static void push(struct duel *d, const void *bytes, size_t n)
{
    struct pair p = {.server = d->server};
    feed(&p, bytes, n);
}

static enum rg_tls_event run(struct duel *d)
{
    return rg_tls_run(d->server, &d->in);
}

static void test_known_answers(void **state)
{
    (void)state;
    struct duel d;
    unsigned char made[32], plain[50];
    begin_duel(&d);
    assert_true(rg_tls_expand(&d.peer.suite, server_secret, "key", made, 16));
    assert_memory_equal(made, server_key, 16);
    assert_true(rg_tls_expand(&d.peer.suite, server_secret, "iv", made, 12));
    assert_memory_equal(made, server_iv, 12);
    for (unsigned i = 0; i < sizeof(plain); i++)
        plain[i] = (unsigned char)i;

    push(&d, client_record, sizeof(client_record));
    assert_int_equal(run(&d), RG_TLS_DATA);
    assert_int_equal(d.in.bytes, sizeof(plain));
    assert_memory_equal(rg_input_front(&d.in).ptr, plain, sizeof(plain));

    struct rg_output out = {0};
    d.server->records->out.sequence = 1; /* a session ticket came before */
    assert_true(rg_output_copy(&out, &bufs, (const char *)plain, sizeof(plain)));
    assert_true(rg_tls_seal(d.server, &out));
    struct iovec iov[RG_OUT_SEGMENTS];
    assert_int_equal(rg_output_iov(&d.server->wire, iov), 1);
    assert_int_equal(iov[0].iov_len, sizeof(server_record));
    assert_memory_equal(iov[0].iov_base, server_record, sizeof(server_record));
    end_duel(&d);
}

/* ---- a peer that has the keys ---- */

/* Pieces: what stands before the type; with type 0, the bytes end with it and its padding. */
static void say(struct duel *d, unsigned type, const void *bytes, uint32_t n)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, n};
    assert_true(rg_tls_record_make(&d->peer, (enum rg_tls_type)type, &iov, n, raw));
    push(d, raw, rg_tls_record_size(&d->peer, n));
}

/* The alert that the server's last words are; 0: it has said nothing. */
static unsigned alert_of(struct duel *d)
{
    struct iovec iov[RG_OUT_SEGMENTS];
    unsigned char header[RG_TLS_HEADER], tag[RG_TLS_TAG];
    char plain[3];
    if (rg_output_iov(&d->server->wire, iov) == 0)
        return 0;
    const char *at = iov[0].iov_base;
    assert_int_equal(iov[0].iov_len, RG_TLS_HEADER + 3 + RG_TLS_TAG);
    memcpy(header, at, sizeof(header));
    memcpy(tag, at + RG_TLS_HEADER + 3, sizeof(tag));
    assert_true(rg_tls_record_begin(&d->peer, header, NULL, 3));
    assert_true(rg_tls_record_piece(&d->peer, at + RG_TLS_HEADER, 3, plain));
    assert_true(rg_tls_record_end(&d->peer, tag));
    assert_int_equal(plain[0], 2);
    assert_int_equal(plain[2], RG_TLS_ALERT);
    return (unsigned char)plain[1];
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        const char *bytes;
        uint32_t n;
        unsigned alert;
    } rows[] = {
        {RG_TLS_CHANGE_CIPHER, "\x01", 1, SSL_AD_UNEXPECTED_MESSAGE},
        {24, "heart", 5, SSL_AD_UNEXPECTED_MESSAGE},
        {0, "\0\0\0\0", 4, SSL_AD_UNEXPECTED_MESSAGE}, /* padding alone */
        {0, "", 0, SSL_AD_UNEXPECTED_MESSAGE},
        {RG_TLS_HANDSHAKE, "", 0, SSL_AD_UNEXPECTED_MESSAGE},
        {RG_TLS_HANDSHAKE, "\x01\0\0\1\0", 5, SSL_AD_UNEXPECTED_MESSAGE}, /* ClientHello */
        {RG_TLS_HANDSHAKE, "\x01", 1, SSL_AD_UNEXPECTED_MESSAGE},         /* as soon as that can be seen */
        {RG_TLS_HANDSHAKE, "\x05\0\0\0", 4, SSL_AD_UNEXPECTED_MESSAGE},   /* EndOfEarlyData */
        {RG_TLS_HANDSHAKE, "\x18\0\0\0", 4, SSL_AD_DECODE_ERROR},
        {RG_TLS_HANDSHAKE, "\x18\0\0\2\0", 5, SSL_AD_DECODE_ERROR},
        {RG_TLS_HANDSHAKE, "\x18\0\0\2\0\0", 6, SSL_AD_DECODE_ERROR},
        {RG_TLS_HANDSHAKE, "\x18\0\0\1\2", 5, SSL_AD_ILLEGAL_PARAMETER},
        {RG_TLS_HANDSHAKE, "\x18\0\0\1\0\x18\0\0\1\0", 10, SSL_AD_UNEXPECTED_MESSAGE}, /* across new keys */
        {RG_TLS_ALERT, "", 0, SSL_AD_UNEXPECTED_MESSAGE},
        {RG_TLS_ALERT, "\1", 1, SSL_AD_DECODE_ERROR},
        {RG_TLS_ALERT, "\1\0\0", 3, SSL_AD_DECODE_ERROR},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct duel d;
        begin_duel(&d);
        say(&d, rows[i].type, rows[i].bytes, rows[i].n);
        assert_int_equal(run(&d), RG_TLS_FAILED);
        assert_int_equal(alert_of(&d), rows[i].alert);
        assert_int_equal(d.server->failure, RG_TLS_FAIL_MALFORMED);
        assert_int_equal(d.in.bytes, 0);
        end_duel(&d);
    }
}

static void test_headers_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned char header[RG_TLS_HEADER];
        unsigned alert;
    } rows[] = {
        {{23, 3, 1, 0, 30}, SSL_AD_PROTOCOL_VERSION},    {{23, 2, 3, 0, 30}, SSL_AD_PROTOCOL_VERSION},
        {{22, 3, 3, 0, 30}, SSL_AD_UNEXPECTED_MESSAGE},  {{20, 3, 3, 0, 1}, SSL_AD_UNEXPECTED_MESSAGE},
        {{21, 3, 3, 0, 2}, SSL_AD_UNEXPECTED_MESSAGE},   {{23, 3, 3, 0x41, 1}, SSL_AD_RECORD_OVERFLOW},
        {{23, 3, 3, 0xff, 255}, SSL_AD_RECORD_OVERFLOW}, {{23, 3, 3, 0, 16}, SSL_AD_BAD_RECORD_MAC},
        {{23, 3, 3, 0, 0}, SSL_AD_BAD_RECORD_MAC},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct duel d;
        begin_duel(&d);
        push(&d, rows[i].header, RG_TLS_HEADER); /* before the rest of it has come */
        assert_int_equal(run(&d), RG_TLS_FAILED);
        assert_int_equal(alert_of(&d), rows[i].alert);
        end_duel(&d);
    }
}

static void test_order_and_copies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct duel d;
        begin_duel(&d);
        if (i == 2) /* one is left out */
            d.peer.out.sequence++;
        say(&d, RG_TLS_APPLICATION, text, 100);
        if (i < 2) {
            assert_int_equal(run(&d), RG_TLS_DATA);
            push(&d, raw, rg_tls_record_size(&d.peer, 100)); /* the same again */
        }
        assert_int_equal(run(&d), RG_TLS_FAILED);
        assert_int_equal(alert_of(&d), SSL_AD_BAD_RECORD_MAC);
        assert_int_equal(d.in.bytes, i < 2 ? 100 : 0);
        end_duel(&d);
    }
}

static void test_padding(void **state)
{
    (void)state;
    struct duel d;
    begin_duel(&d);
    memset(got, 0, sizeof(got));
    memcpy(got, "hello\x17", 6);
    for (uint32_t n = 6; n <= RG_TLS_RECORD; n = n < 14215 ? n * 3 + 1 : n + 2169) { /* to the last byte that may be */
        say(&d, 0, got, n);
        assert_int_equal(run(&d), RG_TLS_DATA);
        assert_int_equal(d.in.bytes, 5);
        assert_memory_equal(rg_input_front(&d.in).ptr, "hello", 5);
        rg_input_clear(&d.in);
    }
    /* As long as one may be: 2^14 and its type; with one more it is too long, padded or not. */
    say(&d, RG_TLS_APPLICATION, text, RG_TLS_RECORD);
    assert_int_equal(run(&d), RG_TLS_DATA);
    assert_int_equal(d.in.bytes, RG_TLS_RECORD);
    rg_input_clear(&d.in);
    say(&d, RG_TLS_APPLICATION, text, RG_TLS_RECORD + 1);
    assert_int_equal(run(&d), RG_TLS_FAILED);
    assert_int_equal(alert_of(&d), SSL_AD_RECORD_OVERFLOW);
    assert_int_equal(d.in.bytes, 0);
    end_duel(&d);

    begin_duel(&d);
    say(&d, 0, got, RG_TLS_RECORD + 1);
    assert_int_equal(run(&d), RG_TLS_FAILED);
    assert_int_equal(alert_of(&d), SSL_AD_RECORD_OVERFLOW);
    end_duel(&d);
}

static void test_records_that_bring_nothing(void **state)
{
    (void)state;
    struct duel d;
    begin_duel(&d);
    for (unsigned i = 0; i < 200; i++) { /* some between data are fine */
        say(&d, RG_TLS_APPLICATION, text, i % 30 == 0);
        assert_int_equal(run(&d), i % 30 == 0 ? RG_TLS_DATA : RG_TLS_NOTHING);
    }
    rg_input_clear(&d.in);
    unsigned n = 0;
    while (run(&d) == RG_TLS_NOTHING && n++ < 100)
        say(&d, RG_TLS_APPLICATION, text, 0);
    assert_true(n < 40);
    assert_int_equal(alert_of(&d), SSL_AD_UNEXPECTED_MESSAGE);
    end_duel(&d);
}

static void test_alerts(void **state)
{
    (void)state;
    struct duel d;
    begin_duel(&d);
    say(&d, RG_TLS_ALERT, "\x01\x5a", 2); /* user_canceled */
    assert_int_equal(run(&d), RG_TLS_NOTHING);
    say(&d, RG_TLS_APPLICATION, text, 10);
    say(&d, RG_TLS_ALERT, "\x01\0", 2);
    say(&d, RG_TLS_APPLICATION, text, 10); /* after its end: nobody's */
    assert_int_equal(run(&d), RG_TLS_DATA);
    assert_int_equal(d.in.bytes, 10);
    assert_int_equal(run(&d), RG_TLS_END);
    assert_int_equal(run(&d), RG_TLS_END);
    assert_int_equal(d.in.bytes, 10);
    end_duel(&d);

    begin_duel(&d);
    say(&d, RG_TLS_ALERT, "\x01\x14", 2); /* TLS 1.3 has no warnings */
    assert_int_equal(run(&d), RG_TLS_FAILED);
    assert_int_equal(d.server->failure, RG_TLS_FAIL_ALERT);
    assert_int_equal(d.server->wire.bytes, 0);
    end_duel(&d);
}

/* ---- new keys ---- */

/* The peer opens all that the server has to say; its data is dropped, a KeyUpdate obeyed. */
static unsigned updates_in_output(struct duel *d)
{
    struct iovec iov[RG_OUT_SEGMENTS];
    unsigned n = rg_output_iov(&d->server->wire, iov), updates = 0;
    for (unsigned i = 0; i < n; i++) {
        char *at = iov[i].iov_base, *end = at + iov[i].iov_len;
        while (at < end) {
            unsigned char header[RG_TLS_HEADER], tag[RG_TLS_TAG];
            memcpy(header, at, sizeof(header));
            uint32_t plain = (uint32_t)(header[3] << 8 | header[4]) - RG_TLS_TAG;
            memcpy(tag, at + RG_TLS_HEADER + plain, sizeof(tag));
            assert_true(rg_tls_record_begin(&d->peer, header, NULL, plain));
            assert_true(rg_tls_record_piece(&d->peer, at + RG_TLS_HEADER, plain, got));
            assert_true(rg_tls_record_end(&d->peer, tag));
            if (got[plain - 1] == RG_TLS_HANDSHAKE) {
                assert_memory_equal(got, "\x18\0\0\1\0", 5);
                assert_true(rg_tls_half_update(&d->peer.in, &d->peer.suite, false));
                updates++;
            }
            at += RG_TLS_HEADER + plain + RG_TLS_TAG;
        }
    }
    rg_output_clear(&d->server->wire);
    return updates;
}

static unsigned answer(struct duel *d, uint32_t n)
{
    struct rg_output out = {0};
    assert_true(rg_output_copy(&out, &bufs, text, n));
    assert_true(rg_tls_seal(d->server, &out));
    assert_int_equal(out.bytes, 0);
    return updates_in_output(d);
}

static void test_new_keys(void **state)
{
    (void)state;
    struct duel d;
    begin_duel(&d);
    for (unsigned i = 0; i < 50; i++) {
        bool asks = i % 2;
        for (unsigned j = 0; j < 1 + i % 3; j++) { /* asked more than once, it answers once */
            const char *message = asks ? "\x18\0\0\1\1" : "\x18\0\0\1\0";
            uint32_t cut = i % 6;
            if (cut > 0 && cut < 5) { /* in two records */
                say(&d, RG_TLS_HANDSHAKE, message, cut);
                say(&d, RG_TLS_HANDSHAKE, message + cut, 5 - cut);
            } else {
                say(&d, RG_TLS_HANDSHAKE, message, 5);
            }
            assert_true(rg_tls_half_update(&d.peer.out, &d.peer.suite, true));
        }
        assert_int_equal(run(&d), RG_TLS_NOTHING);
        assert_int_equal(d.server->wire.bytes, 0);
        say(&d, RG_TLS_APPLICATION, text, 1000);
        assert_int_equal(run(&d), RG_TLS_DATA);
        rg_input_clear(&d.in);
        assert_int_equal(answer(&d, 500), asks);
        assert_int_equal(answer(&d, 500), 0);
    }
    /* Nothing else may come within a message. */
    say(&d, RG_TLS_HANDSHAKE, "\x18\0", 2);
    say(&d, RG_TLS_APPLICATION, text, 10);
    assert_int_equal(run(&d), RG_TLS_FAILED);
    assert_int_equal(alert_of(&d), SSL_AD_UNEXPECTED_MESSAGE);
    assert_int_equal(d.in.bytes, 0);
    end_duel(&d);
}

static void test_keys_are_renewed_in_time(void **state)
{
    (void)state;
    struct duel d;
    begin_duel(&d);
    d.server->records->out.sequence = d.peer.in.sequence = (1u << 23) - 1;
    assert_int_equal(answer(&d, 10), 0);
    assert_int_equal(answer(&d, 10), 1);
    assert_int_equal(d.server->records->out.sequence, 1);
    assert_int_equal(answer(&d, 10), 0);
    end_duel(&d);
}

/* ---- memory ---- */

/* However slowly a record comes, it holds no block; and what is complete leaves nothing. */
static void test_a_record_that_comes_slowly(void **state)
{
    (void)state;
    struct duel d;
    static char record[RG_TLS_RECORD + RG_TLS_OVERHEAD];
    begin_duel(&d);
    struct iovec iov = {text, RG_TLS_RECORD};
    uint32_t size = rg_tls_record_size(&d.peer, RG_TLS_RECORD);
    for (size_t step = 1; step < 16000; step = step * 5 + 1) {
        assert_true(rg_tls_record_make(&d.peer, RG_TLS_APPLICATION, &iov, RG_TLS_RECORD, record));
        for (size_t at = 0; at < size; at += step) {
            bool last = at + step >= size;
            push(&d, record + at, last ? size - at : step);
            assert_int_equal(run(&d), last ? RG_TLS_DATA : RG_TLS_NOTHING);
            if (!last) {
                assert_int_equal(bufs.small.used + bufs.bulk.used, 0);
                assert_true(d.server->records->held_cap <= 2 * (at + step) + 512);
                assert_true(d.server->records->held_cap <= size);
            }
        }
        assert_null(d.server->records->held);
        struct pair p = {.in = d.in};
        assert_int_equal(take_plaintext(&p, got, sizeof(got)), RG_TLS_RECORD);
        assert_memory_equal(got, text, RG_TLS_RECORD);
        d.in = p.in;
    }
    end_duel(&d);
}

/* Three records, cut in two at each position: headers, content and tags lie on both sides of it. */
static void test_each_split(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 30, 7};
    struct duel d;
    char records[256];
    uint32_t n = 1;
    begin_duel(&d);
    for (uint32_t cut = 0; cut < n; cut++) {
        n = 0;
        for (unsigned i = 0; i < 3; i++) {
            struct iovec iov = {text, sizes[i]};
            assert_true(rg_tls_record_make(&d.peer, RG_TLS_APPLICATION, &iov, sizes[i], records + n));
            n += rg_tls_record_size(&d.peer, sizes[i]);
        }
        push(&d, records, cut);
        run(&d);
        push(&d, records + cut, n - cut);
        assert_int_equal(run(&d), RG_TLS_DATA);
        struct pair p = {.in = d.in};
        assert_int_equal(take_plaintext(&p, got, sizeof(got)), 38);
        assert_memory_equal(got + 1, text, 30);
        assert_memory_equal(got + 31, text, 7);
        d.in = p.in;
        assert_null(d.server->records->held);
    }
    end_duel(&d);
}

/* No block is to be had: plaintext takes those that its record came in, and what finds none breaks the session. */
static void test_without_blocks(void **state)
{
    (void)state;
    struct duel d;
    struct rg_list *none[4096] = {0};
    unsigned n = 0;
    begin_duel(&d);
    say(&d, RG_TLS_APPLICATION, text, RG_TLS_RECORD);
    while (n < 4096 && (none[n] = (void *)rg_buf_get_small(&bufs)))
        n++;
    assert_true(n < 4096);
    assert_int_equal(run(&d), RG_TLS_DATA);
    assert_int_equal(d.in.bytes, RG_TLS_RECORD);
    struct rg_output out = {0};
    struct rg_buf *b = (void *)none[--n];
    memcpy(b->data, text, 5000);
    b->len = 5000;
    assert_true(rg_output_push(&out, b, 0, 5000));
    rg_buf_unref(b);
    while ((none[n] = (void *)rg_buf_get_small(&bufs)))
        n++;
    assert_false(rg_tls_seal(d.server, &out)); /* nothing is on its way that would free one */
    assert_int_equal(d.server->state, RG_TLS_BROKEN);
    rg_output_clear(&out);
    while (n > 0)
        rg_buf_unref((void *)none[--n]);
    end_duel(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_headers_that_are_refused),
        cmocka_unit_test(test_order_and_copies),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_records_that_bring_nothing),
        cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_new_keys),
        cmocka_unit_test(test_keys_are_renewed_in_time),
        cmocka_unit_test(test_a_record_that_comes_slowly),
        cmocka_unit_test(test_each_split),
        cmocka_unit_test(test_without_blocks),
    };
    return cmocka_run_group_tests(tests, make_all, drop_env);
}
