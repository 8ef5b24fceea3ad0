/* Targets as the control thread makes them. See targets.h; how one is chosen: targets_choose.c. */
#include "datapath/targets.h"

#include <errno.h>
#include <stdlib.h>

static int add(struct rg_targets *t, struct rg_endpoints *endpoints, const struct rg_upstream_spec *u,
               const struct rg_target_spec *target, struct rg_fault *fault)
{
    struct rg_endpoint_spec spec = {.host = target->host,
                                    .port = target->port,
                                    .tls = target->tls,
                                    .verify = u->verify,
                                    .ca_file = u->ca_file,
                                    .cert_file = u->cert_file,
                                    .key_file = u->key_file,
                                    .server_name = u->server_name};
    struct rg_endpoint *e;
    int err = rg_endpoint_get(endpoints, &spec, &e, fault);
    if (err < 0)
        return err;
    if (target->weight == 0) {
        rg_endpoint_put(e);
        return 0;
    }
    uint64_t before = t->n > 0 ? t->items[t->n - 1].until : 0;
    t->items[t->n++] =
        (struct rg_targets_item){.endpoint = e, .weight = target->weight, .until = before + target->weight};
    return 0;
}

int rg_targets_create(struct rg_targets **ret, struct rg_endpoints *endpoints, const struct rg_upstream_spec *spec,
                      struct rg_targets_fault *fault)
{
    struct rg_targets *t = calloc(1, sizeof *t + spec->n_targets * sizeof t->items[0]);
    if (!t)
        return -ENOMEM;
    for (size_t i = 0; i < spec->n_targets; i++) {
        fault->target = i;
        int err = add(t, endpoints, spec, &spec->targets[i], &fault->endpoint);
        if (err < 0) {
            rg_targets_destroy(t);
            return err;
        }
    }
    *ret = t;
    return 0;
}

void rg_targets_destroy(struct rg_targets *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        rg_endpoint_put(t->items[i].endpoint);
    free(t);
}
