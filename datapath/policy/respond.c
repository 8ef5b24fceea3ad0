/* respond: answers without asking the upstream. */
#include <errno.h>
#include <stdio.h>

#include "datapath/policy/kinds.h"
#include "datapath/policy/view.h"

#define BODY_MAX 16384 /* what an answer has room for beside its head */

struct header {
    struct rg_str name, value;
};
struct params {
    int64_t status;
    struct rg_str body;
    struct rg_param_list headers;
};

static const struct rg_param header_params[] = {{.name = "name",
                                                 .type = RG_PARAM_STRING,
                                                 .offset = offsetof(struct header, name),
                                                 .required = true,
                                                 .not_empty = true,
                                                 .help = "Name of the field."},
                                                {.name = "value",
                                                 .type = RG_PARAM_STRING,
                                                 .offset = offsetof(struct header, value),
                                                 .required = true,
                                                 .scalar = true,
                                                 .help = "Its value."},
                                                {0}};

static const struct rg_param params_table[] = {
    {.name = "statusCode",
     .type = RG_PARAM_INT,
     .offset = offsetof(struct params, status),
     .initial = "200",
     .min = 200,
     .max = 599,
     .help = "Status of the answer."},
    {.name = "body",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct params, body),
     .help = "Its body, up to 16 KiB; a Content-Type that is not among `headers` is application/json for what begins "
             "like it, else text/plain."},
    {.name = "headers",
     .type = RG_PARAM_LIST,
     .offset = offsetof(struct params, headers),
     .max = 32,
     .fields = header_params,
     .size = sizeof(struct header),
     .help = "Its fields."},
    {0}};

struct self {
    uint16_t status;
    struct rg_str type, body;
    struct rg_field *lines;
    unsigned n_lines;
};

static struct rg_str type_of(struct rg_str body)
{
    if (body.len == 0)
        return RG_STR_NONE;
    return *body.ptr == '{' || *body.ptr == '[' ? RG_STR("application/json") : RG_STR("text/plain; charset=utf-8");
}

static bool has_no_body(int64_t status)
{
    return status == 204 || status == 205 || status == 304;
}

static int make_lines(struct self *s, const struct params *p, struct rg_policy_making *m)
{
    const struct header *headers = p->headers.items;
    s->lines = rg_arena_array(m->arena, p->headers.n, sizeof *s->lines);
    if (!s->lines)
        return -ENOMEM;
    for (size_t i = 0; i < p->headers.n; i++) {
        char path[80];
        snprintf(path, sizeof path, "headers[%zu]", i);
        struct rg_field *line = &s->lines[s->n_lines];
        int rc = rg_policy_line_make(m, RG_POLICY_OF_RESPONSE, path, headers[i].name, headers[i].value, line);
        if (rc < 0)
            return rc;
        bool is_type = line->id == RG_FIELD_CONTENT_TYPE && s->body.len > 0;
        if (is_type && line->value_len == 0)
            return rg_policy_refuse(m, path, "says nothing of the body: wanted its Content-Type, or leave it out");
        if (is_type)
            s->type = rg_field_value(line); /* the writer gives it a line */
        else
            s->n_lines++;
    }
    return 0;
}

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    struct self *s = self;
    const struct params *p = params;
    if (p->body.len > BODY_MAX)
        return rg_policy_refuse(m, "body", "has %zu bytes: wanted %d at most", p->body.len, BODY_MAX);
    if (p->body.len > 0 && has_no_body(p->status))
        return rg_policy_refuse(m, "body", "a response with status %d has no body: leave it out", (int)p->status);
    if (!rg_arena_copy(m->arena, p->body, &s->body))
        return -ENOMEM;
    s->status = (uint16_t)p->status;
    s->type = type_of(s->body);
    return make_lines(s, p, m);
}

static enum rg_policy_verdict request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    const struct self *s = self;
    (void)state;
    q->answer.status = s->status;
    q->answer.type = s->type;
    q->answer.body = s->body;
    q->answer.may_store = true;
    for (unsigned i = 0; i < s->n_lines; i++)
        rg_policy_add_field(&q->answer.head, &s->lines[i]);
    return RG_POLICY_ANSWER;
}

const struct rg_policy_kind rg_policy_respond = {
    .name = "respond",
    .version = "v1.0.1",
    .help = "Answers the request; nothing goes to the upstream.",
    .params = params_table,
    .params_size = sizeof(struct params),
    .size = sizeof(struct self),
    .prepare = prepare,
    .request = request,
};
