/* What the control plane wants of which artifact, and what becomes of it: the table in deployment.c, carried out. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "datapath/base/assert.h"
#include "datapath/base/log.h"

/* ---- Acknowledgements ---- */

static bool send_ack(struct rg_agent *a, const struct rg_ack *ack)
{
    char *text = rg_ack_write(ack);
    bool sent = text && rg_link_send(&a->up, rg_str_of(text));
    free(text);
    if (sent)
        rg_agent_count(a, ack->error_code ? RG_AM_ACKS_FAILED : RG_AM_ACKS_SUCCESS);
    return sent;
}

static struct rg_ack ack_of(enum rg_kind kind, const char *artifact_id, const struct rg_version *v, bool deploy)
{
    return (struct rg_ack){.kind = kind,
                           .deploy = deploy,
                           .artifact_id = artifact_id,
                           .deployment_id = v->deployment_id,
                           .performed_at = v->performed_at};
}

/* The next connect tells the control plane again what it may not have heard. */
static void note_acked(struct rg_entry *e, const struct rg_version *v, bool sent)
{
    if (!e->is_known || e->live.performed_ns != v->performed_ns)
        return;
    e->is_acked = sent;
    e->acked_ms = rg_now_ms();
}

void rg_agent_ack_live(struct rg_agent *a, struct rg_entry *e)
{
    struct rg_ack ack = ack_of(e->kind, e->id, &e->live, e->live.deployed);
    note_acked(e, &e->live, send_ack(a, &ack));
}

/* Of an event for which there is no order. */
static void answer(struct rg_agent *a, const struct rg_event *event, const char *error_code, const char *message)
{
    struct rg_ack ack = {.kind = event->kind,
                         .deploy = event->type == RG_EVENT_DEPLOYED,
                         .artifact_id = event->artifact_id,
                         .deployment_id = event->deployment_id,
                         .performed_at = event->performed_at,
                         .error_code = error_code,
                         .error_message = message};
    send_ack(a, &ack);
    if (error_code)
        rg_warn("control: refused event=%s artifact=%s deployment=%s correlation=%s reason=\"%s\"", event->name,
                event->artifact_id, event->deployment_id, rg_or_dash(event->correlation_id), message);
}

/* ---- The end of an order ---- */

static void finish(struct rg_order *o)
{
    struct rg_agent *a = o->agent;
    struct rg_entry *e = o->entry;
    rg_order_stop_fetching(o);
    rg_list_remove(&o->link);
    if (e->order == o)
        e->order = NULL;
    e->n_orders--;
    rg_version_fini(&o->version);
    json_decref(o->errors);
    free(o);
    if (e->is_gone && e->n_orders == 0)
        rg_entry_remove(a, e);
}

static bool is_newest(const struct rg_order *o)
{
    return o->version.performed_ns == o->entry->newest_ns;
}

static void ack_success(struct rg_order *o)
{
    struct rg_agent *a = o->agent;
    struct rg_ack ack = ack_of(o->entry->kind, o->entry->id, &o->version, o->deploy);
    note_acked(o->entry, &o->version, send_ack(a, &ack));
    if (is_newest(o))
        rg_entry_set_failure(a, o->entry, NULL, NULL);
    rg_agent_count(a, o->deploy ? RG_AM_DEPLOYED : RG_AM_UNDEPLOYED);
    rg_histogram_record(a->took, (rg_now_ms() - o->began_ms) * 1000);
    rg_info("control: %s kind=%s name=%s artifact=%s deployment=%s correlation=%s took_ms=%" PRIu64,
            o->deploy ? "live" : "gone", rg_kind_info(o->entry->kind)->name, rg_or_dash(o->entry->handle), o->entry->id,
            o->version.deployment_id, rg_or_dash(o->correlation_id), rg_now_ms() - o->began_ms);
}

static void ack_failure(struct rg_order *o)
{
    struct rg_agent *a = o->agent;
    struct rg_ack ack = ack_of(o->entry->kind, o->entry->id, &o->version, o->deploy);
    ack.error_code = RG_ACK_PROCESSING_ERROR;
    ack.error_message = o->failure;
    ack.errors = o->errors;
    send_ack(a, &ack);
    if (is_newest(o))
        rg_entry_set_failure(a, o->entry, o->failure, o->errors);
    rg_agent_count(a, RG_AM_DEPLOYMENTS_FAILED);
    rg_warn("control: failed action=%s kind=%s name=%s artifact=%s deployment=%s correlation=%s reason=\"%s\"",
            o->deploy ? "deploy" : "undeploy", rg_kind_info(o->entry->kind)->name, rg_or_dash(o->entry->handle),
            o->entry->id, o->version.deployment_id, rg_or_dash(o->correlation_id), o->failure);
}

static void drop(struct rg_order *o)
{
    rg_agent_count(o->agent, RG_AM_DEPLOYMENTS_SUPERSEDED);
    rg_info("control: dropped, a newer order has come kind=%s name=%s artifact=%s deployment=%s correlation=%s",
            rg_kind_info(o->entry->kind)->name, rg_or_dash(o->entry->handle), o->entry->id, o->version.deployment_id,
            rg_or_dash(o->correlation_id));
}

/* ---- News ---- */

void rg_order_news(struct rg_order *o, enum rg_order_news news)
{
    struct rg_order_step step = rg_order_step(o->state, news);
    RG_ASSERT(step.act != RG_ACT_REFUSE);
    o->state = step.next;
    switch (step.act) {
    case RG_ACT_FETCH:
        rg_order_fetch(o);
        return; /* it may be gone */
    case RG_ACT_COMPILE:
        rg_order_build(o);
        return;
    case RG_ACT_ACK_SUCCESS:
        ack_success(o);
        break;
    case RG_ACT_ACK_FAILURE:
        ack_failure(o);
        break;
    case RG_ACT_DROP:
        drop(o);
        break;
    case RG_ACT_SAVE: /* with all others that have switched, see rg_persist_switched */
    case RG_ACT_NOTHING:
    case RG_ACT_REFUSE:
        break;
    }
    if (step.next == RG_ORDER_DONE)
        finish(o);
}

void rg_order_fail(struct rg_order *o, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(o->failure, sizeof(o->failure), format, args);
    va_end(args);
    rg_order_news(o, RG_NEWS_FAILED);
}

void rg_order_fail_problems(struct rg_order *o, const struct rg_problems *problems)
{
    rg_problems_line(problems, o->failure, sizeof(o->failure));
    o->errors = rg_problems_json(problems);
    rg_order_news(o, RG_NEWS_FAILED);
}

void rg_order_fail_at(struct rg_order *o, const char *path, const char *format, ...)
{
    struct rg_problems problems;
    char text[RG_AGENT_FAILURE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    rg_problems_init(&problems);
    rg_problems_say(&problems, rg_str_of(path), rg_str_of(text));
    rg_order_fail_problems(o, &problems);
    rg_problems_fini(&problems);
}

/* ---- New orders ---- */

bool rg_order_begin(struct rg_agent *a, struct rg_entry *e, const struct rg_event *event)
{
    struct rg_order *o = calloc(1, sizeof(*o));
    if (!o)
        return false;
    if (e->order)
        rg_order_news(e->order, RG_NEWS_NEWER);
    o->agent = a;
    o->entry = e;
    o->deploy = event->type == RG_EVENT_DEPLOYED;
    o->began_ms = rg_now_ms();
    memcpy(o->correlation_id, event->correlation_id, sizeof(o->correlation_id));
    memcpy(o->version.deployment_id, event->deployment_id, sizeof(o->version.deployment_id));
    memcpy(o->version.performed_at, event->performed_at, sizeof(o->version.performed_at));
    o->version.performed_ns = event->performed_ns;
    o->version.deployed = o->deploy;
    rg_list_append(&a->orders, &o->link);
    e->is_gone = false;
    e->n_orders++;
    e->order = o;
    e->newest_ns = event->performed_ns;
    memcpy(e->newest_id, event->deployment_id, sizeof(e->newest_id));
    rg_debug("control: begins action=%s kind=%s artifact=%s deployment=%s correlation=%s",
             o->deploy ? "deploy" : "undeploy", rg_kind_info(e->kind)->name, e->id, o->version.deployment_id,
             o->correlation_id);
    if (o->deploy) {
        rg_agent_obtain_soon(a);
    } else {
        rg_order_news(o, RG_NEWS_COMPILED);
        rg_agent_publish_soon(a);
    }
    return true;
}

/* The deployment that is live, or on its way there; NULL: none. */
static const char *wanted_deployment(const struct rg_entry *e)
{
    if (e->order)
        return e->order->deploy ? e->order->version.deployment_id : NULL;
    return e->is_known && e->live.deployed ? e->live.deployment_id : NULL;
}

/* An undeployment of something else than what is there is not carried out: the control plane must know first. That of
 * a deployment that failed is: it is the latest that the control plane wanted, and now it wants nothing. So is one of a
 * deployment that we may not have heard of because we were away. */
static bool is_mismatch(const struct rg_agent *a, const struct rg_entry *e, const struct rg_event *event)
{
    const char *wanted = wanted_deployment(e);
    return wanted && a->sync.is_compared && strcmp(wanted, event->deployment_id) != 0 &&
           strcmp(e->newest_id, event->deployment_id) != 0;
}

static void take_undeployment(struct rg_agent *a, struct rg_entry *e, const struct rg_event *event)
{
    char message[RG_ID_MAX + 160];
    if (!e || (!e->is_known && !e->order)) {
        answer(a, event, NULL, NULL); /* it is not there: that is what is wanted */
    } else if (is_mismatch(a, e, event)) {
        rg_agent_count(a, RG_AM_DEPLOYMENTS_MISMATCHED);
        snprintf(message, sizeof(message), "another deployment of this artifact is live or on its way: %s",
                 wanted_deployment(e));
        answer(a, event, RG_ACK_ID_MISMATCH, message);
    } else if (!rg_order_begin(a, e, event)) {
        answer(a, event, RG_ACK_PROCESSING_ERROR, "the gateway has no memory for it");
    }
}

static void take_deployment(struct rg_agent *a, struct rg_entry *e, const struct rg_event *event)
{
    char message[192];
    if (!e)
        e = rg_entry_get(a, event->kind, event->artifact_id);
    if (e && e->is_known && e->kind != event->kind) {
        snprintf(message, sizeof(message), "the artifact is known here as %s, not as %s", rg_kind_info(e->kind)->name,
                 rg_kind_info(event->kind)->name);
        answer(a, event, RG_ACK_PROCESSING_ERROR, message);
        return;
    }
    if (e)
        e->kind = event->kind;
    if (!e || !rg_order_begin(a, e, event))
        answer(a, event, RG_ACK_PROCESSING_ERROR, "the gateway has no memory for it");
}

static void refuse(struct rg_agent *a, const struct rg_event *event, const char *message)
{
    rg_agent_count(a, RG_AM_DEPLOYMENTS_FAILED);
    answer(a, event, RG_ACK_PROCESSING_ERROR, message);
}

static void take_order(struct rg_agent *a, const struct rg_event *event)
{
    struct rg_entry *e = rg_entry_find(a, event->artifact_id);
    char message[256];
    if (e && event->performed_ns <= e->newest_ns) {
        rg_agent_count(a, RG_AM_DEPLOYMENTS_STALE);
        rg_info("control: stale, ignoring it event=%s artifact=%s deployment=%s performed_at=%s correlation=%s",
                event->name, event->artifact_id, event->deployment_id, event->performed_at, event->correlation_id);
    } else if (event->type == RG_EVENT_UNDEPLOYED) {
        take_undeployment(a, e, event);
    } else if (!rg_kind_info(event->kind)->supported) {
        snprintf(message, sizeof(message), "artifacts of kind %s are not supported by this gateway",
                 rg_kind_info(event->kind)->name);
        refuse(a, event, message);
    } else if (!e && rg_entries_full(a)) {
        snprintf(message, sizeof(message),
                 "the gateway knows %zu artifacts, and takes at most %u; delete some that are not needed on it (those "
                 "that failed or are undeployed count, too), or deploy this one to another gateway",
                 a->n_entries, RG_AGENT_ARTIFACTS_MAX);
        refuse(a, event, message);
    } else {
        take_deployment(a, e, event);
    }
}

void rg_agent_take_event(struct rg_agent *a, const struct rg_event *event)
{
    struct rg_entry *e;
    rg_agent_count(a, RG_AM_CONTROL_EVENTS);
    switch (event->type) {
    case RG_EVENT_DEPLOYED:
    case RG_EVENT_UNDEPLOYED:
        take_order(a, event);
        break;
    case RG_EVENT_DELETED: /* sent to all gateways, whether they have it or not */
        e = rg_entry_find(a, event->artifact_id);
        if (e)
            rg_agent_forget(a, e, event->name);
        break;
    case RG_EVENT_KEY_CREATED:
    case RG_EVENT_KEY_REVOKED:
        rg_agent_take_key_event(a, event);
        break;
    case RG_EVENT_UNKNOWN:
    case RG_EVENT_CONNECTED:
    case RG_EVENT_REFUSED:
        rg_debug("control: ignoring event=%s correlation=%s", event->name, event->correlation_id);
        break;
    }
}

/* ---- Artifacts that are gone ---- */

void rg_agent_forget(struct rg_agent *a, struct rg_entry *e, const char *why)
{
    rg_info("control: forgetting kind=%s name=%s artifact=%s reason=\"%s\"", rg_kind_info(e->kind)->name,
            rg_or_dash(e->handle), e->id, why);
    e->is_gone = true;
    e->n_orders++; /* so that it is still there after its order has gone */
    if (e->order)
        rg_order_news(e->order, RG_NEWS_NEWER);
    e->n_orders--;
    if (e->is_known) {
        rg_persist_forget(a, e);
        a->is_changed = a->is_changed || e->live.deployed;
        e->is_known = false;
        rg_version_fini(&e->live);
        rg_agent_publish_soon(a);
    }
    if (e->key_list)
        rg_persist_keys(a);
    if (e->n_orders == 0)
        rg_entry_remove(a, e);
}

void rg_orders_fini(struct rg_agent *a)
{
    for (struct rg_list *at = a->orders.next, *next; at != &a->orders; at = next) {
        next = at->next;
        finish(RG_CONTAINER(at, struct rg_order, link));
    }
}
