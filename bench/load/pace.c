/* The spacing of connections, and the choice of the heavy ones. Thread: any. */
#include "bench/load/pace.h"

#include <math.h>

#define STEP UINT64_C(0x9e3779b97f4a7c15)

/* splitmix64: neighbouring numbers get values that have nothing to do with each other. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t rg_pace_interval(const struct rg_load_options *o, bool heavy)
{
    double share = 1, of = o->active;
    if (o->skew_share > 0) {
        share = heavy ? o->skew_share : 1 - o->skew_share;
        of = heavy ? o->skew_connections : o->active - o->skew_connections;
    }
    return (uint64_t)llround(1e9 * of / (o->rate * share));
}

uint64_t rg_pace_phase(uint64_t seed, unsigned connection, uint64_t interval)
{
    uint64_t z = mix(mix(seed) + (connection + UINT64_C(1)) * STEP);
    return interval ? z % interval : 0;
}

void rg_choice_init(struct rg_choice *c, uint64_t seed, unsigned thread, uint32_t members, uint32_t wanted)
{
    *c = (struct rg_choice){.state = mix(mix(~seed) + thread), .left = members, .wanted = wanted};
}

bool rg_choice_next(struct rg_choice *c)
{
    if (c->left == 0)
        return false;
    c->state += STEP;
    bool chosen = mix(c->state) % c->left < c->wanted;
    c->left--;
    c->wanted -= chosen;
    return chosen;
}
