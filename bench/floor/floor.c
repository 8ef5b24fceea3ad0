/*
 * ringgate-floor: flags, sockets, threads, and the signal that ends them. See floor.h for what the program is and is
 * not. Thread: main.
 */
#include "bench/floor/floor.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Two descriptors a client: more than a shell's hard limit may allow, which root can raise. */
enum { WORKERS_MAX = 64, DESCRIPTORS = 65536 };

static const char HELP[] =
    "Usage: ringgate-floor --listen ADDR --replica ADDR [options]\n"
    "Relays bytes between clients and a replica, without HTTP: the floor of what a gateway on io_uring costs.\n"
    "\n"
    "  --listen ADDR      PORT, 127.0.0.1:PORT or [::1]:PORT\n"
    "  --replica ADDR     the same, or unix:/path; each client gets a connection of its own to it\n"
    "  --response-bytes N each response has N bytes, head and body, on a kept connection: connections to the replica\n"
    "                     are kept, and each request takes one (default 0: unknown, a client keeps its own). A "
    "request\n"
    "                     with the line Connection: close ends the client's connection only\n"
    "  --workers N        threads, each with its own ring and listening socket: 1 to 64 (default 2)\n"
    "  --congestion NAME  TCP congestion control of all sockets, or system: what routes and sysctl say (default "
    "cubic)\n"
    "  -h, --help         this text\n"
    "\n"
    "Needs two descriptors a client, with --response-bytes one, and one for each request at a time (ulimit -n): "
    "clients\n"
    "beyond that wait or are closed. Prints errors only. TERM and INT end it.\n";

struct options {
    const char *listen_text, *replica_text, *congestion;
    struct rg_bench_address listen, replica;
    uint64_t response_bytes;
    unsigned workers;
};

struct floor {
    struct options opt;
    struct rg_floor_settings settings;
    int wake; /* readable, and never read, once it is time to end */
    struct rg_floor_worker *workers[WORKERS_MAX];
    pthread_t threads[WORKERS_MAX];
    unsigned n_created, n_started;
};

/* ---- Flags ---- */

/* RG_GO_ON, or the exit status. */
static int check_options(struct options *o)
{
    if (!o->listen_text || !rg_bench_address_parse(o->listen_text, 1, &o->listen) || o->listen.any.sa_family == AF_UNIX)
        return rg_bench_wrong("--listen", o->listen_text, "PORT, 127.0.0.1:PORT or [::1]:PORT");
    if (!o->replica_text || !rg_bench_address_parse(o->replica_text, 1, &o->replica))
        return rg_bench_wrong("--replica", o->replica_text, "PORT, 127.0.0.1:PORT, [::1]:PORT or unix:/path");
    if (strcmp(o->congestion, "system") == 0)
        o->congestion = NULL;
    return RG_GO_ON;
}

/* RG_GO_ON, or the exit status. */
static int parse_flags(struct options *o, int argc, char **argv)
{
    static const struct option flags[] = {
        {"listen", required_argument, NULL, 'l'},
        {"replica", required_argument, NULL, 'r'},
        {"workers", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {"congestion", required_argument, NULL, 'c'},
        {"response-bytes", required_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    int opt, status = RG_GO_ON;
    while (status == RG_GO_ON && (opt = getopt_long(argc, argv, "h", flags, NULL)) != -1) {
        switch (opt) {
        case 'l':
            o->listen_text = optarg;
            break;
        case 'r':
            o->replica_text = optarg;
            break;
        case 'c':
            o->congestion = optarg;
            break;
        case 'w':
            status = rg_bench_take_unsigned("--workers", optarg, 1, WORKERS_MAX, &o->workers);
            break;
        case 'b':
            status = rg_bench_take_count("--response-bytes", optarg, 0, UINT64_C(1) << 40, &o->response_bytes);
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
    return check_options(o);
}

/* ---- Start and end ---- */

static int check_congestion(const char *name)
{
    int fd = rg_floor_socket(AF_INET, name);
    if (fd < 0) {
        fprintf(stderr,
                "ringgate-floor: --congestion: got '%s': %s; /proc/sys/net/ipv4/tcp_available_congestion_control "
                "lists what this kernel has, --congestion system leaves it alone\n",
                name, strerror(-fd));
        return fd;
    }
    close(fd);
    return 0;
}

static int create_worker(struct floor *f)
{
    const struct options *o = &f->opt;
    int listener = rg_floor_listen(&o->listen, o->congestion);
    if (listener < 0) {
        fprintf(stderr, "ringgate-floor: --listen: cannot listen on %s: %s; is the port in use?\n", o->listen_text,
                strerror(-listener));
        return listener;
    }
    int err = rg_floor_create(&f->workers[f->n_created], listener, f->wake, &f->settings);
    if (err < 0) {
        close(listener);
        fprintf(stderr,
                "ringgate-floor: cannot set up an io_uring: %s; Linux 6.1 or newer is needed, and sysctl "
                "kernel.io_uring_disabled must be 0\n",
                strerror(-err));
        return err;
    }
    f->n_created++;
    return 0;
}

/* A worker that can't go on ends the program: main waits for that signal. */
static void *thread_main(void *arg)
{
    int err = rg_floor_run(arg);
    if (err < 0) {
        fprintf(stderr, "ringgate-floor: a worker ended: %s\n", strerror(-err));
        kill(getpid(), SIGTERM);
    }
    return (void *)(intptr_t)err;
}

static int start(struct floor *f)
{
    f->settings = (struct rg_floor_settings){
        .replica = &f->opt.replica, .congestion = f->opt.congestion, .response_bytes = f->opt.response_bytes};
    int err = f->opt.congestion ? check_congestion(f->opt.congestion) : 0;
    while (err == 0 && f->n_created < f->opt.workers)
        err = create_worker(f);
    while (err == 0 && f->n_started < f->n_created) {
        err = -pthread_create(&f->threads[f->n_started], NULL, thread_main, f->workers[f->n_started]);
        if (err == 0)
            f->n_started++;
        else
            fprintf(stderr, "ringgate-floor: cannot start a thread: %s\n", strerror(-err));
    }
    return err;
}

/* What was started ends, whatever failed later. Negative errno if a worker had ended by itself. */
static int stop(struct floor *f)
{
    uint64_t one = 1;
    void *result;
    int err = write(f->wake, &one, sizeof one) == sizeof one ? 0 : -errno;
    for (unsigned i = 0; i < f->n_started; i++) {
        pthread_join(f->threads[i], &result);
        err = err == 0 ? (int)(intptr_t)result : err;
    }
    for (unsigned i = 0; i < f->n_created; i++)
        rg_floor_destroy(f->workers[i]);
    close(f->wake);
    return err;
}

int main(int argc, char **argv)
{
    static struct floor f = {.opt = {.congestion = "cubic", .workers = 2}};
    sigset_t signals;
    int sig, status = parse_flags(&f.opt, argc, argv);
    if (status != RG_GO_ON)
        return status;
    rg_bench_block_signals((const int[]){SIGTERM, SIGINT, 0}, &signals);
    rg_bench_raise_descriptors(DESCRIPTORS);
    f.wake = eventfd(0, EFD_CLOEXEC);
    if (f.wake < 0) {
        fprintf(stderr, "ringgate-floor: eventfd: %s\n", strerror(errno));
        return 1;
    }
    int err = start(&f);
    if (err == 0)
        sigwait(&signals, &sig);
    int end = stop(&f);
    return err < 0 || end < 0 ? 1 : 0;
}
