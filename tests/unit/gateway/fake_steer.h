/* Steering without BPF, for tests of the control side. */
#ifndef RG_TEST_FAKE_STEER_H
#define RG_TEST_FAKE_STEER_H

#include "bpf/steer_loader.h"

struct fake_steer {
    int create_error, add_error; /* negative errno: these fail */
    unsigned alive, added;       /* programs loaded, sockets added */
    int last_fd;
    struct rg_steer_worker rows[RG_STEER_WORKERS_MAX];
};

extern struct fake_steer fake_steer;

#endif
