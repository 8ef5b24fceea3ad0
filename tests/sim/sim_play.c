/* A run of the simulated world: the worker's settings, its life, and what must hold at its end. */
#include <stdlib.h>

#include "datapath/base/assert.h"
#include "tests/sim/sim.h"

#define LISTEN_FD SIM_FIRST_FD

struct rg_settings sim_settings(const struct sim_script *script)
{
    struct rg_settings s = {
        .generation = 1,
        .workers = 1,
        .backlog = 16,
        .replica = {.in = {.sin_family = AF_INET}, .len = sizeof(struct sockaddr_in), .text = "127.0.0.1:1"},
        .replica_idle = 4,
        .replica_idle_ms = 60000,
        .health = {.fall = 60000},
        .client_head_ms = 10000,
        .client_idle_ms = 75000,
        .body_idle_ms = 30000,
        .connect_ms = 5000,
        .response_head_ms = 60000,
        .drain_ms = 30000,
        .drain_idle_ms = 1000,
        .tunnel_idle_ms = 3600000,
        .connections = 100,
        .head_bytes = 32768,
        .field_bytes = 16384,
        .target_bytes = 8192,
        .headers = 100,
        .body_bytes = 1 << 20,
        .buffer_bytes = 16 << 20,
        .interim_responses = 8,
        .access_log = true,
        .access_sample = 1,
        .h2_streams = 100,
        .h2_resets = 100,
        .h2_control_frames = 1000,
        .n_listeners = 1,
        .descriptors = script->descriptors,
        .splice_bytes = script->splice_bytes,
    };
    s.listeners[0].http2 = script->http2;
    if (script->h2c)
        s.replica_protocol = RG_REPLICA_H2C;
    if (script->behind_proxy) {
        s.listeners[0].proxy_mode = RG_PROXY_MODE_REQUIRE;
        s.listeners[0].address.sa.sa_family = AF_UNIX; /* everyone is trusted there */
    }
    return s;
}

static void hand_over_records(const struct sim_script *script, struct rg_access_ring *access)
{
    struct rg_access_record record;
    while (script->on_record && rg_access_ring_take(access, &record))
        script->on_record(&record);
}

struct sim_result sim_play(const struct sim_script *script, struct sim_choices *choices)
{
    struct rg_settings s = sim_settings(script);
    struct rg_replica replica = {0};
    struct rg_steer_worker row = {0};
    struct rg_access_ring *access = rg_access_ring_create(1 << 16);
    struct rg_worker *w = NULL;
    struct rg_worker_init init = {.settings = &s,
                                  .replica = &replica,
                                  .steer = &row,
                                  .access = access,
                                  .listen_fds = {LISTEN_FD},
                                  .n_listen_fds = 1,
                                  .routes = script->routes};
    sim_begin(script, choices);
    RG_ASSERT(access && rg_worker_create(&w, &init) == 0);
    sim_set_worker(w);
    RG_ASSERT(rg_worker_start(w) == 0);
    rg_worker_destroy(w); /* joins; asserts that the pools are whole */
    sim_end();
    RG_ASSERT(row.open == 0);
    hand_over_records(script, access);
    rg_access_ring_destroy(access);
    return sim_result();
}

unsigned sim_play_all(struct sim_script script, unsigned depth,
                      struct sim_result (*play)(const struct sim_script *, struct sim_choices *))
{
    unsigned runs = 0;
    script.depth = depth;
    for (script.prefix = 0;; script.prefix++) {
        struct sim_choices choices = {0};
        bool ran_out = false;
        do {
            ran_out = play(&script, &choices).ran_out;
            runs++;
        } while (sim_next_run(&choices));
        if (ran_out)
            break;
    }
    return runs;
}

unsigned sim_play_every_order(struct sim_script script, unsigned usual_depth,
                              struct sim_result (*play)(const struct sim_script *, struct sim_choices *))
{
    const char *wanted = getenv("RG_SIM_DEPTH");
    unsigned depth = wanted ? (unsigned)atoi(wanted) : usual_depth;
    unsigned runs = sim_play_all(script, depth, play);
    script.stop_at_choices = true;
    return runs + sim_play_all(script, depth, play);
}
