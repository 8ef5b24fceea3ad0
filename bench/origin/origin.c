/*
 * ringgate-origin: the scripted origin. main reads the flags, opens the listeners, starts the threads and waits for
 * signals. Thread: main.
 */
#include "bench/origin/origin.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] =
    "Usage: ringgate-origin [--listen ADDR]... [options]\n"
    "A scripted HTTP/1.1 server: path and query of a request say how it is answered.\n"
    "\n"
    "  --listen ADDR      80, 127.0.0.1:80, [::1]:80 or unix:/path; repeatable; port 0 takes a free port and\n"
    "                     prints it (default 127.0.0.1:0)\n"
    "  --threads N        threads, each with its own listening socket (default 1)\n"
    "  --port-file FILE   writes the TCP ports, one a line, once everything listens\n"
    "  --idle-close MS    closes a connection that has been idle for MS\n"
    "  --max-requests N   closes a connection after N requests, announced by Connection: close\n"
    "  --silent-close     with --max-requests: closes without announcing it\n"
    "  --health STATE     health at the start (default healthy)\n"
    "  --quiet            prints nothing\n"
    "  -h, --help         this text\n"
    "\n"
    "Paths (any method unless said; a body that a path does not want is read and ignored):\n"
    "  /api/v2/status     health as an Internet Computer replica answers it: CBOR, always 200\n"
    "  /control/health    GET shows, PUT ?status=STATE sets: healthy, unhealthy, starting,\n"
    "                     waiting_for_certified_state, waiting_for_root_delegation, certified_state_behind, or\n"
    "                     down: closes all connections and answers nothing but /control and /stats\n"
    "  /bytes/N           N bytes (to 2^40), each 16 of them their offset as 15 hexadecimal digits and a line feed\n"
    "      delay=MS         waits before the head\n"
    "      early=N          N interim responses 103 before it (not to HTTP/1.0)\n"
    "      status=NNN       status (204 and 304 have no body)\n"
    "      head=TEXT        more field lines, percent-encoded, as they are\n"
    "      fields=N pad=N   N more fields; one more field with N bytes\n"
    "      headdrip=B/MS    sends B bytes of the head every MS\n"
    "      pause=MS         waits between head and body\n"
    "      drip=B/MS        sends B bytes of the body every MS\n"
    "      chunked=1        chunked, chunk=SIZE bytes each; trailers=1 adds two trailer fields\n"
    "      eof=1            no framing: the connection's end is the body's\n"
    "      close=B          ends the connection after B bytes of the body, with FIN; rst=1 with RST\n"
    "  /http10[/N]        the same as an HTTP/1.0 origin: closes; keepalive=1 keeps the connection\n"
    "  /raw               writes the bytes of b64=BASE64 as they are, then those of more=BASE64;\n"
    "      then=close       closes with FIN (default), keep goes on as if all was well, rst closes with RST\n"
    "      delay=MS drip=B/MS pause=MS   before, while, and between the two\n"
    "  /echo              the body as it comes in, with the same framing and trailers; buffer=1 collects it first\n"
    "  /sink              reads the body, answers JSON: bytes, fnv1a64, pattern (is it the one of /bytes)\n"
    "      at=B             answers after B bytes, then reads the rest; then=close closes instead\n"
    "      slow=B/MS        reads B bytes every MS; never=1 never reads and never answers\n"
    "      status=NNN hash=0\n"
    "  /inspect           JSON: request line, all fields as they came, trailers, framing, length and hash of the "
    "body,\n"
    "                     number of the connection and of the request on it\n"
    "  /ws                WebSocket echo; reject=NNN answers that instead\n"
    "  /stats             GET: JSON of all requests seen but for /stats, /control and /api/v2/status (counted apart),\n"
    "                     with the last 128 request lines; malformed: not HTTP; truncated: ended in the middle;\n"
    "                     aborted: the client left before its answer was sent; DELETE: starts again from zero\n"
    "  noexpect=NNN       on any path: answers Expect: 100-continue with NNN (1: 417) instead of 100, and closes;\n"
    "  no100=1            waits for the body without sending 100\n"
    "\n"
    "Signals: TERM, INT end it; USR1 turns healthy to unhealthy and back; USR2 the same with down.\n"
    "A client that closes its sending side while its answer waits (delay, drip, slow, never) counts as gone.\n";

static bool parse_health(struct rg_server *s, const char *name)
{
    for (int i = 0; i < RG_HEALTH_COUNT; i++)
        if (strcmp(name, rg_health_name(i)) == 0) {
            s->health = i;
            return true;
        }
    return false;
}

static int add_listen(struct rg_server *s, const char *text)
{
    struct rg_listen_address *at = &s->listen[s->n_listen];
    if (s->n_listen == RG_LISTEN_MAX)
        return rg_bench_wrong("--listen", text, "at most 16 addresses");
    if (!rg_bench_address_parse(text, 0, &at->address))
        return rg_bench_wrong("--listen", text, "PORT, 127.0.0.1:PORT, [::1]:PORT or unix:/path");
    at->text = text;
    s->n_listen++;
    return RG_GO_ON;
}

/* RG_GO_ON, or the exit status. */
static int parse_flags(struct rg_server *s, int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"threads", required_argument, NULL, 't'},
        {"port-file", required_argument, NULL, 'p'},
        {"idle-close", required_argument, NULL, 'i'},
        {"max-requests", required_argument, NULL, 'm'},
        {"silent-close", no_argument, NULL, 's'},
        {"health", required_argument, NULL, 'H'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int opt, status = RG_GO_ON;
    while (status == RG_GO_ON && (opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (opt) {
        case 'l':
            status = add_listen(s, optarg);
            break;
        case 't':
            status = rg_bench_take_unsigned("--threads", optarg, 1, RG_THREADS_MAX, &s->n_threads);
            break;
        case 'p':
            s->port_file = optarg;
            break;
        case 'i':
            status = rg_bench_take_count("--idle-close", optarg, 0, UINT32_MAX, &s->idle_close_ms);
            break;
        case 'm':
            status = rg_bench_take_count("--max-requests", optarg, 0, UINT32_MAX, &s->max_requests);
            break;
        case 's':
            s->silent_close = true;
            break;
        case 'H':
            if (!parse_health(s, optarg))
                return rg_bench_wrong("--health", optarg, "a state that --help lists");
            break;
        case 'q':
            s->quiet = true;
            break;
        case 'h':
            fputs(HELP, stdout);
            return 0;
        default:
            return RG_EXIT_USAGE;
        }
    }
    if (status != RG_GO_ON)
        return status;
    if (optind < argc)
        return rg_bench_wrong("argument", argv[optind], "options only");
    return s->n_listen > 0 ? RG_GO_ON : add_listen(s, "127.0.0.1:0");
}

/* Nothing is open yet in them. NULL when out of memory. */
static struct rg_thread *threads_create(struct rg_server *s)
{
    struct rg_thread *threads = calloc(s->n_threads, sizeof(*threads));
    for (unsigned i = 0; threads && i < s->n_threads; i++) {
        struct rg_thread *t = &threads[i];
        t->server = s;
        t->epoll = t->spare_fd = t->wake.fd = -1;
        for (unsigned n = 0; n < RG_LISTEN_MAX; n++)
            t->listeners[n].fd = -1;
        LIST_INIT(&t->clients);
        LIST_INIT(&t->spare_clients);
        TAILQ_INIT(&t->run);
        pthread_mutex_init(&t->tally.lock, NULL);
    }
    return threads;
}

/* The file of ports appears at once and complete: it is written beside and renamed. */
static int open_listeners(struct rg_server *s)
{
    char *temporary = NULL;
    FILE *ports = NULL;
    int err = 0;
    if (s->port_file) {
        if (asprintf(&temporary, "%s.new", s->port_file) < 0)
            return -ENOMEM;
        ports = fopen(temporary, "we");
        if (!ports) {
            err = -errno;
            goto out;
        }
    }
    for (unsigned n = 0; n < s->n_listen; n++) {
        err = rg_listen_open(s, n, ports);
        if (err < 0) {
            if (ports)
                fclose(ports);
            free(temporary);
            return err; /* said already */
        }
    }
    fflush(stdout);
    if (ports && (fclose(ports) != 0 || rename(temporary, s->port_file) < 0))
        err = -errno;
out:
    if (err < 0)
        fprintf(stderr, "ringgate-origin: %s: %s\n", s->port_file, strerror(-err));
    free(temporary);
    return err;
}

static void toggle(struct rg_server *s, int other)
{
    s->health = s->health == RG_HEALTHY ? other : RG_HEALTHY;
    rg_server_wake(s);
    if (!s->quiet) {
        printf("health is now %s\n", rg_health_name(s->health));
        fflush(stdout);
    }
}

static void wait_for_end(struct rg_server *s, const sigset_t *set)
{
    for (;;) {
        int sig;
        if (sigwait(set, &sig) != 0)
            continue;
        if (sig == SIGUSR1)
            toggle(s, RG_UNHEALTHY);
        else if (sig == SIGUSR2)
            toggle(s, RG_DOWN);
        else
            return;
    }
}

static int start_threads(struct rg_server *s, unsigned *ret_started)
{
    int err = 0;
    for (unsigned i = 0; i < s->n_threads && err == 0; i++)
        err = rg_thread_init(&s->threads[i]);
    for (unsigned i = 0; i < s->n_threads && err == 0; i++) {
        err = rg_thread_start(&s->threads[i]);
        *ret_started += err == 0;
    }
    if (err < 0)
        fprintf(stderr, "ringgate-origin: cannot start the threads: %s\n", strerror(-err));
    return err;
}

/* Threads 0 to n-1 have been started. */
static void stop_threads(struct rg_server *s, unsigned n)
{
    s->stop = true;
    rg_server_wake(s);
    for (unsigned i = 0; i < n; i++)
        pthread_join(s->threads[i].id, NULL);
}

static int serve(struct rg_server *s, const sigset_t *signals)
{
    unsigned started = 0;
    s->threads = threads_create(s);
    if (!s->threads) {
        fprintf(stderr, "ringgate-origin: out of memory\n");
        return -ENOMEM;
    }
    int err = open_listeners(s);
    if (err == 0)
        err = start_threads(s, &started);
    if (err == 0)
        wait_for_end(s, signals);
    stop_threads(s, started);
    rg_listen_close(s);
    for (unsigned i = 0; i < s->n_threads; i++)
        rg_thread_fini(&s->threads[i]);
    free(s->threads);
    return err;
}

int main(int argc, char **argv)
{
    struct rg_server server = {.n_threads = 1, .next_seq = 1, .next_connection = 1};
    sigset_t signals;
    int status = parse_flags(&server, argc, argv);
    if (status != RG_GO_ON)
        return status;
    rg_bench_block_signals((const int[]){SIGTERM, SIGINT, SIGUSR1, SIGUSR2, 0}, &signals);
    rg_bench_raise_descriptors(0);
    return serve(&server, &signals) < 0 ? 1 : 0;
}
