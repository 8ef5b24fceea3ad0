/* Address prefixes of the settings. Thread: any (pure). */
#include "datapath/settings.h"

static bool holds(const struct rg_prefix *p, const struct in6_addr *addr)
{
    unsigned whole = p->bits / 8, rest = p->bits % 8;
    if (memcmp(addr, &p->addr, whole) != 0)
        return false;
    return rest == 0 || ((addr->s6_addr[whole] ^ p->addr.s6_addr[whole]) & (0xff00u >> rest & 0xffu)) == 0;
}

bool rg_prefixes_hold(const struct rg_prefix *prefixes, unsigned n, const struct in6_addr *addr)
{
    for (unsigned i = 0; i < n; i++)
        if (holds(&prefixes[i], addr))
            return true;
    return false;
}
