/*
 * What is live, on the disk: loaded before anything listens, written when all workers have switched, and only then is a
 * deployment acknowledged. A disk that can't be written takes nothing from what is served; it is tried again.
 */
#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "datapath/base/log.h"

#define SUFFIX       ".deployment"
#define KEYS_FILE    "keys.json"
#define SECRETS_FILE "secrets.json"
#define AGAIN_MS     10000 /* after a failure */
#define TOGETHER_MS  100   /* keys come in bursts */

/* ---- Loading ---- */

static int load_deployment(void *owner, const char *name, struct rg_str bytes, char why[RG_STATE_WHY_MAX])
{
    struct rg_agent *a = owner;
    struct rg_state_deployment d;
    int r = rg_state_decode_deployment(bytes, &d, why);
    if (r < 0)
        return r;
    size_t len = strlen(d.artifact_id);
    if (strncmp(name, d.artifact_id, len) != 0 || strcmp(name + len, SUFFIX) != 0) {
        snprintf(why, RG_STATE_WHY_MAX, "it is the file of another artifact");
        return -EBADMSG;
    }
    struct rg_entry *e = rg_entry_get(a, d.kind, d.artifact_id);
    char *text = e ? malloc(d.text.len + 1) : NULL;
    if (!text)
        return -ENOMEM;
    memcpy(text, d.text.ptr, d.text.len);
    text[d.text.len] = '\0';
    e->is_known = true;
    e->newest_ns = d.performed_ns;
    memcpy(e->newest_id, d.deployment_id, sizeof(e->newest_id));
    e->live = (struct rg_version){
        .performed_ns = d.performed_ns, .deployed = d.deployed, .text = text, .text_len = d.text.len};
    memcpy(e->live.deployment_id, d.deployment_id, sizeof(e->live.deployment_id));
    memcpy(e->live.performed_at, d.performed_at, sizeof(e->live.performed_at));
    return 0;
}

static int load_json(struct rg_agent *a, struct rg_str bytes, const char *content,
                     void (*take)(struct rg_agent *a, const json_t *value), char why[RG_STATE_WHY_MAX])
{
    json_t *value;
    int r = rg_state_decode_json(bytes, content, &value, why);
    if (r < 0)
        return r;
    take(a, value);
    json_decref(value);
    return 0;
}

static int load_keys(void *owner, const char *name, struct rg_str bytes, char why[RG_STATE_WHY_MAX])
{
    (void)name;
    return load_json(owner, bytes, "keys", rg_keys_from_json, why);
}

static int load_secrets(void *owner, const char *name, struct rg_str bytes, char why[RG_STATE_WHY_MAX])
{
    (void)name;
    return load_json(owner, bytes, "secrets", rg_secrets_from_json, why);
}

/* It was live once; what it needs may be gone, or this version of the program may be stricter. */
static void revive(struct rg_agent *a, struct rg_entry *e)
{
    struct rg_problems problems;
    char why[RG_AGENT_FAILURE_MAX];
    rg_problems_init(&problems);
    int r = rg_artifact_decode(e->live.text, e->live.text_len, &e->live.artifact, &problems);
    if (r == 0)
        rg_entry_note_handle(e, e->live.artifact);
    if (r == 0)
        r = rg_agent_compile(a, e, e->live.artifact, &e->live.unit, &problems);
    rg_problems_line(&problems, why, sizeof(why));
    if (r < 0)
        rg_error("state: an artifact can't be served any more kind=%s name=%s artifact=%s deployment=%s reason=\"%s\"",
                 rg_kind_info(e->kind)->name, rg_or_dash(e->handle), e->id, e->live.deployment_id, why);
    json_t *errors = r < 0 ? rg_problems_json(&problems) : NULL;
    rg_entry_set_failure(a, e, r < 0 ? why : NULL, errors);
    json_decref(errors);
    rg_problems_fini(&problems);
    if (e->kind == RG_KIND_REST_API)
        rg_version_drop_artifact(&e->live);
}

static unsigned revive_all(struct rg_agent *a)
{
    unsigned n = 0;
    for (unsigned kind = 0; kind < RG_KINDS; kind++) { /* providers before proxies */
        for (struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
            struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
            if (e->kind != kind)
                continue;
            if (e->live.deployed)
                revive(a, e);
            n += e->live.unit != NULL;
            free(e->live.text); /* it is on the disk */
            e->live.text = NULL;
        }
    }
    return n;
}

int rg_persist_load(struct rg_agent *a)
{
    char why[RG_STATE_DIR_WHY_MAX];
    int r = rg_state_dir_open(&a->state, a->settings.state_dir, why);
    if (r < 0) {
        rg_error("control.state_dir: %s", why);
        return r;
    }
    r = rg_state_dir_load(&a->state, SUFFIX, load_deployment, a);
    if (r == 0)
        r = rg_state_dir_load(&a->state, KEYS_FILE, load_keys, a);
    if (r == 0)
        r = rg_state_dir_load(&a->state, SECRETS_FILE, load_secrets, a);
    if (r < 0) {
        rg_error("control.state_dir: can't read %s: %s; let the gateway's user own it", a->state.path, strerror(-r));
        return r;
    }
    unsigned served = revive_all(a);
    rg_info("state: loaded dir=%s artifacts=%zu served=%u", a->state.path, a->n_entries, served);
    return 0;
}

/* ---- Writing ---- */

static void name_of(const struct rg_entry *e, char *name, size_t size)
{
    snprintf(name, size, "%s" SUFFIX, e->id);
}

static int add_entry(struct rg_state_batch *batch, struct rg_entry *e)
{
    char name[RG_ID_MAX + 16], *bytes;
    size_t len;
    struct rg_state_deployment d = {.kind = e->kind,
                                    .deployed = e->live.deployed,
                                    .text = {e->live.text ? e->live.text : "", e->live.text ? e->live.text_len : 0}};
    memcpy(d.artifact_id, e->id, sizeof(d.artifact_id));
    memcpy(d.deployment_id, e->live.deployment_id, sizeof(d.deployment_id));
    memcpy(d.performed_at, e->live.performed_at, sizeof(d.performed_at));
    name_of(e, name, sizeof(name));
    int r = rg_state_encode_deployment(&d, &bytes, &len);
    return r < 0 ? r : rg_state_batch_add(batch, name, bytes, len);
}

static void write_later(struct rg_agent *a, uint64_t delay_ms)
{
    if (!a->save_due.set)
        rg_loop_set_alarm(a->loop, &a->save_due, delay_ms);
}

/* What does not get into the batch stays unsaved. */
static void add_unsaved(struct rg_agent *a, struct rg_state_batch *batch, struct rg_entry *e)
{
    if (!e->is_known || !e->is_unsaved)
        return;
    if (add_entry(batch, e) < 0) {
        write_later(a, AGAIN_MS);
        return;
    }
    e->is_unsaved = false;
    e->ticket = a->state.tickets + 1;
    rg_list_remove(&e->writing);
    rg_list_append(&a->writing, &e->writing);
}

void rg_persist_switched(struct rg_agent *a)
{
    struct rg_state_batch *batch = NULL;
    for (struct rg_list *at = a->orders.next; at != &a->orders; at = at->next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        if (o->state != RG_ORDER_SAVING || o->ticket)
            continue;
        batch = batch ? batch : rg_state_batch_create();
        if (!batch) {
            write_later(a, AGAIN_MS);
            return;
        }
        add_unsaved(a, batch, o->entry);
        o->ticket = a->state.tickets + 1;
    }
    if (batch)
        rg_state_dir_submit(&a->state, batch);
}

void rg_persist_forget(struct rg_agent *a, const struct rg_entry *e)
{
    char name[RG_ID_MAX + 16];
    struct rg_state_batch *batch = rg_state_batch_create();
    name_of(e, name, sizeof(name));
    if (batch && rg_state_batch_add(batch, name, NULL, 0) == 0)
        rg_state_dir_submit(&a->state, batch);
    else
        rg_state_batch_destroy(batch); /* the next sync forgets it again */
}

/* ---- Keys, secrets, and what could not be written ---- */

static int add_json(struct rg_state_batch *batch, const char *file, const char *content, json_t *value)
{
    char *bytes;
    size_t len;
    int r = rg_state_encode_json(content, value, &bytes, &len);
    json_decref(value);
    return r < 0 ? r : rg_state_batch_add(batch, file, bytes, len);
}

static void save_due(struct rg_alarm *alarm)
{
    struct rg_agent *a = RG_OWNER(alarm, struct rg_agent, save_due);
    struct rg_state_batch *batch = rg_state_batch_create();
    if (!batch) {
        write_later(a, AGAIN_MS);
        return;
    }
    if (a->keys_unsaved && add_json(batch, KEYS_FILE, "keys", rg_keys_to_json(a)) == 0) {
        a->keys_unsaved = false;
        a->keys_ticket = a->state.tickets + 1;
    }
    if (a->secrets_unsaved && add_json(batch, SECRETS_FILE, "secrets", rg_secrets_to_json(a)) == 0) {
        a->secrets_unsaved = false;
        a->secrets_ticket = a->state.tickets + 1;
    }
    for (struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        if (e->n_orders == 0) /* else its order brings it */
            add_unsaved(a, batch, e);
    }
    if (!batch->first) {
        rg_state_batch_destroy(batch);
        return;
    }
    rg_state_dir_submit(&a->state, batch);
}

void rg_persist_keys(struct rg_agent *a)
{
    a->keys_unsaved = true;
    write_later(a, TOGETHER_MS);
}

void rg_persist_secrets(struct rg_agent *a)
{
    a->secrets_unsaved = true;
    write_later(a, TOGETHER_MS);
}

/* ---- What has been written ---- */

static void note_written(struct rg_agent *a, const struct rg_state_batch *batch)
{
    for (struct rg_list *at = a->writing.next, *next; at != &a->writing; at = next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, writing);
        next = at->next;
        if (e->ticket != batch->ticket)
            continue;
        e->ticket = 0;
        rg_list_remove(&e->writing);
        if (batch->error != 0) {
            e->is_unsaved = true;
        } else if (!e->is_unsaved) { /* and nothing newer has come meanwhile */
            free(e->live.text);
            e->live.text = NULL;
        }
    }
}

static void note_failed(struct rg_agent *a, const struct rg_state_batch *batch)
{
    rg_agent_count(a, RG_AM_STATE_FAILURES);
    snprintf(a->failed_file, sizeof(a->failed_file), "%s", batch->failed);
    rg_error("state: can't write %s/%s: %s; what is live goes on, but a restart without the control plane would bring "
             "back what was before; trying again",
             a->state.path, batch->failed, strerror(-batch->error));
    a->keys_unsaved = a->keys_unsaved || batch->ticket == a->keys_ticket;
    a->secrets_unsaved = a->secrets_unsaved || batch->ticket == a->secrets_ticket;
    write_later(a, AGAIN_MS);
}

void rg_persist_done(struct rg_state_dir *dir, const struct rg_state_batch *batch)
{
    struct rg_agent *a = dir->owner;
    a->save_error = batch->error;
    note_written(a, batch);
    if (batch->error != 0)
        note_failed(a, batch);
    for (struct rg_list *at = a->orders.next, *next; at != &a->orders; at = next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        next = at->next;
        if (o->state == RG_ORDER_SAVING && o->ticket && o->ticket <= batch->ticket)
            rg_order_news(o, RG_NEWS_SAVED);
    }
}

void rg_persist_finish(struct rg_agent *a)
{
    if (a->save_due.set && a->state.has_thread)
        save_due(&a->save_due);
    rg_loop_clear_alarm(a->loop, &a->save_due);
    rg_state_dir_close(&a->state);
}

void rg_persist_init(struct rg_agent *a)
{
    a->save_due.due = save_due;
    rg_list_init(&a->writing);
    a->state.fd = a->state.lock_fd = a->state.done_event.fd = -1;
}
