/* Where deployed routes lead to: the gateway's table of endpoints, and who resolves their names. See gateway.h. */
#include <arpa/inet.h>

#include "control/common/json.h"
#include "control/gateway/gateway.h"

int rg_gateway_init_endpoints(struct rg_gateway *g)
{
    int r = rg_endpoints_create(&g->endpoints, g->n_workers);
    const struct rg_settings *s = rg_gateway_settings(g);
    if (r == 0)
        r = rg_resolver_create(&g->resolver, &g->loop, g->endpoints, NULL);
    if (r == 0 && s->admin_enabled)
        rg_resolver_forbid(g->resolver, &s->admin);
    return r;
}

void rg_gateway_tick_endpoints(struct rg_gateway *g)
{
    rg_endpoints_tick(g->endpoints, rg_now_ms());
}

/* ---- what the admin endpoint says ---- */

enum state { UP, DOWN, RESOLVING, UNRESOLVED };

static enum state state_of(const struct rg_endpoint *e, uint64_t now_ms)
{
    enum rg_endpoint_state known = rg_endpoint_state(e);
    if (known != RG_ENDPOINT_RESOLVED)
        return known == RG_ENDPOINT_RESOLVING ? RESOLVING : UNRESOLVED;
    return rg_reach_state(&e->reach, now_ms) == RG_REACH_DOWN ? DOWN : UP;
}

void rg_gateway_count_endpoints(struct rg_gateway *g)
{
    static const unsigned metrics[] = {[UP] = RG_CM_ENDPOINTS_UP,
                                       [DOWN] = RG_CM_ENDPOINTS_DOWN,
                                       [RESOLVING] = RG_CM_ENDPOINTS_RESOLVING,
                                       [UNRESOLVED] = RG_CM_ENDPOINTS_UNRESOLVED};
    uint64_t now_ms = rg_now_ms();
    for (unsigned i = 0; i < sizeof(metrics) / sizeof(*metrics); i++)
        g->metrics.values[metrics[i]] = 0;
    for (const struct rg_endpoint *e = rg_endpoints_next(g->endpoints, NULL); e; e = rg_endpoints_next(g->endpoints, e))
        if (rg_endpoint_is_wanted(e))
            g->metrics.values[metrics[state_of(e, now_ms)]]++;
}

static void write_address(const union rg_ip *ip, FILE *out)
{
    char text[INET6_ADDRSTRLEN] = "";
    const void *address = ip->sa.sa_family == AF_INET ? (const void *)&ip->in.sin_addr : &ip->in6.sin6_addr;
    inet_ntop(ip->sa.sa_family, address, text, sizeof(text));
    rg_json_string(out, rg_str_of(text));
}

static void write_endpoint(const struct rg_endpoint *e, uint64_t now_ms, FILE *out)
{
    static const char *const names[] = {
        [UP] = "up", [DOWN] = "down", [RESOLVING] = "resolving", [UNRESOLVED] = "unresolved"};
    fputs("{\"url\":", out);
    rg_json_string(out, e->text);
    fprintf(out, ",\"state\":\"%s\",\"wanted\":%s,\"addresses\":[", names[state_of(e, now_ms)],
            rg_endpoint_is_wanted(e) ? "true" : "false");
    for (unsigned i = 0; e->addresses && i < e->addresses->n; i++) {
        fputs(i == 0 ? "" : ",", out);
        write_address(&e->addresses->list[i].ip, out);
    }
    fputs("]}", out);
}

void rg_gateway_write_endpoints(const struct rg_gateway *g, FILE *out)
{
    uint64_t now_ms = rg_now_ms();
    const char *separator = "";
    fputs("[", out);
    for (const struct rg_endpoint *e = rg_endpoints_next(g->endpoints, NULL); e;
         e = rg_endpoints_next(g->endpoints, e), separator = ",") {
        fputs(separator, out);
        write_endpoint(e, now_ms, out);
    }
    fputs("]", out);
}

void rg_gateway_fini_endpoints(struct rg_gateway *g)
{
    rg_resolver_destroy(g->resolver);
    rg_endpoints_destroy(g->endpoints);
}
