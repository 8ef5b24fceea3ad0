/* set-headers: gives fields of requests and responses the values that the artifact says, instead of any they have. */
#include <errno.h>
#include <stdio.h>

#include "datapath/policy/kinds.h"
#include "datapath/policy/sides.h"

struct header {
    struct rg_str name, value;
};

static const struct rg_param header_params[] = {RG_POLICY_SIDE_NAME(struct header),
                                                {.name = "value",
                                                 .type = RG_PARAM_STRING,
                                                 .offset = offsetof(struct header, value),
                                                 .required = true,
                                                 .scalar = true,
                                                 .help = "Its value, up to 8 KiB, without control bytes."},
                                                {0}};

static const struct rg_param side_params[] = {{.name = "headers",
                                               .type = RG_PARAM_LIST,
                                               .offset = offsetof(struct rg_policy_side_params, headers),
                                               .max = 32,
                                               .fields = header_params,
                                               .size = sizeof(struct header),
                                               .help = "The fields that are set."},
                                              {0}};

static const struct rg_param params_table[] = RG_POLICY_SIDES(side_params);

struct lines {
    struct rg_field *items;
    unsigned n;
};

struct self {
    struct lines request, response;
};

static int make_lines(struct rg_policy_making *m, enum rg_policy_side side, const struct rg_param_list *list,
                      struct lines *ret)
{
    const struct header *headers = list->items;
    ret->items = rg_arena_array(m->arena, list->n, sizeof *ret->items);
    if (!ret->items)
        return -ENOMEM;
    for (size_t i = 0; i < list->n; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s.headers[%zu]", rg_policy_side_name(side), i);
        int rc = rg_policy_line_make(m, side, path, headers[i].name, headers[i].value, &ret->items[i]);
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
        rc = make_lines(m, RG_POLICY_OF_REQUEST, &p->request.headers, &s->request);
    if (rc == 0)
        rc = make_lines(m, RG_POLICY_OF_RESPONSE, &p->response.headers, &s->response);
    m->request_fields = (uint16_t)s->request.n;
    m->response_fields = (uint16_t)s->response.n;
    return rc;
}

static void set(struct rg_policy_head *head, const struct lines *lines)
{
    for (unsigned i = 0; i < lines->n; i++)
        rg_policy_set_field(head, &lines->items[i]);
}

static enum rg_policy_verdict request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    (void)state;
    set(&q->head, &((const struct self *)self)->request);
    return RG_POLICY_NEXT;
}

static void response(void *self, struct rg_policy_response *r, const union rg_policy_state *state)
{
    (void)state;
    set(&r->head, &((const struct self *)self)->response);
}

const struct rg_policy_kind rg_policy_set_headers = {
    .name = "set-headers",
    .version = "v1.1.0",
    .help = "Sets fields of the request or of the response; a value that is there already is replaced.",
    .params = params_table,
    .params_size = sizeof(struct rg_policy_sides),
    .size = sizeof(struct self),
    .prepare = prepare,
    .request = request,
    .response = response,
};
