/*
 * ringgate-load: options, threads, one tally, report. The rest in reading order: options, request, pace and schedule
 * (what is sent and when), worker (the loop), client (a connection), wire and tls (its bytes), reader (its responses),
 * histogram, tally, report.
 * It shares no code with the gateway, so that neither hides a mistake of the other. Thread: main.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/load/report.h"
#include "bench/load/worker.h"

enum { EXIT_MEASURED, EXIT_ERRORS, EXIT_NO_CONNECTION = 3 };

static uint64_t clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* EXIT_MEASURED when every worker could begin and at least one connection is open. */
static int check_opened(struct rg_run *run, const struct rg_worker *workers)
{
    for (unsigned i = 0; i < run->options->threads; i++) {
        if (workers[i].error == 0)
            continue;
        fprintf(stderr,
                "ringgate-load: no io_uring: %s; Linux 6.1 or newer is needed, and kernel.io_uring_disabled 0\n",
                strerror(-workers[i].error));
        return EXIT_ERRORS;
    }
    if (atomic_load(&run->connected) > 0)
        return EXIT_MEASURED;
    const char *why = workers[0].tally.first[RG_ERROR_CONNECT];
    fprintf(stderr, "ringgate-load: --connect %s: no connection could be opened: %s; is the server listening there?\n",
            run->options->target, why ? why : "unknown");
    return EXIT_NO_CONNECTION;
}

/* Waits for all to have tried their connections, then lets them begin at the same moment, or end. */
static int conduct(struct rg_run *run, struct rg_worker *workers)
{
    pthread_barrier_wait(&run->barrier);
    int rc = check_opened(run, workers);
    run->begin = rc == EXIT_MEASURED ? clock_now() : 0;
    pthread_barrier_wait(&run->barrier);
    for (unsigned i = 0; i < run->options->threads; i++)
        pthread_join(workers[i].thread, NULL);
    return rc;
}

static int add_up(const struct rg_load_options *o, const struct rg_worker *workers)
{
    struct rg_tally *sum = calloc(1, sizeof *sum);
    if (!sum) {
        fputs("ringgate-load: no memory for the result\n", stderr);
        return EXIT_ERRORS;
    }
    for (unsigned i = 0; i < o->threads; i++)
        rg_tally_merge(sum, &workers[i].tally);
    int rc = rg_report(o, sum) < 0 || rg_tally_errors(sum) > 0 ? EXIT_ERRORS : EXIT_MEASURED;
    free(sum);
    return rc;
}

static int run_load(const struct rg_load_options *o)
{
    struct rg_run run = {.options = o};
    struct rg_worker *workers = calloc(o->threads, sizeof *workers);
    int rc = EXIT_ERRORS;
    if (!workers || rg_request_init(&run.request, o) < 0 ||
        (o->websocket && rg_request_init_upgrade(&run.upgrade, o) < 0)) {
        fputs("ringgate-load: no memory for connections and request\n", stderr);
        goto out;
    }
    pthread_barrier_init(&run.barrier, NULL, o->threads + 1);
    for (unsigned i = 0; i < o->threads; i++) {
        int err = rg_worker_start(&workers[i], &run, i);
        if (err < 0) {
            /* Threads that run wait at the barrier for those that can't be: nothing but the end is left. */
            fprintf(stderr, "ringgate-load: thread %u of %u: %s; use fewer --threads\n", i + 1, o->threads,
                    strerror(-err));
            exit(EXIT_ERRORS);
        }
    }
    rc = conduct(&run, workers);
    if (rc == EXIT_MEASURED)
        rc = add_up(o, workers);
    pthread_barrier_destroy(&run.barrier);
out:
    rg_request_fini(&run.upgrade);
    rg_request_fini(&run.request);
    free(workers);
    return rc;
}

int main(int argc, char **argv)
{
    struct rg_load_options options;
    int rc = rg_load_options_parse(&options, argc, argv);
    if (rc != RG_GO_ON)
        return rc;
    signal(SIGPIPE, SIG_IGN);
    return run_load(&options);
}
