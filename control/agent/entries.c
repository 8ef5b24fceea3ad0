/* The artifacts that the agent knows, by id. */
#include <stdio.h>
#include <stdlib.h>

#include "control/agent/agent_parts.h"
#include "control/common/utf8.h"

#define FIRST_BUCKETS 64

static size_t bucket_of(const struct rg_agent *a, const char *id)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a; ids are the control plane's, which may deploy here anyway */
    for (; *id; id++)
        hash = (hash ^ (unsigned char)*id) * 1099511628211u;
    return (size_t)hash & (a->n_buckets - 1);
}

struct rg_entry *rg_entry_find(const struct rg_agent *a, const char *id)
{
    struct rg_entry *e = a->n_buckets ? a->buckets[bucket_of(a, id)] : NULL;
    while (e && strcmp(e->id, id) != 0)
        e = e->next_in_bucket;
    return e;
}

static bool grow(struct rg_agent *a)
{
    size_t n = a->n_buckets ? 2 * a->n_buckets : FIRST_BUCKETS;
    struct rg_entry **buckets = calloc(n, sizeof(struct rg_entry *));
    if (!buckets)
        return a->n_buckets > 0; /* longer chains do as well */
    free(a->buckets);
    a->buckets = buckets;
    a->n_buckets = n;
    for (struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
        struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        struct rg_entry **bucket = &a->buckets[bucket_of(a, e->id)];
        e->next_in_bucket = *bucket;
        *bucket = e;
    }
    return true;
}

void rg_entry_note_handle(struct rg_entry *e, const struct rg_artifact *artifact)
{
    struct rg_str handle = rg_artifact_info(artifact)->handle;
    snprintf(e->handle, sizeof(e->handle), "%.*s", (int)handle.len, handle.ptr);
}

const char *rg_or_dash(const char *text)
{
    return text[0] ? text : "-";
}

bool rg_entries_full(const struct rg_agent *a)
{
    return a->n_entries >= RG_AGENT_ARTIFACTS_MAX;
}

struct rg_entry *rg_entry_get(struct rg_agent *a, enum rg_kind kind, const char *id)
{
    struct rg_entry *e = rg_entry_find(a, id);
    if (e) {
        e->kind = e->is_known ? e->kind : kind;
        return e;
    }
    if (a->n_entries >= a->n_buckets && !grow(a))
        return NULL;
    e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    snprintf(e->id, sizeof(e->id), "%s", id);
    e->kind = kind;
    e->newest_ns = INT64_MIN;
    struct rg_entry **bucket = &a->buckets[bucket_of(a, id)];
    e->next_in_bucket = *bucket;
    *bucket = e;
    rg_list_init(&e->writing);
    rg_list_init(&e->rekeyed);
    rg_list_init(&e->failed);
    rg_list_append(&a->entries, &e->link);
    a->n_entries++;
    return e;
}

void rg_version_fini(struct rg_version *v)
{
    free(v->text);
    rg_artifact_destroy(v->artifact);
    rg_artifact_policies_free(v->policies);
    rg_unit_unref(v->unit);
    *v = (struct rg_version){0};
}

void rg_version_drop_artifact(struct rg_version *v)
{
    if (!v->artifact)
        return;
    rg_artifact_policies_free(v->policies);
    v->policies = rg_artifact_take_policies(v->artifact);
    rg_artifact_destroy(v->artifact);
    v->artifact = NULL;
}

/* ---- Failures ---- */

static void keep_whole(struct rg_agent *a, struct rg_entry *e)
{
    rg_list_append(&a->failed, &e->failed);
    a->n_failed++;
}

static void keep_no_more(struct rg_agent *a, struct rg_entry *e)
{
    if (rg_list_empty(&e->failed))
        return;
    rg_list_remove(&e->failed);
    a->n_failed--;
}

static void shorten(struct rg_entry *e)
{
    static const char dots[] = "...";
    char text[RG_AGENT_FAILURE_SHORT + sizeof(dots)];
    json_decref(e->errors);
    e->errors = NULL;
    if (strlen(e->failure) < sizeof(text))
        return;
    memcpy(text + rg_utf8_copy(text, RG_AGENT_FAILURE_SHORT, rg_str_of(e->failure)), dots, sizeof(dots));
    free(e->failure);
    e->failure = strdup(text);
}

void rg_entry_set_failure(struct rg_agent *a, struct rg_entry *e, const char *text, json_t *errors)
{
    keep_no_more(a, e);
    free(e->failure);
    json_decref(e->errors);
    e->failure = text ? strdup(text) : NULL;
    e->errors = e->failure ? json_incref(errors) : NULL;
    if (!e->failure)
        return;
    keep_whole(a, e);
    if (a->n_failed <= RG_AGENT_FAILURES_WHOLE)
        return;
    struct rg_entry *oldest = RG_CONTAINER(a->failed.next, struct rg_entry, failed);
    keep_no_more(a, oldest);
    shorten(oldest);
}

void rg_entry_remove(struct rg_agent *a, struct rg_entry *e)
{
    struct rg_entry **at = &a->buckets[bucket_of(a, e->id)];
    while (*at != e)
        at = &(*at)->next_in_bucket;
    *at = e->next_in_bucket;
    rg_list_remove(&e->link);
    rg_list_remove(&e->writing);
    rg_list_remove(&e->rekeyed);
    a->n_entries--;
    rg_version_fini(&e->live);
    rg_key_set_unref(e->keys);
    json_decref(e->key_list);
    rg_entry_set_failure(a, e, NULL, NULL);
    free(e);
}

static bool is_named(const struct rg_version *v, enum rg_kind kind, struct rg_str handle)
{
    if (!v->artifact)
        return false;
    const struct rg_artifact_info *info = rg_artifact_info(v->artifact);
    return info->kind == kind && rg_str_eq(info->handle, handle);
}

/* As it will be with the orders that go into the next snapshot. */
const struct rg_entry *rg_entry_of_handle(const struct rg_agent *a, enum rg_kind kind, struct rg_str handle)
{
    for (const struct rg_list *at = a->entries.next; at != &a->entries; at = at->next) {
        const struct rg_entry *e = RG_CONTAINER(at, struct rg_entry, link);
        const struct rg_version *v = rg_entry_next_version(e);
        if (v && is_named(v, kind, handle))
            return e;
    }
    return NULL;
}

const struct rg_version *rg_entry_next_version(const struct rg_entry *e)
{
    if (e->order && e->order->state == RG_ORDER_READY)
        return e->order->deploy ? &e->order->version : NULL;
    return e->is_known && e->live.deployed ? &e->live : NULL;
}
