/*
 * The command line: one row per flag (FLAGS), each value checked with the range it may have. Thread: main.
 */
#include "bench/load/options.h"

#include <ctype.h>
#include <getopt.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/load/tls.h"

static const char HELP[] =
    "Usage: ringgate-load --connect ADDR [options]\n"
    "Sends HTTP/1.1 requests and measures how long the answers take.\n"
    "\n"
    "  --connect ADDR      127.0.0.1:80, [::1]:80 or unix:/path; addresses, no names\n"
    "  --path PATH         target of the requests (default /bytes/1024)\n"
    "  --connections N     connections, kept open (default 64)\n"
    "  --active N          only the first N of them send, the others stay idle (default: all)\n"
    "  --threads N         threads; connections are dealt out in turn (default 1)\n"
    "  --rate R            open loop: R requests per second in total; each connection has a schedule of constant\n"
    "                      spacing and random phase, and latency counts from the scheduled start. Without it:\n"
    "                      closed loop, each connection asks again when it has its answer\n"
    "  --duration S        how long is measured (default 5); fractions are allowed here and in the next\n"
    "  --warmup S          the same load before, not counted (default 1)\n"
    "  --timeout S         a request without progress for S seconds has failed (default 5)\n"
    "  --per-connection    one request per connection: connect, Connection: close, connect again\n"
    "  --think MS          closed loop: wait MS between answer and next request\n"
    "  --method M          default GET, with a body POST\n"
    "  --body-bytes N      sends N bytes with each request: each 16 of them their offset as 15 hexadecimal digits\n"
    "                      and a line feed (to 268435456)\n"
    "  --chunked-upload    sends them chunked instead of with Content-Length\n"
    "  --websocket N       each connection becomes a WebSocket at PATH; a request is a message of N bytes (to 65535), "
    "its\n"
    "                      answer the next message of the server\n"
    "  --read-rate BYTES   slow reader: each connection reads BYTES per second, with a receive buffer of 64 KiB\n"
    "  --skew K:P          K connections, chosen by --seed, do P percent of the requests\n"
    "  --seed N            other phases of the schedules, and other connections for --skew (default 1)\n"
    "  --host H            Host field (default: ADDR, localhost for a UNIX socket)\n"
    "  --header 'N: V'     one more field; repeatable\n"
    "  --tls               TLS; the server's certificate is not verified\n"
    "  --tls-version V     1.2 or 1.3, no other is spoken (default 1.3)\n"
    "  --tls-cipher NAME   no other is offered, as OpenSSL writes it (default: OpenSSL's choice)\n"
    "  --tls-resume        a connection resumes the session of the one before it; without, each handshake is a full "
    "one\n"
    "  --sni NAME          the name that is asked for (default: none)\n"
    "  --congestion NAME   TCP congestion control (default: the system's)\n"
    "  --hgrm FILE         writes the distribution of latencies in ms, as HdrHistogram's plotter reads it\n"
    "  --json FILE|-       writes the result as JSON; with - instead of the summary\n"
    "  --quiet             no summary\n"
    "  -h, --help          this text\n"
    "\n"
    "Errors: connect (no connection or no TLS handshake, also when one takes longer than --timeout), read (the\n"
    "connection ended within an answer), write, status (a complete answer, but not 2xx or 3xx), timeout, protocol (no\n"
    "HTTP, a wrong length, broken TLS).\n"
    "Only requests answered with 2xx or 3xx count as requests and have a latency. A connection that failed is opened\n"
    "again after a short pause. \"behind\" says how late the generator itself was: from the scheduled start of a free\n"
    "connection to sending; its requests are those more than 1 ms late. \"backlog\" are the requests due and not\n"
    "answered when the counted time begins and ends: when it grows, the rate is more than the server can do.\n"
    "Exit status: 0 measured without an error, 1 errors happened, 2 wrong usage, 3 no connection could be opened.\n";

static int clash(const char *text)
{
    fprintf(stderr, "ringgate-load: %s\n", text);
    return RG_EXIT_USAGE;
}

/* ---- values ---- */

static bool parse_decimal(const char *text, double *ret)
{
    char *end;
    *ret = strtod(text, &end);
    return isdigit((unsigned char)text[0]) && !*end && isfinite(*ret);
}

static int take_seconds(const char *flag, const char *text, bool zero, uint64_t *ret)
{
    double s;
    if (!parse_decimal(text, &s) || s > 86400 || (zero ? s < 0 : s < 0.001))
        return rg_bench_wrong(flag, text, zero ? "seconds from 0 to 86400" : "seconds from 0.001 to 86400");
    *ret = (uint64_t)llround(s * 1e9);
    return RG_GO_ON;
}

static int take_think(const char *text, uint64_t *ret)
{
    double ms;
    if (!parse_decimal(text, &ms) || ms > 3600e3)
        return rg_bench_wrong("--think", text, "milliseconds from 0 to 3600000");
    *ret = (uint64_t)llround(ms * 1e6);
    return RG_GO_ON;
}

static int take_rate(const char *text, double *ret)
{
    if (!parse_decimal(text, ret) || *ret < 0.1 || *ret > 1e8)
        return rg_bench_wrong("--rate", text, "requests per second from 0.1 to 100000000");
    return RG_GO_ON;
}

static int take_skew(struct rg_load_options *o, const char *text)
{
    char *colon;
    double percent;
    unsigned long k = strtoul(text, &colon, 10);
    if (!isdigit((unsigned char)text[0]) || *colon != ':' || k < 1 || k > RG_LOAD_CONNECTIONS_MAX ||
        !parse_decimal(colon + 1, &percent) || percent <= 0 || percent >= 100)
        return rg_bench_wrong("--skew", text,
                              "connections and percent of the requests (above 0, below 100), as in 4:90");
    o->skew_connections = (unsigned)k;
    o->skew_share = percent / 100;
    return RG_GO_ON;
}

static int take_connect(struct rg_load_options *o, const char *text)
{
    o->target = text;
    if (strchr(text, ':') && rg_bench_address_parse(text, 1, &o->address))
        return RG_GO_ON;
    return rg_bench_wrong("--connect", text, "an address and a port, as in 127.0.0.1:80 or [::1]:80, or unix:/path");
}

/* No byte that would end the line or the target: what is sent must be one request. */
static bool is_printable(const char *text, bool spaces)
{
    for (; *text; text++)
        if (!(isgraph((unsigned char)*text) || (spaces && (*text == ' ' || *text == '\t'))))
            return false;
    return true;
}

static int take_header(struct rg_load_options *o, const char *text)
{
    static const struct {
        const char *name, *instead;
    } ours[] = {{"content-length", "--body-bytes sets it"},
                {"transfer-encoding", "--chunked-upload sets it"},
                {"connection", "--per-connection sets it"},
                {"host", "--host sets it"}};
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (n == 0 || strcspn(text, " \t") < n || !is_printable(text, true))
        return rg_bench_wrong("--header", text, "a field as 'Name: value', printable");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strlen(ours[i].name) == n && strncasecmp(text, ours[i].name, n) == 0)
            return rg_bench_wrong("--header", text, ours[i].instead);
    if (o->n_headers == RG_LOAD_HEADERS_MAX)
        return rg_bench_wrong("--header", text, "32 fields at most");
    o->headers[o->n_headers++] = text;
    return RG_GO_ON;
}

static int take_method(struct rg_load_options *o, const char *text)
{
    if (!*text || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != strlen(text) || strcmp(text, "CONNECT") == 0)
        return rg_bench_wrong("--method", text, "a method in capital letters, not CONNECT");
    o->method = text;
    return RG_GO_ON;
}

static int take_text(const char *flag, const char *text, const char *first, const char **ret)
{
    if (!*text || !is_printable(text, false) || (first && !strchr(first, *text)))
        return rg_bench_wrong(flag, text,
                              first ? "a target that begins with / and has no space" : "a value without spaces");
    *ret = text;
    return RG_GO_ON;
}

static int take_body(struct rg_load_options *o, const char *text)
{
    o->has_body = true;
    return rg_bench_take_count("--body-bytes", text, 0, RG_LOAD_BODY_MAX, &o->body_bytes);
}

static int take_websocket(struct rg_load_options *o, const char *text)
{
    o->websocket = true;
    return rg_bench_take_count("--websocket", text, 0, RG_LOAD_MESSAGE_MAX, &o->message_bytes);
}

static int take_tls_version(const char *text, int *ret)
{
    if (strcmp(text, "1.2") != 0 && strcmp(text, "1.3") != 0)
        return rg_bench_wrong("--tls-version", text, "1.2 or 1.3");
    *ret = text[2] == '2' ? TLS1_2_VERSION : TLS1_3_VERSION;
    return RG_GO_ON;
}

static int set(bool *ret)
{
    *ret = true;
    return RG_GO_ON;
}

static int take_name(const char *text, const char **ret)
{
    *ret = text;
    return RG_GO_ON;
}

/* ---- flags ---- */

/* Each flag: what its value `v` does to the options `o`. RG_GO_ON, or the exit status. */
#define FLAGS(WITH, WITHOUT)                                                                                 \
    WITH(CONNECT, "connect", take_connect(o, v))                                                             \
    WITH(PATH, "path", take_text("--path", v, "/", &o->path))                                                \
    WITH(CONNECTIONS, "connections",                                                                         \
         rg_bench_take_unsigned("--connections", v, 1, RG_LOAD_CONNECTIONS_MAX, &o->connections))            \
    WITH(ACTIVE, "active", rg_bench_take_unsigned("--active", v, 1, RG_LOAD_CONNECTIONS_MAX, &o->active))    \
    WITH(THREADS, "threads", rg_bench_take_unsigned("--threads", v, 1, RG_LOAD_THREADS_MAX, &o->threads))    \
    WITH(RATE, "rate", take_rate(v, &o->rate))                                                               \
    WITH(DURATION, "duration", take_seconds("--duration", v, false, &o->duration_ns))                        \
    WITH(WARMUP, "warmup", take_seconds("--warmup", v, true, &o->warmup_ns))                                 \
    WITH(TIMEOUT, "timeout", take_seconds("--timeout", v, false, &o->timeout_ns))                            \
    WITHOUT(PER_CONNECTION, "per-connection", set(&o->per_connection))                                       \
    WITH(THINK, "think", take_think(v, &o->think_ns))                                                        \
    WITH(METHOD, "method", take_method(o, v))                                                                \
    WITH(BODY_BYTES, "body-bytes", take_body(o, v))                                                          \
    WITHOUT(CHUNKED_UPLOAD, "chunked-upload", set(&o->chunked_upload))                                       \
    WITH(WEBSOCKET, "websocket", take_websocket(o, v))                                                       \
    WITH(READ_RATE, "read-rate", rg_bench_take_count("--read-rate", v, 1, UINT64_C(1) << 40, &o->read_rate)) \
    WITH(SKEW, "skew", take_skew(o, v))                                                                      \
    WITH(SEED, "seed", rg_bench_take_count("--seed", v, 0, UINT64_MAX, &o->seed))                            \
    WITH(HOST, "host", take_text("--host", v, NULL, &o->host))                                               \
    WITH(HEADER, "header", take_header(o, v))                                                                \
    WITHOUT(TLS, "tls", set(&o->tls))                                                                        \
    WITH(TLS_VERSION, "tls-version", take_tls_version(v, &o->tls_version))                                   \
    WITH(TLS_CIPHER, "tls-cipher", take_text("--tls-cipher", v, NULL, &o->tls_cipher))                       \
    WITHOUT(TLS_RESUME, "tls-resume", set(&o->tls_resume))                                                   \
    WITH(SNI, "sni", take_text("--sni", v, NULL, &o->sni))                                                   \
    WITH(CONGESTION, "congestion", take_text("--congestion", v, NULL, &o->congestion))                       \
    WITH(HGRM, "hgrm", take_name(v, &o->hgrm))                                                               \
    WITH(JSON, "json", take_name(v, &o->json))                                                               \
    WITHOUT(QUIET, "quiet", set(&o->quiet))

/* Above what a letter may be. */
#define NUMBER(id, name, take) F_##id,
enum flag { F_BEFORE = 255, FLAGS(NUMBER, NUMBER) };

#define WITH(id, name, take)    {name, required_argument, NULL, F_##id},
#define WITHOUT(id, name, take) {name, no_argument, NULL, F_##id},
static const struct option flags[] = {FLAGS(WITH, WITHOUT){"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};

static int take(struct rg_load_options *o, int flag, const char *v)
{
#define TAKE(id, name, take) \
    case F_##id:             \
        return take;
    switch (flag) {
        FLAGS(TAKE, TAKE)
    case 'h':
        fputs(HELP, stdout);
        return 0;
    default:
        fputs("ringgate-load: --help lists the flags\n", stderr);
        return RG_EXIT_USAGE;
    }
}

/* ---- the whole ---- */

/* A name that the kernel does not have would fail at every connection. */
static int check_congestion(const struct rg_load_options *o)
{
    if (!o->congestion)
        return RG_GO_ON;
    if (o->address.any.sa_family == AF_UNIX)
        return clash("--congestion is of no use with a UNIX socket; leave it out");
    int fd = socket(o->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return clash("no socket for --congestion could be made");
    int rc = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->congestion, (socklen_t)strlen(o->congestion));
    close(fd);
    return rc == 0 ? RG_GO_ON
                   : rg_bench_wrong("--congestion", o->congestion,
                                    "one of /proc/sys/net/ipv4/tcp_available_congestion_control");
}

/* The cipher is known only together with the version. */
static int check_tls(struct rg_load_options *o)
{
    struct rg_tls_context x;
    if (!o->tls && (o->tls_version || o->tls_cipher || o->tls_resume || o->sni))
        return clash("--tls-version, --tls-cipher, --tls-resume and --sni need --tls");
    if (!o->tls)
        return RG_GO_ON;
    if (!o->tls_version)
        o->tls_version = TLS1_3_VERSION;
    if (rg_tls_context_init(&x, o) < 0)
        return rg_bench_wrong("--tls-cipher", o->tls_cipher,
                              "a cipher of that version, as openssl ciphers -s -tls1_3 (or -tls1_2) lists them");
    rg_tls_context_fini(&x);
    return RG_GO_ON;
}

static int check_descriptors(const struct rg_load_options *o)
{
    enum { SPARE = 64 }; /* standard streams, a ring per thread, output files */
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return RG_GO_ON;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    rlim_t need = (rlim_t)o->connections + o->threads + SPARE;
    if (limit.rlim_max >= need)
        return RG_GO_ON;
    fprintf(stderr,
            "ringgate-load: --connections %u needs %llu descriptors, the limit is %llu; raise it by ulimit -n\n",
            o->connections, (unsigned long long)need, (unsigned long long)limit.rlim_max);
    return RG_EXIT_USAGE;
}

static int check_together(struct rg_load_options *o)
{
    if (!o->target)
        return clash("--connect is missing: an address and a port, as in 127.0.0.1:80, or unix:/path");
    if (o->active == 0)
        o->active = o->connections;
    if (o->active > o->connections)
        return clash("--active is more than --connections; only an open connection can send");
    if (o->threads > o->active)
        return clash("--threads is more than the connections that send; a thread without one measures nothing");
    if (o->rate > 0 && o->think_ns > 0)
        return clash("--rate and --think exclude each other: in an open loop the schedule says when a request starts");
    if (o->chunked_upload && !o->has_body)
        return clash("--chunked-upload needs --body-bytes: how much is to be sent");
    if (o->websocket && (o->has_body || o->per_connection || o->method))
        return clash("--websocket excludes --body-bytes, --method and --per-connection: requests are messages");
    if (o->skew_share > 0 && o->skew_connections >= o->active)
        return clash("--skew: its connections must be fewer than those that send (--active, --connections)");
    if (o->skew_share > 0 && o->skew_connections < o->threads)
        return clash("--skew: its connections must be at least as many as --threads; each thread needs one of them");
    if (!o->method)
        o->method = o->has_body ? "POST" : "GET";
    if (!o->host)
        o->host = o->address.any.sa_family == AF_UNIX ? "localhost" : o->target;
    int rc = check_congestion(o);
    if (rc == RG_GO_ON)
        rc = check_tls(o);
    return rc == RG_GO_ON ? check_descriptors(o) : rc;
}

int rg_load_options_parse(struct rg_load_options *o, int argc, char **argv)
{
    *o = (struct rg_load_options){
        .path = "/bytes/1024",
        .connections = 64,
        .threads = 1,
        .seed = 1,
        .duration_ns = UINT64_C(5000000000),
        .warmup_ns = UINT64_C(1000000000),
        .timeout_ns = UINT64_C(5000000000),
    };
    int flag;
    while ((flag = getopt_long(argc, argv, "h", flags, NULL)) != -1) {
        int rc = take(o, flag, optarg);
        if (rc != RG_GO_ON)
            return rc;
    }
    if (optind < argc)
        return rg_bench_wrong("command line", argv[optind], "flags only; --help lists them");
    return check_together(o);
}
