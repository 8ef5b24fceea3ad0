/*
 * How the programs of the bench begin: values of flags and their refusal, addresses, signals, descriptors. Nothing of
 * it runs while something is measured. Thread: main, before it starts others.
 */
#ifndef RG_BENCH_START_H
#define RG_BENCH_START_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    RG_GO_ON = -1,     /* no reason to end; what else is returned is the exit status */
    RG_EXIT_USAGE = 2, /* wrong flags, said on standard error */
};

struct rg_bench_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
    socklen_t len;
};

/* Says `PROGRAM: flag: got 'value', wanted ...` and returns RG_EXIT_USAGE. NULL for no value. */
int rg_bench_wrong(const char *flag, const char *value, const char *wanted);

/* A whole number within the range: RG_GO_ON. Otherwise that was said, and *ret is untouched. */
int rg_bench_take_count(const char *flag, const char *text, uint64_t min, uint64_t max, uint64_t *ret);
int rg_bench_take_unsigned(const char *flag, const char *text, unsigned min, unsigned max, unsigned *ret);

/*
 * HOST:PORT, [HOST]:PORT, PORT (of 127.0.0.1) or unix:/path; false: none of them. Hosts are numbers, not names; least
 * is the smallest port that will do, 0 or 1.
 */
bool rg_bench_address_parse(const char *text, unsigned least, struct rg_bench_address *ret);

/* Blocks these (a list that ends with 0) for sigwait, in threads to come as well; SIGPIPE is ignored. */
void rg_bench_block_signals(const int *signals, sigset_t *ret);

/* The soft limit of descriptors becomes the hard one, which becomes `wanted` where that is more and allowed. */
void rg_bench_raise_descriptors(uint64_t wanted);

#endif
