/*
 * The state of the simulated world (sim.h), shared by its three files: sim_world.c has descriptors, choices and pipes,
 * sim_options.c says what can happen next, sim_ring.c plays it as ring.h does.
 */
#ifndef RG_TESTS_SIM_WORLD_H
#define RG_TESTS_SIM_WORLD_H

#include "datapath/http/ws_key.h"
#include "datapath/ring.h"
#include "tests/sim/sim.h"

#define SIM_OPS_MAX    256
#define SIM_FDS_MAX    256
#define SIM_SLOTS_MAX  256
#define SIM_OPTIONS    64
#define SIM_ANSWER_MAX 512

enum sim_how { PLAIN, MULTI, PROVIDED, INTO };
enum sim_fd_kind { FD_UNUSED, FD_LISTENER, FD_CLIENT, FD_UPSTREAM, FD_PIPE, FD_HALF_PIPE, FD_CLOSED };

struct sim_op {
    bool used, cancelled;
    bool no_block; /* there was none when it was submitted */
    bool refused;  /* nobody listens there */
    struct rg_slot slot;
    enum rg_op op;
    enum sim_how how;
    int fd;
    char *to;
    uint32_t len;
};

struct sim_fd {
    enum sim_fd_kind kind;
    const char *data;            /* what the peer has sent and we have not received */
    uint32_t len;                /* bytes of it */
    bool left;                   /* the peer ended the connection instead of an answer */
    bool held;                   /* the kernel keeps the end of what was sent until the connection ends */
    uint32_t got;                /* bytes the peer took; of a pipe: bytes in it */
    char key[RG_WS_KEY_LEN];     /* of the WebSocket that is asked for */
    char answer[SIM_ANSWER_MAX]; /* the script's, where it depends on the key */
};

struct sim_slot {
    void *owner;
    enum rg_slot_kind kind;
    uint32_t generation;
};

/* One thing that can happen next. */
struct sim_option {
    int op; /* index; -1: time passes */
    int32_t res;
    bool last; /* no more from a multishot */
};

struct sim_options {
    struct sim_option list[SIM_OPTIONS];
    unsigned n;
};

struct sim_world {
    struct sim_script script;
    struct sim_choices *choices;
    struct rg_worker *worker;
    struct sim_result result;
    struct sim_op ops[SIM_OPS_MAX];
    struct sim_fd fds[SIM_FDS_MAX];
    struct sim_slot slots[SIM_SLOTS_MAX];
    unsigned n_slots, chosen;
    uint64_t now_ns;
    unsigned clients_left, jumps, naps;
    unsigned blocks; /* provided and not taken; with script.blocks */
    bool stop_posted, wake_due;
};

extern struct sim_world sim;

struct sim_fd *sim_fd_of(int fd);
int sim_fd_open_from(int first, enum sim_fd_kind kind, const char *data, uint32_t len);
bool sim_has_block(void);                                 /* memory for what is received */
bool sim_replica_ends(const struct sim_fd *f);            /* it has answered and closes */
bool sim_is_choosing(void);                               /* otherwise things go the usual way */
unsigned sim_choose(unsigned n);                          /* the next choice of the run, below n */
void sim_all_options(struct sim_options *o, bool faults); /* what can happen next; with faults of the peers, too */

#endif
