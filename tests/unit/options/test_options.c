/* control/options/options.c with its table: defaults, every kind of value, exact messages, several at once, cross
 * checks.
 */
#include "tests/unit/options/config_fixture.h"

#include <sched.h>

#include "control/options/options_table.h"
#include "datapath/base/log.h"

static void defaults_are_those_of_the_documentation(void **state)
{
    (void)state;
    struct rg_settings s = config_good("");
    cpu_set_t set;
    sched_getaffinity(0, sizeof(set), &set);
    assert_int_equal(s.workers, CPU_COUNT(&set) < 64 ? CPU_COUNT(&set) : 64);
    assert_false(s.pin_workers);
    assert_int_equal(s.n_listeners, 1);
    assert_string_equal(s.listeners[0].address.text, "[::]:80");
    assert_int_equal(s.steering, RG_STEERING_NEAR);
    assert_true(s.admin_enabled);
    assert_string_equal(s.admin.text, "127.0.0.1:9901");
    assert_string_equal(s.replica.text, "127.0.0.1:9000");
    assert_true(s.health.enabled);
    assert_string_equal(s.health.path, "/api/v2/status");
    assert_int_equal(s.health.interval_ms, 1000);
    assert_int_equal(s.health.timeout_ms, 2000);
    assert_int_equal(s.health.expect, RG_EXPECT_AUTO);
    assert_int_equal(s.health.rise, 1);
    assert_int_equal(s.health.fall, 2);
    assert_int_equal(s.client_head_ms, 10000);
    assert_int_equal(s.client_idle_ms, 75000);
    assert_int_equal(s.body_idle_ms, 30000);
    assert_int_equal(s.connect_ms, 5000);
    assert_int_equal(s.response_head_ms, 60000);
    assert_int_equal(s.drain_ms, 30000);
    assert_int_equal(s.drain_idle_ms, 1000);
    assert_int_equal(s.tunnel_idle_ms, 3600000);
    assert_int_equal(s.connections, 0);
    assert_int_equal(s.head_bytes, 32768);
    assert_int_equal(s.headers, 100);
    assert_int_equal(s.body_bytes, 64 << 20);
    assert_int_equal(s.field_bytes, 16384);
    assert_int_equal(s.target_bytes, 8192);
    assert_int_equal(s.body_rate, 500);
    assert_int_equal(s.splice_bytes, 128 << 10);
    assert_int_equal(s.buffer_bytes, 64 << 20);
    assert_int_equal(s.interim_responses, 8);
    assert_false(s.allow_underscore);
    assert_int_equal(s.n_trusted, 0);
    assert_string_equal(s.health_path, "/health");
    assert_false(s.access_log);
    assert_int_equal(s.access_sample, 1);
    assert_int_equal(s.log_level, RG_LOG_INFO);
}

static const char full[] =
    "workers: 3\n"
    "pin_workers: true\n"
    "backlog: 7\n"
    "listeners:\n"
    "  - address: \"[::]:80\"\n"
    "  - address: 8081\n"
    "  - {address: 'unix:/run/in.sock'}\n"
    "replica:\n"
    "  address: unix:/run/replica.sock\n"
    "  protocol: http1\n"
    "  connections: 10\n"
    "  idle_connections: 5\n"
    "  idle_timeout: 1500ms\n"
    "  health: {path: /ok, interval: 2s, timeout: 3s, expect: ic-status, rise: 4, fall: 5}\n"
    "steering: {mode: hash}\n"
    "admin: {address: \"off\"}\n"
    "timeouts: {client_head: 11s, client_idle: 12s, body_idle: 13s, connect: 14s, response_head: 15s,\n"
    "           drain: 16s, drain_idle: 17s, tunnel_idle: 18m}\n"
    "limits:\n"
    "  connections: 20\n"
    "  head_bytes: 48KiB\n"
    "  headers: 21\n"
    "  field_bytes: 40KiB\n"
    "  target_bytes: 4096\n"
    "  body_bytes: 5GiB\n"
    "  body_rate: 1KiB\n"
    "  splice_bytes: 0\n"
    "  buffer_bytes: 5GiB\n"
    "  interim_responses: 3\n"
    "http: {allow_underscores: true}\n"
    "trusted_proxies: [10.0.0.0/8, \"fd00::/8\", 192.0.2.1]\n"
    "health_path: off\n"
    "access_log: {format: json, path: /var/log/ringgate/access.log, sample: 100, ring_bytes: 64KiB}\n"
    "log: {level: debug}\n";

static void every_option_reaches_its_member(void **state)
{
    (void)state;
    struct rg_flags flags = {0};
    struct loaded l = config_load(full, strlen(full), &flags);
    const struct rg_settings *s = &l.settings;
    assert_string_equal(l.errors, "");
    assert_int_equal(s->workers, 3);
    assert_true(s->pin_workers);
    assert_int_equal(s->backlog, 7);
    assert_int_equal(s->n_listeners, 3);
    assert_string_equal(s->listeners[0].address.text, "[::]:80");
    assert_string_equal(s->listeners[1].address.text, "[::]:8081");
    assert_string_equal(s->listeners[2].address.text, "unix:/run/in.sock");
    assert_int_equal(s->replica.sa.sa_family, AF_UNIX);
    assert_int_equal(s->replica_connections, 10);
    assert_int_equal(s->replica_idle, 5);
    assert_int_equal(s->replica_idle_ms, 1500);
    assert_string_equal(s->health.path, "/ok");
    assert_int_equal(s->health.interval_ms, 2000);
    assert_int_equal(s->health.timeout_ms, 3000);
    assert_int_equal(s->health.expect, RG_EXPECT_IC_STATUS);
    assert_int_equal(s->health.rise, 4);
    assert_int_equal(s->health.fall, 5);
    assert_int_equal(s->steering, RG_STEERING_HASH);
    assert_false(s->admin_enabled);
    assert_int_equal(s->client_head_ms, 11000);
    assert_int_equal(s->client_idle_ms, 12000);
    assert_int_equal(s->body_idle_ms, 13000);
    assert_int_equal(s->connect_ms, 14000);
    assert_int_equal(s->response_head_ms, 15000);
    assert_int_equal(s->drain_ms, 16000);
    assert_int_equal(s->drain_idle_ms, 17000);
    assert_int_equal(s->tunnel_idle_ms, 18 * 60000);
    assert_int_equal(s->connections, 20);
    assert_int_equal(s->head_bytes, 49152);
    assert_int_equal(s->headers, 21);
    assert_int_equal(s->field_bytes, 40960);
    assert_int_equal(s->target_bytes, 4096);
    assert_int_equal(s->body_bytes, 5ull << 30);
    assert_int_equal(s->body_rate, 1024);
    assert_int_equal(s->splice_bytes, 0);
    assert_int_equal(s->buffer_bytes, 5ull << 30);
    assert_int_equal(s->interim_responses, 3);
    assert_true(s->allow_underscore);
    assert_int_equal(s->n_trusted, 3);
    assert_int_equal(s->trusted[0].bits, 104);
    assert_int_equal(s->trusted[1].bits, 8);
    assert_int_equal(s->trusted[2].bits, 128);
    assert_string_equal(s->health_path, "");
    assert_true(s->access_log);
    assert_string_equal(s->access_log_path, "/var/log/ringgate/access.log");
    assert_int_equal(s->access_sample, 100);
    assert_int_equal(s->access_ring_bytes, 65536);
    assert_int_equal(s->log_level, RG_LOG_DEBUG);
    config_free(&l);
}

/* One value each: what follows "t.yaml:LINE:COL: ". */
static const struct {
    const char *text, *error;
} values[] = {
    /* bool */
    {"pin_workers: yes", "1:14: pin_workers: got \"yes\", wanted true or false; did you mean true?"},
    {"pin_workers: off", "1:14: pin_workers: got \"off\", wanted true or false; did you mean false?"},
    {"pin_workers: 1", "1:14: pin_workers: got 1, wanted true or false; did you mean true?"},
    {"pin_workers: True", "1:14: pin_workers: got \"True\", wanted true or false; did you mean true?"},
    {"pin_workers: flase", "1:14: pin_workers: got \"flase\", wanted true or false; did you mean false?"},
    {"pin_workers: maybe", "1:14: pin_workers: got \"maybe\", wanted true or false"},
    {"pin_workers: \"true\"",
     "1:14: pin_workers: got the string \"true\", wanted true or false; did you mean true without quotes?"},
    {"pin_workers:", "1:13: pin_workers: got nothing, wanted true or false"},
    {"pin_workers: ~", "1:14: pin_workers: got nothing, wanted true or false"},
    /* whole numbers, with and without words */
    {"workers: 0", "1:10: workers: got 0, wanted auto or a whole number from 1 to 64"},
    {"workers: 65", "1:10: workers: got 65, wanted auto or a whole number from 1 to 64"},
    {"workers: -1", "1:10: workers: got -1, wanted auto or a whole number from 1 to 64"},
    {"workers: 2.0", "1:10: workers: got 2.0, wanted auto or a whole number from 1 to 64"},
    {"workers: 0x2", "1:10: workers: got \"0x2\", wanted auto or a whole number from 1 to 64"},
    {"workers: 02", "1:10: workers: got 02, wanted auto or a whole number from 1 to 64"},
    {"workers: \"2\"",
     "1:10: workers: got the string \"2\", wanted auto or a whole number from 1 to 64; did you mean 2 without quotes?"},
    {"workers: aut", "1:10: workers: got \"aut\", wanted auto or a whole number from 1 to 64; did you mean auto?"},
    {"workers: 99999999999999999999999",
     "1:10: workers: got \"99999999999999999999999\", wanted auto or a whole number from 1 to 64"},
    {"workers: [2]", "1:10: workers: got a list, wanted auto or a whole number from 1 to 64"},
    {"workers: {a: 2}", "1:10: workers: got a section, wanted auto or a whole number from 1 to 64"},
    {"limits: {headers: 257}", "1:19: limits.headers: got 257, wanted a whole number from 1 to 256"},
    {"limits: {interim_responses: 256}",
     "1:29: limits.interim_responses: got 256, wanted a whole number from 1 to 255"},
    /* durations */
    {"timeouts: {drain: 10}",
     "1:19: timeouts.drain: got 10, wanted a duration from 0s to 24h, like 30s; did you mean 10s?"},
    {"timeouts: {drain: 25h}", "1:19: timeouts.drain: got \"25h\", wanted a duration from 0s to 24h, like 30s"},
    {"timeouts: {connect: 9ms}", "1:21: timeouts.connect: got \"9ms\", wanted a duration from 10ms to 1h, like 5s"},
    {"timeouts: {connect: 5 seconds}",
     "1:21: timeouts.connect: got \"5 seconds\", wanted a duration from 10ms to 1h, like 5s; did you mean 5s?"},
    {"timeouts: {connect: 1.5s}", "1:21: timeouts.connect: got \"1.5s\", wanted a duration from 10ms to 1h, like 5s"},
    {"timeouts: {connect: soon}", "1:21: timeouts.connect: got \"soon\", wanted a duration from 10ms to 1h, like 5s"},
    {"timeouts: {tunnel_idle: 721h}",
     "1:25: timeouts.tunnel_idle: got \"721h\", wanted a duration from 10ms to 720h, like 1h"},
    /* sizes */
    {"limits: {head_bytes: 32K}",
     "1:22: limits.head_bytes: got \"32K\", wanted a size from 4KiB to 48KiB, like 32KiB; did you mean 32KiB?"},
    {"limits: {head_bytes: 4095}", "1:22: limits.head_bytes: got 4095, wanted a size from 4KiB to 48KiB, like 32KiB"},
    {"limits: {head_bytes: 2MiB}",
     "1:22: limits.head_bytes: got \"2MiB\", wanted a size from 4KiB to 48KiB, like 32KiB"},
    {"limits: {head_bytes: big}", "1:22: limits.head_bytes: got \"big\", wanted a size from 4KiB to 48KiB, like 32KiB"},
    {"limits: {body_bytes: -1}", "1:22: limits.body_bytes: got -1, wanted a size from 0 to 1024TiB, like 64MiB"},
    /* words */
    {"steering: {mode: laod}",
     "1:18: steering.mode: got \"laod\", wanted one of near, load, hash or off; did you mean load?"},
    {"steering: {mode: LOAD}",
     "1:18: steering.mode: got \"LOAD\", wanted one of near, load, hash or off; did you mean load?"},
    {"steering: {mode: rr}", "1:18: steering.mode: got \"rr\", wanted one of near, load, hash or off"},
    {"access_log: {format: text}", "1:22: access_log.format: got \"text\", wanted json"},
    {"log: {level: warning}", "1:14: log.level: got \"warning\", wanted one of error, warn, info or debug"},
    /* addresses */
    {"admin: {address: example.org:80}", "1:18: admin.address: got \"example.org:80\", wanted a numeric address or "
                                         "localhost; host names are not supported by this version"},
    {"admin: {address: nof}", "1:18: admin.address: got \"nof\", wanted a numeric address or localhost; host names are "
                              "not supported by this version"},
    {"admin: {address: of}", "1:18: admin.address: got \"of\", wanted a numeric address or localhost; host names are "
                             "not supported by this version; did you mean off?"},
    {"admin: {address: ~}",
     "1:18: admin.address: got nothing, wanted an address like 80, 127.0.0.1:80, [::]:80 or unix:/path, or off"},
    {"replica: {address: 'https://127.0.0.1'}", "1:20: replica.address: got \"https://127.0.0.1\", wanted http://ADDR "
                                                "or h2c://ADDR; this version does not speak TLS to the replica yet"},
    {"replica: {address: '127.0.0.1'}",
     "1:20: replica.address: got \"127.0.0.1\", wanted an address with a port; did you mean 127.0.0.1:8080?"},
    {"replica: {address: \"a\\0b\"}",
     "1:20: replica.address: got a text with a NUL byte, wanted an address like 8080, 127.0.0.1:8080, [::1]:8080, "
     "http://127.0.0.1:8080 or unix:/path"},
    /* prefixes */
    {"trusted_proxies: [10.0.0.1/8]", "1:19: trusted_proxies[0]: got \"10.0.0.1/8\", wanted a prefix whose bits beyond "
                                      "its length are zero; did you mean 10.0.0.0/8?"},
    {"trusted_proxies: [lan]",
     "1:19: trusted_proxies[0]: got \"lan\", wanted an address or a prefix like 10.0.0.0/8 or fd00::/8"},
    {"trusted_proxies: [{a: b}]",
     "1:19: trusted_proxies[0]: got a section, wanted an address or a prefix like 10.0.0.0/8 or fd00::/8"},
    /* status codes */
    {"replica: {health: {expect: ic-stauts}}",
     "1:28: replica.health.expect: got \"ic-stauts\", wanted auto, ic-status, or status codes like 2xx, 204 or "
     "200-399; did you mean ic-status?"},
    {"replica: {health: {expect: 399-200}}",
     "1:28: replica.health.expect: got \"399-200\", wanted auto, ic-status, or status codes like 2xx, 204 or 200-399"},
    {"replica: {health: {expect: 6xx}}",
     "1:28: replica.health.expect: got \"6xx\", wanted auto, ic-status, or status codes like 2xx, 204 or 200-399"},
    {"replica: {health: {expect: 99}}",
     "1:28: replica.health.expect: got 99, wanted auto, ic-status, or status codes like 2xx, 204 or 200-399"},
    {"replica: {health: {expect: 200-600}}",
     "1:28: replica.health.expect: got \"200-600\", wanted auto, ic-status, or status codes like 2xx, 204 or 200-399"},
    /* paths of URLs and of files */
    {"health_path: health",
     "1:14: health_path: got \"health\", wanted a path like /health of at most 255 characters, or off"},
    {"health_path: \"/a b\"",
     "1:14: health_path: got \"/a b\", wanted a path like /health of at most 255 characters, or off"},
    {"health_path: /a#b",
     "1:14: health_path: got \"/a#b\", wanted a path like /health of at most 255 characters, or off"},
    {"health_path: \"/a\\tb\"",
     "1:14: health_path: got \"/a\\tb\", wanted a path like /health of at most 255 characters, or off"},
    {"access_log: {path: access.log}", "1:20: access_log.path: got \"access.log\", wanted an absolute path of at most "
                                       "255 bytes, \"-\" for standard output, or off"},
    {"access_log: {path: /var/log/}", "1:20: access_log.path: got \"/var/log/\", wanted an absolute path of at most "
                                      "255 bytes, \"-\" for standard output, or off"},
    {"access_log: {path: stdout}", "1:20: access_log.path: got \"stdout\", wanted an absolute path of at most 255 "
                                   "bytes, \"-\" for standard output, or off; did you mean \"-\"?"},
    /* lists */
    {"listeners: 80", "1:12: listeners: got 80, wanted a list of 1 to 16 items; begin each item with a dash"},
    {"listeners:", "1:11: listeners: got nothing, wanted a list of 1 to 16 items"},
    {"listeners: []", "1:12: listeners: got a list of 0, wanted a list of 1 to 16 items"},
    {"listeners: {address: 80}", "1:12: listeners: got a section, wanted a list of 1 to 16 items"},
    {"listeners: [80]", "1:13: listeners[0]: got 80, wanted a section with address, http2, redirect_https, "
                        "redirect_port, tls, proxy_protocol; did "
                        "you mean {address: 80}?"},
    {"listeners: [true]", "1:13: listeners[0]: got \"true\", wanted a section with address, http2, redirect_https, "
                          "redirect_port, tls, proxy_protocol"},
    {"listeners: [{}]",
     "1:13: listeners[0].address: got nothing, wanted an address like 80, 127.0.0.1:80, [::]:80 or unix:/path"},
    /* sections */
    {"limits: 5",
     "1:9: limits: got 5, wanted a section with connections, head_bytes, headers, field_bytes, target_bytes, "
     "body_bytes, body_rate, splice_bytes, buffer_bytes, interim_responses, streams, stream_resets, control_frames"},
    {"log: debug", "1:6: log: got \"debug\", wanted a section with level; did you mean {level: \"debug\"}?"},
    {"steering: hash", "1:11: steering: got \"hash\", wanted a section with mode; did you mean {mode: \"hash\"}?"},
    {"access_log: /a.log", "1:13: access_log: got \"/a.log\", wanted a section with format, path, sample, ring_bytes; "
                           "did you mean {path: \"/a.log\"}?"},
    {"log: [level]", "1:6: log: got a list, wanted a section with level"},
    {"replica: {health: off}",
     "1:19: replica.health: got \"off\", wanted a section with path, interval, timeout, expect, rise, fall; "
     "did you mean {path: \"off\"}?"},
    {"replica: {health: 204}",
     "1:19: replica.health: got 204, wanted a section with path, interval, timeout, expect, rise, fall; "
     "did you mean {expect: 204}?"},
    /* keys */
    {"log: {levle: info}", "1:7: log.levle: got an unknown key, wanted level; did you mean level?"},
    {"log: {colour: true}", "1:7: log.colour: got an unknown key, wanted level"},
    {"limits: {client_head: 1s}",
     "1:10: limits.client_head: got an unknown key, wanted one of connections, head_bytes, headers, "
     "field_bytes, target_bytes, body_bytes, body_rate, splice_bytes, buffer_bytes, interim_responses, streams, "
     "stream_resets, control_frames; did you mean timeouts.client_head?"},
    {"\"log.level\": info",
     "1:1: \"log.level\": got an unknown key, wanted one of workers, pin_workers, backlog, health_path, "
     "trusted_proxies, listeners, tls, replica, steering, control, admin, timeouts, limits, http, access_log, log"},
    {"\"listeners[]\": 80",
     "1:1: \"listeners[]\": got an unknown key, wanted one of workers, pin_workers, backlog, "
     "health_path, trusted_proxies, listeners, tls, replica, steering, control, admin, timeouts, limits, "
     "http, access_log, log; did you mean listeners?"},
    /* known, not supported */
    {"control: {url: 'tcp://x', token_file: /t}", "1:16: control.url: got \"tcp://x\", wanted off, or a URL like "
                                                  "wss://platform.example:9243 (wss, https, ws or http; "
                                                  "no user, query or fragment)"},
    {"listeners: [{address: 80, tls: {certificates: [], alpn: [h3]}}]",
     "1:58: listeners[0].tls.alpn[0]: got \"h3\", wanted one of http/1.1 or h2; did you mean h2?"},
    {"listeners: [{address: 80, tls: {certificates: [], min_version: 1.1}}]",
     "1:64: listeners[0].tls.min_version: got 1.1, wanted a value that this version supports; TLS before 1.2 is "
     "broken, and spoken nowhere any more"},
    {"listeners: [{address: 80, tls: {min_version: 1.3}}]",
     "1:32: listeners[0].tls.certificates: got nothing, wanted a list of 0 to 8 items"},
    {"listeners: [{address: 80, tls: }]",
     "1:32: listeners[0].tls: got nothing, wanted a section with certificates; leave it out for HTTP in the clear"},
    {"listeners: [{address: 80, tls: {certificates: [{cert: /a}]}}]",
     "1:48: listeners[0].tls.certificates[0].key: got nothing, wanted an absolute path of at most 255 bytes"},
    {"listeners: [{address: 80, tls: {certificates: [{cert: '-', key: /b}]}}]",
     "1:55: listeners[0].tls.certificates[0].cert: got \"-\", wanted an absolute path of at most 255 bytes"},
    {"replica: {protocol: h2}", "1:21: replica.protocol: got \"h2\", wanted one of http1 or h2c; did you mean h2c?"},
    /* what options mean together */
    {"listeners: [{address: 80}, {address: '[::]:80'}]",
     "1:38: listeners[1].address: got \"[::]:80\" a second time, wanted each address once"},
    {"limits: {field_bytes: 33KiB}",
     "1:23: limits.field_bytes: got 33KiB, wanted at most limits.head_bytes, which is 32KiB"},
    {"limits: {head_bytes: 4KiB, target_bytes: 5KiB}",
     "1:42: limits.target_bytes: got 5KiB, wanted at most limits.head_bytes, which is 4KiB"},
    {"admin: {address: '[::]:80'}", "1:18: admin.address: got \"[::]:80\", where clients connect (the default listener "
                                    "[::]:80), wanted an address of its own"},
};

static void each_bad_value_has_its_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char expected[1024];
        snprintf(expected, sizeof(expected), "t.yaml:%s\n", values[i].error);
        config_bad(values[i].text, expected);
    }
}

static void several_errors_come_in_the_order_of_the_file(void **state)
{
    (void)state;
    config_bad("log: {level: x, level: y}\n"
               "steering: {mode: lod}\n"
               "workers: [1]\n"
               "limits:\n"
               "  field_bytes: 1MiB\n"
               "  headers: none\n"
               "listeners:\n"
               "  - address: 80\n"
               "  - adress: 81\n"
               "  - address: 80\n"
               "timeout: {connect: 5}\n",
               "t.yaml:1:14: log.level: got \"x\", wanted one of error, warn, info or debug\n"
               "t.yaml:1:17: log.level: got the key twice (first in line 1), wanted it once\n"
               "t.yaml:2:18: steering.mode: got \"lod\", wanted one of near, load, hash or off; did you mean load?\n"
               "t.yaml:3:10: workers: got a list, wanted auto or a whole number from 1 to 64\n"
               "t.yaml:5:16: limits.field_bytes: got 1MiB, wanted at most limits.head_bytes, which is 32KiB\n"
               "t.yaml:6:12: limits.headers: got \"none\", wanted a whole number from 1 to 256\n"
               "t.yaml:9:5: listeners[1].adress: got an unknown key, wanted one of address, http2, redirect_https, "
               "redirect_port, tls, proxy_protocol; did "
               "you mean "
               "address?\n"
               "t.yaml:9:5: listeners[1].address: got nothing, wanted an address like 80, 127.0.0.1:80, [::]:80 or "
               "unix:/path\n"
               "t.yaml:10:14: listeners[2].address: got \"[::]:80\" a second time, wanted each address once\n"
               "t.yaml:11:1: timeout: got an unknown key, wanted one of workers, pin_workers, backlog, health_path, "
               "trusted_proxies, listeners, tls, replica, steering, control, admin, timeouts, limits, http, "
               "access_log, log; did you "
               "mean "
               "timeouts?\n");
}

static void lists_end_at_their_limit(void **state)
{
    (void)state;
    char text[1024] = "listeners:\n";
    for (int i = 0; i < 16; i++)
        sprintf(text + strlen(text), "  - address: %d\n", 8000 + i);
    assert_int_equal(config_good(text).n_listeners, 16);
    sprintf(text + strlen(text), "  - address: bad\n");
    config_bad(text, "t.yaml:2:3: listeners: got a list of 17, wanted a list of 1 to 16 items\n");
}

static void values_as_long_as_the_member(void **state)
{
    (void)state;
    char text[400] = "health_path: /";
    memset(text + 14, 'x', 254);
    assert_int_equal(strlen(config_good(text).health_path), 255);
    text[14 + 254] = 'x';
    struct loaded l = config_load(text, strlen(text), NULL);
    assert_non_null(strstr(l.errors, "...\", wanted a path like /health of at most 255 characters, or off\n"));
    config_free(&l);
}

static void good_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned low, high;
    } ranges[] = {
        {"2xx", 200, 299}, {"5XX", 500, 599}, {"204", 204, 204}, {"\"200-399\"", 200, 399}, {"100-599", 100, 599}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "replica: {health: {expect: %s}}", ranges[i].text);
        struct rg_settings s = config_good(text);
        assert_int_equal(s.health.expect, RG_EXPECT_RANGE);
        assert_int_equal(s.health.status_min, ranges[i].low);
        assert_int_equal(s.health.status_max, ranges[i].high);
    }
    assert_false(config_good("replica: {health: {path: off}}").health.enabled);
    assert_false(config_good("access_log: {path: off}").access_log);
    assert_string_equal(config_good("access_log: {path: \"-\"}").access_log_path, "-");
    assert_true(config_good("access_log: {path: '-'}").access_log);
    assert_int_equal(config_good("workers: \"auto\"").workers, config_good("").workers);
    assert_int_equal(config_good("limits: {head_bytes: '8192'}").head_bytes, 8192);
    assert_int_equal(config_good("trusted_proxies: []").n_trusted, 0);
    assert_string_equal(config_good("admin: {address: 9002}\nreplica: {address: 'http://[::1]'}").admin.text,
                        "127.0.0.1:9002");
}

/* The default of a limit follows a smaller head; only what was asked for is an error. */
static void defaults_follow_a_smaller_head(void **state)
{
    (void)state;
    struct rg_settings s = config_good("limits: {head_bytes: 4KiB}");
    assert_int_equal(s.field_bytes, 4096);
    assert_int_equal(s.target_bytes, 4096);
}

/* What the code that walks the table relies on. */
static void the_table_is_sound(void **state)
{
    (void)state;
    const struct rg_conf_option *o = rg_options_table.options;
    for (size_t i = 0; i < rg_options_table.count; i++) {
        print_message("%s\n", o[i].path);
        assert_non_null(o[i].help);
        assert_true(o[i].size > 0);
        assert_ptr_equal(rg_conf_option_of(&rg_options_table, o[i].path), &o[i]); /* no path twice */
        size_t section = (size_t)(strrchr(o[i].path, '.') ? strrchr(o[i].path, '.') - o[i].path + 1 : 0);
        bool left = false; /* rows of one section stand together */
        for (size_t j = i + 1; j < rg_options_table.count && section > 0; j++) {
            bool same = strncmp(o[i].path, o[j].path, section) == 0;
            assert_false(left && same);
            left = !same;
        }
        if (o[i].type == RG_CONF_INT)
            assert_true(o[i].size == 8 || o[i].max < 1ull << (8 * o[i].size));
        if (o[i].type == RG_CONF_DURATION || o[i].type == RG_CONF_SIZE)
            assert_true(o[i].min < o[i].max && (o[i].size == 8 || o[i].max < 1ull << (8 * o[i].size)));
        if (o[i].type == RG_CONF_LIST)
            assert_true(o[i].stride > 0 && i + 1 < rg_options_table.count && strstr(o[i + 1].path, "[]"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_documentation),
        cmocka_unit_test(every_option_reaches_its_member),
        cmocka_unit_test(each_bad_value_has_its_message),
        cmocka_unit_test(several_errors_come_in_the_order_of_the_file),
        cmocka_unit_test(lists_end_at_their_limit),
        cmocka_unit_test(values_as_long_as_the_member),
        cmocka_unit_test(good_spellings),
        cmocka_unit_test(defaults_follow_a_smaller_head),
        cmocka_unit_test(the_table_is_sound),
    };
    return cmocka_run_group_tests(tests, config_setup, config_teardown);
}
