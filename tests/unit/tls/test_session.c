/* tls.h: OpenSSL's client talks to a session, however its bytes are cut, broken or ended. */
#include "tls_fixture.h"

#define TEXT_MAX (256u * 1024)

static struct pem ec;
static struct site site;
static char text[TEXT_MAX], got[TEXT_MAX + 65536], raw[2 * TEXT_MAX];

static int make_all(void **state)
{
    make_env(state);
    for (size_t i = 0; i < TEXT_MAX; i++)
        text[i] = (char)(i * 7 + i / 251);
    ec = make_pem(KEY_EC, "a.example", "DNS:a.example", 1);
    site = (struct site){.keys = {.n = 1, .lifetime_s = 3600}};
    rg_tls_key_make(&site.keys.list[0]);
    add_pair(&site, &ec);
    return build(&site, 2);
}

static int drop_all(void **state)
{
    drop_site(&site);
    free_pem(&ec);
    return drop_env(state);
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* ---- whole connections ---- */

static void client_sends(struct pair *p, size_t n)
{
    size_t done = 0;
    while (done < n) {
        int r = SSL_write(p->client, text + done, (int)(n - done));
        assert_true(r > 0);
        done += (size_t)r;
    }
}

static void receive_in_steps(struct pair *p, size_t step)
{
    size_t n = take_from_client(p, raw, sizeof(raw));
    for (size_t at = 0; at < n; at += step) {
        feed(p, raw + at, n - at < step ? n - at : step);
        enum rg_tls_event e = rg_tls_run(p->server, &p->in);
        assert_true(e == RG_TLS_DATA || e == RG_TLS_NOTHING);
    }
}

static void test_bytes_in(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 2, 3, 5, 7, 11, 64, 1000, 8000, 1u << 20};
    static const size_t sizes[] = {1, 100, 16384, 16385, 70000};
    for (unsigned v = 0; v < 2; v++) {
        for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            struct pair p;
            connect_pair(&p, versions[v], "a.example");
            assert_true(shake_hands(&p, steps[i]));
            assert_int_equal(p.server->net.bytes, 0);
            for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
                client_sends(&p, sizes[s]);
                receive_in_steps(&p, steps[i]);
                assert_int_equal(take_plaintext(&p, got, sizeof(got)), sizes[s]);
                assert_memory_equal(got, text, sizes[s]);
            }
            drop_pair(&p);
        }
    }
}

/* Plaintext in pieces of all kinds; the wire is emptied when it is full, as sends do. */
static size_t seal_all(struct pair *p, size_t piece, size_t total)
{
    struct rg_output out = {0};
    size_t queued = 0, n = 0;
    while (n < total) {
        while (queued < total && out.count < RG_OUT_SEGMENTS) {
            size_t here = total - queued < piece ? total - queued : piece;
            struct rg_buf *b = here > RG_BUF_SMALL_CAP ? rg_buf_get_bulk(&bufs) : rg_buf_get_small(&bufs);
            memcpy(b->data, text + queued, here);
            b->len = (uint32_t)here;
            rg_output_push(&out, b, 0, (uint32_t)here);
            rg_buf_unref(b);
            queued += here;
        }
        assert_true(rg_tls_seal(p->server, &out));
        assert_true(p->server->wire.bytes <= 4 * (RG_TLS_RECORD + 256));
        give_to_client(p);
        int r;
        while ((r = SSL_read(p->client, got + n, (int)(sizeof(got) - n))) > 0)
            n += (size_t)r;
    }
    assert_int_equal(out.bytes, 0);
    return n;
}

static void test_bytes_out(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 100, 4096, 8000, 16384, 20000, 60000};
    for (unsigned v = 0; v < 2; v++) {
        struct pair p;
        connect_pair(&p, versions[v], NULL);
        assert_true(shake_hands(&p, 1u << 20));
        for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
            size_t total = pieces[i] < 100 ? 500 : TEXT_MAX;
            assert_int_equal(seal_all(&p, pieces[i], total), total);
            assert_memory_equal(got, text, total);
        }
        drop_pair(&p);
    }
}

/* Small pieces share a record: eight of ten bytes take one record's overhead. */
static void test_small_pieces_share_a_record(void **state)
{
    (void)state;
    struct pair p;
    struct rg_output out = {0};
    connect_pair(&p, TLS1_3_VERSION, NULL);
    assert_true(shake_hands(&p, 1u << 20));
    for (unsigned i = 0; i < RG_OUT_SEGMENTS; i++) {
        struct rg_buf *b = rg_buf_get_small(&bufs);
        b->len = 10;
        memcpy(b->data, text, 10);
        assert_true(rg_output_push(&out, b, 0, 10));
        rg_buf_unref(b);
    }
    assert_true(rg_tls_seal(p.server, &out));
    assert_int_equal(p.server->wire.bytes, 80 + 5 + 1 + 16);
    drop_pair(&p);
}

/* Every position at which the first flight of a client can be cut in two. */
static void test_each_split_of_the_hello(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 2; v++) {
        size_t n = 2;
        for (size_t cut = 1; cut < n; cut++) {
            struct pair p;
            connect_pair(&p, versions[v], "a.example");
            SSL_do_handshake(p.client);
            n = take_from_client(&p, raw, sizeof(raw));
            feed(&p, raw, cut);
            assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_NOTHING);
            assert_int_equal(p.server->wire.bytes, 0);
            feed(&p, raw + cut, n - cut);
            assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_NOTHING);
            assert_true(p.server->wire.bytes > 0);
            give_to_client(&p);
            assert_true(shake_hands(&p, 1u << 20));
            drop_pair(&p);
        }
    }
}

/* ---- ends ---- */

static void test_ends(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 2; v++) {
        struct pair p;
        connect_pair(&p, versions[v], NULL);
        assert_true(shake_hands(&p, 1u << 20));
        client_sends(&p, 10);
        SSL_shutdown(p.client);
        size_t n = take_from_client(&p, raw, sizeof(raw));
        feed(&p, raw, n);
        /* Data and the end in one piece: one after the other. */
        assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_DATA);
        assert_false(rg_list_empty(&env.waiting));
        assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_END);
        assert_true(rg_list_empty(&env.waiting));
        /* What we still have to say reaches the client, and our own end after it. */
        assert_int_equal(seal_all(&p, 100, 1000), 1000);
        assert_true(rg_tls_note_end(p.server));
        give_to_client(&p);
        assert_true(SSL_read(p.client, got, 1) <= 0);
        assert_true(SSL_get_shutdown(p.client) & SSL_RECEIVED_SHUTDOWN);
        drop_pair(&p);
    }
}

static void test_cut_without_close_notify(void **state)
{
    (void)state;
    struct pair p;
    connect_pair(&p, 0, NULL);
    assert_true(shake_hands(&p, 1u << 20));
    client_sends(&p, 100);
    size_t n = take_from_client(&p, raw, sizeof(raw));
    feed(&p, raw, n - 1);
    assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_NOTHING);
    p.server->fin = true;
    assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_CUT);
    assert_int_equal(p.in.bytes, 0);
    drop_pair(&p);
}

static void test_handshake_cut(void **state)
{
    (void)state;
    struct pair p;
    connect_pair(&p, 0, NULL);
    SSL_do_handshake(p.client);
    size_t n = take_from_client(&p, raw, sizeof(raw));
    drop_pair(&p);
    for (size_t cut = 0; cut <= n; cut++) {
        connect_pair(&p, 0, NULL);
        feed(&p, raw, cut);
        assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_NOTHING);
        p.server->fin = true;
        assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_FAILED);
        assert_int_equal(p.server->failure, RG_TLS_FAIL_CLOSED);
        drop_pair(&p);
    }
}

/* ---- what is no TLS, or broken ---- */

static enum rg_tls_event say(const char *data, size_t n, enum rg_tls_failure *failure)
{
    struct pair p;
    connect_pair(&p, 0, NULL);
    feed(&p, data, n);
    enum rg_tls_event e = rg_tls_run(p.server, &p.in);
    if (e == RG_TLS_PLAINTEXT)
        assert_int_equal(p.server->net.bytes, n);
    *failure = (enum rg_tls_failure)p.server->failure;
    drop_pair(&p);
    return e;
}

static void test_other_protocols(void **state)
{
    (void)state;
    enum rg_tls_failure failure;
    assert_int_equal(say("GET / HTTP/1.1\r\n", 16, &failure), RG_TLS_PLAINTEXT);
    assert_int_equal(say("P", 1, &failure), RG_TLS_PLAINTEXT);
    static const char *const noise[] = {"\x80\x2e\x01\x03\x01", "\r\n", "\xff\xff\xff", "get /"};
    for (unsigned i = 0; i < sizeof(noise) / sizeof(noise[0]); i++) {
        assert_int_equal(say(noise[i], strlen(noise[i]), &failure), RG_TLS_FAILED);
        assert_int_equal(failure, RG_TLS_FAIL_NOT_TLS);
    }
    static const char *const broken[] = {"\x16\x03\x01\xff\xff\x01", "\x16\x09\x09\x00\x05hello",
                                         "\x16\x03\x01\x00\x04\x02\xff\xff\xff"};
    static const size_t lens[] = {6, 10, 9};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(say(broken[i], lens[i], &failure), RG_TLS_FAILED);
        assert_true(failure == RG_TLS_FAIL_MALFORMED || failure == RG_TLS_FAIL_VERSION);
    }
}

/* A changed bit anywhere in a record ends the connection, with an alert and without a byte of plaintext. */
static void test_changed_record(void **state)
{
    (void)state;
    for (size_t at = 0; at < 60; at++) {
        struct pair p;
        connect_pair(&p, TLS1_3_VERSION, NULL);
        assert_true(shake_hands(&p, 1u << 20));
        client_sends(&p, 40);
        size_t n = take_from_client(&p, raw, sizeof(raw));
        raw[at] = (char)(raw[at] ^ 0x10);
        feed(&p, raw, n);
        p.server->fin = true; /* a longer record than there are bytes */
        enum rg_tls_event e = rg_tls_run(p.server, &p.in);
        assert_true(e == RG_TLS_FAILED || e == RG_TLS_CUT);
        assert_int_equal(p.in.bytes, 0);
        if (e == RG_TLS_FAILED)
            assert_true(p.server->wire.bytes > 0);
        drop_pair(&p);
    }
}

/* A client that would have us store its handshake without end. */
static void test_endless_hello(void **state)
{
    (void)state;
    struct pair p;
    connect_pair(&p, 0, NULL);
    static const char head[] = "\x16\x03\x01\x40\x00\x01\xff\xff\xff";
    enum rg_tls_event e = RG_TLS_NOTHING;
    size_t fed = 0;
    feed(&p, head, 9);
    feed(&p, text, 16384 - 4);
    while ((e = rg_tls_run(p.server, &p.in)) == RG_TLS_NOTHING && fed < 10u << 20) {
        feed(&p, head, 5);
        feed(&p, text, 16384);
        fed += 16389;
    }
    assert_int_equal(e, RG_TLS_FAILED);
    assert_true(fed <= 256u * 1024);
    drop_pair(&p);
}

/* ---- turns ---- */

static void test_handshakes_wait_for_their_turn(void **state)
{
    (void)state;
    struct pair p;
    connect_pair(&p, TLS1_3_VERSION, NULL);
    env.budget = 0;
    SSL_do_handshake(p.client);
    feed(&p, raw, take_from_client(&p, raw, sizeof(raw)));
    assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_LATER);
    assert_ptr_equal(env.waiting.next, &p.server->waiting);
    assert_int_equal(p.server->wire.bytes, 0);
    env.budget = 1;
    assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_NOTHING);
    assert_int_equal(env.budget, 0);
    assert_true(rg_list_empty(&env.waiting));
    env.budget = UINT16_MAX;
    give_to_client(&p);
    assert_true(shake_hands(&p, 1u << 20));
    drop_pair(&p);
}

/* Plaintext in the same piece as the end of the handshake. */
static void test_request_with_the_last_flight(void **state)
{
    (void)state;
    struct pair p;
    connect_pair(&p, TLS1_3_VERSION, NULL);
    SSL_do_handshake(p.client);
    feed(&p, raw, take_from_client(&p, raw, sizeof(raw)));
    assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_NOTHING);
    give_to_client(&p);
    assert_int_equal(SSL_do_handshake(p.client), 1);
    client_sends(&p, 100);
    feed(&p, raw, take_from_client(&p, raw, sizeof(raw)));
    assert_int_equal(rg_tls_run(p.server, &p.in), RG_TLS_SECURE);
    assert_int_equal(p.in.bytes, 100);
    drop_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_in),
        cmocka_unit_test(test_bytes_out),
        cmocka_unit_test(test_small_pieces_share_a_record),
        cmocka_unit_test(test_each_split_of_the_hello),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_cut_without_close_notify),
        cmocka_unit_test(test_handshake_cut),
        cmocka_unit_test(test_other_protocols),
        cmocka_unit_test(test_changed_record),
        cmocka_unit_test(test_endless_hello),
        cmocka_unit_test(test_handshakes_wait_for_their_turn),
        cmocka_unit_test(test_request_with_the_last_flight),
    };
    return cmocka_run_group_tests(tests, make_all, drop_all);
}
