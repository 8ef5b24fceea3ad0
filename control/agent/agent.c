/* See agent.h: the connection, the begin, the ticks and the end; the files that it names do the rest. */
#include "control/agent/agent.h"

#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "datapath/base/log.h"

/* ---- The connection ---- */

static void link_up(void *owner)
{
    struct rg_agent *a = owner;
    a->metrics[RG_AM_CONTROL_CONNECTED] = 1;
    rg_agent_send_manifest(a);
    rg_agent_sync(a);
}

static void link_event(void *owner, struct rg_event *event)
{
    rg_agent_take_event(owner, event);
}

/* What was told within the last minute may have been lost on the way. */
static void doubt_last_acks(struct rg_agent *a)
{
    uint64_t now = rg_now_ms();
    for (struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        if (e->is_acked && now - e->acked_ms < RG_AGENT_DOUBT_MS)
            e->is_acked = false;
    }
}

/* What is being fetched goes on: its end is told at the next connect. */
static void link_down(void *owner)
{
    struct rg_agent *a = owner;
    a->metrics[RG_AM_CONTROL_CONNECTED] = 0;
    rg_agent_stop_sync(a);
    doubt_last_acks(a);
}

static const struct rg_link_handler link_handler = {link_up, link_event, link_down};

/* ---- Begin ---- */

static void init_parts(struct rg_agent *a, const struct rg_agent_init *init)
{
    a->settings = *init->settings;
    a->loop = init->loop;
    a->metrics = init->metrics->values;
    a->took = &init->metrics->histograms[RG_AH_DEPLOYMENT];
    a->outlet = init->outlet;
    a->overdue_ms = RG_AGENT_OVERDUE_MS;
    a->place = init->place;
    a->has_admin = init->admin != NULL;
    if (init->admin)
        a->admin = *init->admin;
    rg_list_init(&a->entries);
    rg_list_init(&a->orders);
    rg_list_init(&a->failed);
    rg_obtain_init(a);
    rg_build_init(a);
    rg_publish_init(a);
    rg_persist_init(a);
    rg_keys_init(a);
    rg_sync_init(a);
    rg_remote_init(&a->remote, init->settings);
    rg_fetcher_init(&a->fetcher, &a->remote, &a->transfers);
    a->fetcher.ok = &a->metrics[RG_AM_FETCHES_OK];
    a->fetcher.failed = &a->metrics[RG_AM_FETCHES_FAILED];
    a->fetcher.retried = &a->metrics[RG_AM_FETCHES_RETRIED];
    a->fetcher.took = &init->metrics->histograms[RG_AH_FETCH];
    rg_link_init(&a->up, a->loop, &a->remote, &a->transfers, &a->settings);
    a->up.handler = &link_handler;
    a->up.owner = a;
    a->up.connects = &a->metrics[RG_AM_CONTROL_CONNECTS];
    a->up.failed = &a->metrics[RG_AM_CONTROL_FAILURES];
    a->up.refusals = &a->metrics[RG_AM_CONTROL_REFUSALS];
}

static int begin(struct rg_agent *a)
{
    int r = rg_persist_load(a);
    if (r < 0)
        return r;
    r = rg_agent_publish_first(a);
    if (r == 0)
        r = rg_transfers_init(&a->transfers, a->loop);
    a->state.done = rg_persist_done;
    a->state.owner = a;
    if (r == 0)
        r = rg_state_dir_start(&a->state, a->loop);
    if (r < 0)
        rg_error("control: can't begin error=\"%s\"", strerror(-r));
    return r;
}

int rg_agent_create(struct rg_agent **ret, const struct rg_agent_init *init)
{
    struct rg_agent *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    init_parts(a, init);
    int r = begin(a);
    if (r < 0)
        rg_agent_destroy(a);
    else
        *ret = a;
    return r;
}

static void warn(void *owner, const char *text)
{
    (void)owner;
    rg_warn("%s", text);
}

void rg_agent_start(struct rg_agent *a)
{
    rg_remote_warn(&a->settings, warn, NULL);
    rg_info("control: connecting url=%s%s", a->remote.base, a->remote.path);
    rg_link_start(&a->up);
}

/* ---- While it runs ---- */

void rg_agent_live(struct rg_agent *a)
{
    if (!a->has_drained)
        rg_agent_look_at_workers(a);
}

void rg_agent_tick(struct rg_agent *a)
{
    if (a->has_drained)
        return;
    if (a->is_switching)
        rg_agent_look_at_workers(a);
    rg_link_look_at_token(&a->up);
}

/* The directory is free at once: whoever takes this gateway's place can begin. */
void rg_agent_drain(struct rg_agent *a)
{
    if (a->has_drained)
        return;
    a->has_drained = true;
    rg_agent_stop_sync(a);
    rg_agent_stop_keys(a);
    rg_fetch_cancel(a->manifest);
    a->manifest = NULL;
    rg_link_fini(&a->up);
    a->metrics[RG_AM_CONTROL_CONNECTED] = 0;
    rg_obtain_fini(a);
    rg_orders_fini(a);
    rg_secrets_stop(a);
    rg_publish_fini(a);
    rg_loop_clear_alarm(a->loop, &a->build_due);
    rg_loop_clear_alarm(a->loop, &a->obtain_due);
    rg_loop_clear_alarm(a->loop, &a->keys_due);
    rg_persist_finish(a);
}

/* ---- The end ---- */

void rg_agent_destroy(struct rg_agent *a)
{
    if (!a)
        return;
    rg_agent_drain(a);
    rg_secrets_fini(a);
    rg_fetcher_fini(&a->fetcher);
    rg_transfers_fini(&a->transfers);
    while (!rg_list_empty(&a->entries))
        rg_entry_remove(a, RG_CONTAINER(a->entries.next, struct rg_entry, link));
    free(a->buckets);
    rg_remote_fini(&a->remote);
    free(a);
}
