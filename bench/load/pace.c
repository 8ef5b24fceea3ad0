/* The spacing of connections. Thread: any. */
#include "bench/load/pace.h"

#include <math.h>

uint64_t rg_pace_interval(const struct rg_load_options *o, unsigned connection)
{
    double share = 1, of = o->active;
    if (o->skew_share > 0) {
        bool heavy = rg_pace_is_heavy(o, connection);
        share = heavy ? o->skew_share : 1 - o->skew_share;
        of = heavy ? o->skew_connections : o->active - o->skew_connections;
    }
    return (uint64_t)llround(1e9 * of / (o->rate * share));
}

/* splitmix64: neighbouring numbers get phases that have nothing to do with each other. */
uint64_t rg_pace_phase(unsigned connection, uint64_t interval)
{
    uint64_t z = (connection + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return interval ? z % interval : 0;
}
