/*
 * A world without a kernel: one worker runs its real loop on a ring whose completions this world decides. Every place
 * where a kernel could do one thing or another is a choice; a test plays all of them.
 *
 * A run: rg_worker_start with sim_begin before it. The world lets `prefix` steps go the usual way, then takes the
 * given choices, then goes the usual way again until nothing is left to happen, and stops the worker.
 */
#ifndef RG_TESTS_SIM_H
#define RG_TESTS_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/worker.h"

#define SIM_DEPTH_MAX 16
#define SIM_FIRST_FD  1000 /* of the listener; clients and upstream connections are numbered from the next on */

/* In what the replica sends: becomes the Sec-WebSocket-Accept that follows from the request's key. */
#define SIM_ACCEPT "(Sec-WebSocket-Accept value)"

struct sim_script {
    const char *client;   /* bytes that each client sends */
    uint32_t client_len;  /* so many; 0: it is a string */
    uint32_t cut;         /* so many of them come first, the rest later; 0: all at once */
    bool http2;           /* as in the settings of the listener */
    const char *replica;  /* bytes that the replica sends after it got a request */
    uint32_t replica_len; /* so many; 0: it is a string */
    bool h2c;             /* the replica speaks HTTP/2: its bytes come once on a connection, after the preface */
    bool replica_closes;  /* ... and then ends the connection */
    unsigned clients;
    bool one_by_one;       /* a client comes when nothing else is left to happen */
    bool in_halves;        /* what is long comes in parts, unless chosen otherwise */
    uint32_t splice_bytes; /* as in the settings */
    uint32_t descriptors;  /* as in the settings; 0: none is kept */
    bool freed_late;       /* clients get high numbers; lower ones have come free when they are looked at */
    unsigned blocks;       /* memory for so many received blocks, the provided ones included; 0: enough */
    unsigned naps;         /* so often time passes when nothing is left to happen, until the worker's next timer */
    unsigned no_sockets;   /* before so many naps no descriptor is left for a connection to the replica */
    unsigned sockets;      /* so many connections to the replica may be open at once; 0: any number */
    int no_ipv6;           /* connects to such addresses fail by this errno, others succeed, and in time; 0: as any */
    unsigned leaves_at;    /* the replica ends the connection instead of answering this request, and somebody else takes
                              the descriptor; 0: never */
    unsigned drain_at;     /* before this step the worker is told to drain; 0: never */
    unsigned prefix;       /* steps before choices begin */
    unsigned depth;        /* choices */
    bool stop_at_choices;  /* the worker is told to stop when choices begin */
    bool takes_leave;      /* ... but may tell its tunnels */
    bool behind_proxy;     /* clients begin with a PROXY header */
    struct rg_snapshot *routes;                              /* that the worker begins with; NULL: none */
    void (*before_step)(struct rg_worker *w, unsigned step); /* what the control thread does meanwhile; NULL: nothing */
    void (*on_record)(const struct rg_access_record *record); /* of each exchange, at the end of a run; NULL: nobody */
};

/* The choices of a run, as an odometer: sim_next_run turns it to the next one. */
struct sim_choices {
    unsigned taken[SIM_DEPTH_MAX], options[SIM_DEPTH_MAX];
    unsigned n;
};

struct sim_result {
    unsigned accepted, requests_at_replica, responses_at_clients, steps;
    unsigned empty_handed; /* receives that found no block */
    unsigned unheard;      /* clients without a receive when nothing was left to happen */
    uint64_t shed_heads;
    uint64_t tunnels_left;
    uint64_t spliced;
    uint64_t bytes_at_replica, bytes_at_clients;
    bool ran_out; /* the run was shorter than its prefix: no choice was taken */
};
/* Settings of a worker in this world, for one listener and one replica; a script changes some. */
struct rg_settings sim_settings(const struct sim_script *script);
/* A whole run: made, started, joined, freed. What must hold in every run is asserted. */
struct sim_result sim_play(const struct sim_script *script, struct sim_choices *choices);
/* All sequences of so many choices, from every step on, until a run ends before its choices begin. play: sim_play, or
 * what does more. Returns the number of runs. */
unsigned sim_play_all(struct sim_script script, unsigned depth,
                      struct sim_result (*play)(const struct sim_script *, struct sim_choices *));

/* ... and the same again with a worker that is told to stop when choices begin. RG_SIM_DEPTH in the environment is
 * another depth for all tests. */
unsigned sim_play_every_order(struct sim_script script, unsigned usual_depth,
                              struct sim_result (*play)(const struct sim_script *, struct sim_choices *));

void sim_begin(const struct sim_script *script, struct sim_choices *choices);
void sim_set_worker(struct rg_worker *w);
/* After the worker has ended: checks that nothing is left open or in flight, forgets the run. */
void sim_end(void);
bool sim_next_run(struct sim_choices *choices);

struct sim_result sim_result(void);

/* For sim_sys.c */
uint64_t sim_now_ns(void);
int sim_open_upstream(void);
int sim_renumber(int fd);
bool sim_has_waiting(int fd);
void sim_close(int fd);
int sim_open_pipe(void);
int64_t sim_splice(int from, int to, uint64_t n);

#endif
