/* remove-headers: takes fields out of requests and responses. */
#include <errno.h>
#include <stdio.h>

#include "datapath/policy/kinds.h"
#include "datapath/policy/sides.h"

struct header {
    struct rg_str name;
};

static const struct rg_param header_params[] = {RG_POLICY_SIDE_NAME(struct header), {0}};

static const struct rg_param side_params[] = {{.name = "headers",
                                               .type = RG_PARAM_LIST,
                                               .offset = offsetof(struct rg_policy_side_params, headers),
                                               .max = 64,
                                               .fields = header_params,
                                               .size = sizeof(struct header),
                                               .help = "The fields that go, however often they stand there."},
                                              {0}};

static const struct rg_param params_table[] = RG_POLICY_SIDES(side_params);

struct names {
    struct rg_policy_name *items;
    unsigned n;
};

struct self {
    struct names request, response;
};

static int make_names(struct rg_policy_making *m, enum rg_policy_side side, const struct rg_param_list *list,
                      struct names *ret)
{
    const struct header *headers = list->items;
    ret->items = rg_arena_array(m->arena, list->n, sizeof *ret->items);
    if (!ret->items)
        return -ENOMEM;
    for (size_t i = 0; i < list->n; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s.headers[%zu].name", rg_policy_side_name(side), i);
        int rc = rg_policy_name_make(m, side, path, headers[i].name, &ret->items[i]);
        if (rc < 0)
            return rc;
    }
    ret->n = (unsigned)list->n;
    return 0;
}

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    struct self *s = self;
    const struct rg_policy_sides *p = params;
    int rc = rg_policy_sides_check(p, m);
    if (rc == 0)
        rc = make_names(m, RG_POLICY_OF_REQUEST, &p->request.headers, &s->request);
    if (rc == 0)
        rc = make_names(m, RG_POLICY_OF_RESPONSE, &p->response.headers, &s->response);
    return rc;
}

static void take_out(struct rg_policy_head *head, const struct names *names)
{
    for (unsigned i = 0; i < names->n; i++)
        rg_policy_remove_field(head, &names->items[i]);
}

static enum rg_policy_verdict request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    (void)state;
    take_out(&q->head, &((const struct self *)self)->request);
    return RG_POLICY_NEXT;
}

static void response(void *self, struct rg_policy_response *r, const union rg_policy_state *state)
{
    (void)state;
    take_out(&r->head, &((const struct self *)self)->response);
}

const struct rg_policy_kind rg_policy_remove_headers = {
    .name = "remove-headers",
    .version = "v1.0.1",
    .help = "Removes fields from the request or from the response.",
    .params = params_table,
    .params_size = sizeof(struct rg_policy_sides),
    .size = sizeof(struct self),
    .prepare = prepare,
    .request = request,
    .response = response,
};
