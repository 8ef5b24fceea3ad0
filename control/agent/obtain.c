/*
 * Definitions: fetched one by one as zips, or, when several wait, many in one archive. What an archive did not bring is
 * fetched alone, so that one bad definition holds up no other.
 */
#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "control/artifact/archive.h"
#include "datapath/base/log.h"

#define ZIP_MAX   (RG_ARCHIVE_UNPACKED_MAX + (1u << 20)) /* a zip of what does not shrink */
#define BATCH_MAX ZIP_MAX

struct rg_batch {
    struct rg_agent *agent;
    struct rg_list link;
    struct rg_fetch *fetch;
};

/* ---- Problems as one line ---- */

void rg_problems_line(const struct rg_problems *problems, char *out, size_t size)
{
    FILE *f = fmemopen(out, size, "w");
    out[0] = '\0';
    if (!f)
        return;
    setvbuf(f, NULL, _IONBF, 0); /* what does not fit is cut */
    rg_problems_write(problems, "; ", f);
    fclose(f);
    out[size - 1] = '\0';
}

/* ---- One ---- */

static void leave(struct rg_order *o)
{
    if (o->fetch)
        o->agent->n_fetches--;
    o->fetch = NULL;
}

static void zip_came(void *owner, const struct rg_fetch_answer *answer)
{
    struct rg_order *o = owner;
    struct rg_problems problems;
    char why[RG_AGENT_FAILURE_MAX], *text;
    size_t len;
    leave(o);
    rg_agent_obtain_soon(o->agent);
    if (!answer->ok) {
        rg_order_fail(o, "%s", answer->why);
        return;
    }
    rg_problems_init(&problems);
    int r = rg_archive_unzip(answer->body.ptr, answer->body.len, &text, &len, &problems);
    rg_problems_line(&problems, why, sizeof(why));
    rg_problems_fini(&problems);
    if (r < 0)
        rg_order_fail(o, "the archive of the definition can't be used: %s", why[0] ? why : "no memory");
    else
        rg_order_take_text(o, text, len);
}

void rg_order_fetch(struct rg_order *o)
{
    struct rg_agent *a = o->agent;
    char path[RG_ID_MAX + 32];
    if (o->batch)
        return;
    snprintf(path, sizeof(path), "/%s/%s", rg_kind_info(o->entry->kind)->path, o->entry->id);
    struct rg_fetch_request request = {.path = path, .accept = "application/zip", .max_bytes = ZIP_MAX, .owner = o};
    o->fetch = rg_fetch_begin(&a->fetcher, &request, zip_came);
    if (o->fetch)
        a->n_fetches++;
    else
        rg_order_fail(o, "no memory to fetch the definition");
}

/* ---- Several ---- */

static struct rg_order *order_of(const struct rg_batch *b, struct rg_str deployment)
{
    for (struct rg_list *at = b->agent->orders.next; at != &b->agent->orders; at = at->next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        if (o->batch == b && rg_str_eq(rg_str_of(o->version.deployment_id), deployment))
            return o;
    }
    return NULL;
}

static int take_member(void *owner, const struct rg_archive_member *member)
{
    struct rg_batch *b = owner;
    struct rg_order *o = order_of(b, member->deployment);
    if (!o || !rg_str_eq(member->artifact, rg_str_of(o->entry->id)))
        return 0; /* nothing that was asked for */
    char *text = malloc(member->text.len + 1);
    if (!text)
        return -ENOMEM;
    memcpy(text, member->text.ptr, member->text.len);
    text[member->text.len] = '\0';
    o->batch = NULL;
    rg_order_take_text(o, text, member->text.len);
    return 0;
}

static void end_batch(struct rg_batch *b)
{
    struct rg_agent *a = b->agent;
    a->n_fetches--;
    rg_list_remove(&b->link);
    free(b);
}

/* Each that is left goes its own way, and fails, if it does, with a reason of its own. */
static void fetch_rest_alone(struct rg_batch *b)
{
    struct rg_agent *a = b->agent;
    for (struct rg_list *at = a->orders.next, *next; at != &a->orders; at = next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        next = at->next;
        if (o->batch != b)
            continue;
        o->batch = NULL;
        o->alone = true;
        o->state = RG_ORDER_QUEUED; /* as if it had never had its turn */
    }
}

static void batch_came(void *owner, const struct rg_fetch_answer *answer)
{
    struct rg_batch *b = owner;
    struct rg_agent *a = b->agent;
    struct rg_problems problems;
    char why[RG_AGENT_FAILURE_MAX] = "";
    b->fetch = NULL;
    if (answer->ok) {
        rg_problems_init(&problems);
        rg_archive_unbatch(answer->body.ptr, answer->body.len, take_member, b, &problems);
        rg_problems_line(&problems, why, sizeof(why));
        rg_problems_fini(&problems);
    }
    if (!answer->ok || why[0])
        rg_warn("control: definitions could not be fetched together, fetching them one by one reason=\"%s\"",
                answer->ok ? why : answer->why);
    fetch_rest_alone(b);
    end_batch(b);
    rg_agent_obtain_soon(a);
}

static bool ask_for_batch(struct rg_batch *b, struct rg_order *const *orders, unsigned n)
{
    json_t *ids = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(ids, json_string(orders[i]->version.deployment_id));
    json_t *root = json_pack("{s:o}", "deploymentIds", ids);
    char *body = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    struct rg_fetch_request request = {.path = "/deployments/fetch-batch",
                                       .accept = "application/x-tar+gzip",
                                       .body = body ? rg_str_of(body) : RG_STR_NONE,
                                       .max_bytes = BATCH_MAX,
                                       .owner = b};
    b->fetch = body ? rg_fetch_begin(&b->agent->fetcher, &request, batch_came) : NULL;
    free(body);
    return b->fetch != NULL;
}

static void fetch_together(struct rg_agent *a, struct rg_order *const *orders, unsigned n)
{
    struct rg_batch *b = calloc(1, sizeof(*b));
    if (b)
        b->agent = a;
    if (!b || !ask_for_batch(b, orders, n)) {
        free(b);
        for (unsigned i = 0; i < n; i++)
            orders[i]->alone = true; /* a small one may still have room */
        return;
    }
    rg_list_append(&a->batches, &b->link);
    a->n_fetches++;
    for (unsigned i = 0; i < n; i++) {
        orders[i]->batch = b;
        rg_order_news(orders[i], RG_NEWS_TURN);
    }
}

/* ---- Turns ---- */

static unsigned pick(struct rg_agent *a, struct rg_order **ret, struct rg_order **ret_first)
{
    unsigned n = 0;
    *ret_first = NULL;
    for (struct rg_list *at = a->orders.next; at != &a->orders && n < RG_AGENT_BATCH; at = at->next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        if (o->state != RG_ORDER_QUEUED || !o->deploy)
            continue;
        if (!*ret_first)
            *ret_first = o;
        if (!o->alone)
            ret[n++] = o;
    }
    return n;
}

static void obtain_due(struct rg_alarm *alarm)
{
    struct rg_agent *a = RG_OWNER(alarm, struct rg_agent, obtain_due);
    struct rg_order *together[RG_AGENT_BATCH], *first;
    while (a->n_fetches < RG_AGENT_FETCHES) {
        unsigned n = pick(a, together, &first);
        if (!first)
            break;
        if (n >= RG_AGENT_BATCH_FROM)
            fetch_together(a, together, n);
        else
            rg_order_news(first, RG_NEWS_TURN);
    }
}

void rg_obtain_init(struct rg_agent *a)
{
    rg_list_init(&a->batches);
    a->obtain_due.due = obtain_due;
}

void rg_agent_obtain_soon(struct rg_agent *a)
{
    if (!a->obtain_due.set)
        rg_loop_set_alarm(a->loop, &a->obtain_due, 0);
}

void rg_order_stop_fetching(struct rg_order *o)
{
    if (o->fetch) {
        rg_fetch_cancel(o->fetch);
        leave(o);
        rg_agent_obtain_soon(o->agent);
    }
    o->batch = NULL; /* what comes for it is nobody's */
}

void rg_obtain_fini(struct rg_agent *a)
{
    for (struct rg_list *at = a->batches.next, *next; at != &a->batches; at = next) {
        struct rg_batch *b = RG_CONTAINER(at, struct rg_batch, link);
        next = at->next;
        rg_fetch_cancel(b->fetch);
        end_batch(b);
    }
    rg_loop_clear_alarm(a->loop, &a->obtain_due);
}
