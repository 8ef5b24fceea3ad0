/*
 * The inside of the agent: artifacts, orders, and what its files share. See agent.h.
 *
 * An entry is what is known of one artifact; it stays as long as the control plane knows the artifact. `live` is what
 * the last published snapshot has of it. An order is one wish of the control plane; it belongs to its entry's list in
 * the agent until it is done, and becomes `live` when it is published.
 *
 * Thread: the control thread.
 */
#ifndef RG_AGENT_AGENT_PARTS_H
#define RG_AGENT_AGENT_PARTS_H

#include <errno.h>

#include "control/agent/ack.h"
#include "control/agent/agent.h"
#include "control/agent/deployment.h"
#include "control/agent/fetch.h"
#include "control/agent/link.h"
#include "control/agent/state_dir.h"
#include "control/artifact/artifact.h"
#include "control/artifact/compile.h"
#include "control/common/problems.h"
#include "datapath/policy/keys.h"

#define RG_AGENT_FETCHES     8u    /* at once */
#define RG_AGENT_BATCH_FROM  4u    /* so many that wait are fetched together */
#define RG_AGENT_BATCH       50u   /* at most so many */
#define RG_AGENT_OVERDUE_MS  10000 /* for a worker to switch */
#define RG_AGENT_DOUBT_MS    60000 /* an acknowledgement that old was heard, or the connection would have ended before */
#define RG_AGENT_FAILURE_MAX (RG_ACK_MESSAGE_MAX + 1)

/* Artifacts that are known, served or not: twice the most that is measured, and a bound for what a control plane that
 * went wrong can make the gateway keep: about 1 KiB of each that was refused. */
#define RG_AGENT_ARTIFACTS_MAX  20000u
#define RG_AGENT_FAILURES_WHOLE 500u /* failures kept whole, the newest; of older ones, this: */
#define RG_AGENT_FAILURE_SHORT  160u

struct rg_version {       /* of an artifact: one deployment, as it came */
    struct rg_unit *unit; /* deployed, and it has routes to serve */
    bool deployed;
    int64_t performed_ns;
    char deployment_id[RG_ID_MAX + 1];
    char performed_at[RG_INSTANT_TEXT_MAX];
    char *text; /* YAML, until it is on the disk; NULL otherwise */
    size_t text_len;
    struct rg_artifact *artifact;        /* deployed; NULL where nothing else is compiled against it */
    struct rg_artifact_policy *policies; /* those of it that count, where it is gone; NULL: none */
};

struct rg_entry {
    /* What each snapshot asks of every artifact, side by side: of 10,000, little is in a cache. */
    struct rg_list link;     /* all entries, in the order in which they came */
    struct rg_order *order;  /* the newest, as long as it is not published; NULL */
    struct rg_unit *rebuilt; /* while a snapshot is made: compiled anew against a provider that changes */
    bool is_rebuilt;
    bool is_known; /* `live` has something: it was published, or is on the disk */
    struct rg_version live;

    char id[RG_ID_MAX + 1];
    char handle[RG_ID_MAX + 1]; /* what people call it, cut; "": no definition of it was read yet */
    enum rg_kind kind;
    struct rg_entry *next_in_bucket;
    bool is_acked; /* the control plane was told of `live`, as far as we know */
    uint64_t acked_ms;
    bool is_unsaved;               /* `live` is not on the disk, and not on its way there */
    uint64_t ticket;               /* of the batch that brings `live` to the disk; 0: none */
    struct rg_list writing;        /* the agent's, while it has a ticket */
    bool is_listed;                /* by the sync that runs */
    bool is_asked;                 /* ... which does not list it: whether it still exists */
    int64_t newest_ns;             /* of all orders there were, done or not; INT64_MIN: none */
    char newest_id[RG_ID_MAX + 1]; /* deployment of that */
    unsigned n_orders;             /* that are not done */
    char *failure;                 /* of the newest order; NULL: it did not fail */
    json_t *errors;                /* the same, one by one; NULL: it is one sentence */
    struct rg_list failed;         /* the agent's, while all of it is kept */
    bool is_gone;                  /* the control plane has deleted it; it goes with its last order */
    struct rg_key_set *keys;       /* made when first asked for */
    json_t *key_list;              /* {name: {"name", "sha256", "expiresAt"}}; NULL: none */
    struct rg_list rekeyed;        /* the agent's, until what its list says is let in */
};

struct rg_order {
    struct rg_agent *agent;
    struct rg_entry *entry;
    struct rg_list link; /* all orders that are not done, oldest first */
    enum rg_order_state state;
    bool deploy;
    bool alone; /* not in a batch: that failed */
    struct rg_version version;
    char correlation_id[RG_ID_MAX + 1];
    uint64_t began_ms;
    struct rg_fetch *fetch; /* of its own; NULL: none, or in a batch */
    struct rg_batch *batch; /* of which its fetch is a part */
    uint64_t generation;    /* of the snapshot that it was published in */
    uint64_t published_ms;
    uint64_t ticket; /* of the batch that brings it to the disk */
    char failure[RG_AGENT_FAILURE_MAX];
    json_t *errors; /* the same, one by one; NULL: it is one sentence */
};

struct rg_secret {
    char handle[RG_ID_MAX + 1];
    char *value; /* NULL: none was ever had */
    size_t len;
    struct rg_fetch *fetch;
    uint64_t asked_ms;
    char failure[RG_FETCH_WHY_MAX]; /* of the last fetch; "": it was good */
    struct rg_secret *next;
    struct rg_agent *agent;
};

struct rg_agent_sync {
    struct rg_fetch *fetch; /* of the list, or of what exists; NULL: none runs */
    struct rg_alarm again;
    unsigned failures;
    uint64_t began_ms;
    bool is_compared; /* since the last connect: what was wanted while we were away is known */
    unsigned fetched, unchanged, removed;
};

struct rg_agent {
    struct rg_control_settings settings;
    struct rg_loop *loop;
    uint64_t *metrics;         /* values of struct rg_agent_metrics */
    struct rg_histogram *took; /* of deployments that went well */
    struct rg_agent_outlet outlet;
    struct rg_unit_place place; /* of units */
    bool has_drained;
    struct rg_address admin;
    bool has_admin;

    struct rg_remote remote;
    struct rg_transfers transfers;
    struct rg_fetcher fetcher;
    struct rg_link up;
    struct rg_fetch *manifest;
    struct rg_fetch *key_fetches[RG_KINDS];
    bool key_lists_old[RG_KINDS]; /* an event has come since that list was asked for */
    struct rg_list rekeyed;       /* entries whose lists of keys have changed in this turn of the loop */
    struct rg_alarm keys_due;
    struct rg_agent_sync sync;

    struct rg_entry **buckets;
    size_t n_buckets, n_entries;
    struct rg_list entries, orders;
    struct rg_list failed; /* entries whose failure is kept whole, oldest first */
    unsigned n_failed;
    struct rg_list batches; /* fetches of several orders */
    unsigned n_fetches;     /* of definitions, at once */
    struct rg_alarm obtain_due, build_due;
    struct rg_secret *secrets;

    uint64_t generation; /* of the last snapshot that was published; 0: none */
    uint64_t published_ms;
    uint32_t overdue_ms; /* after which a worker is late */
    bool is_switching;   /* a worker has not switched to it yet */
    bool is_late;        /* ... and has been told of */
    bool is_changed;     /* an artifact went: a snapshot is due without an order */
    bool has_rebuilt;    /* there are entries with is_rebuilt */
    struct rg_alarm publish_due;

    struct rg_state_dir state;
    struct rg_list writing; /* entries on their way to the disk */
    struct rg_alarm save_due;
    uint64_t keys_ticket, secrets_ticket; /* of the last batch with them */
    bool keys_unsaved, secrets_unsaved;
    int save_error; /* of the last write; 0: good */
    char failed_file[RG_ID_MAX + 16];
    uint64_t synced_unix_ms; /* of the last sync that was complete; 0: never */
};

/* ---- entries.c ---- */

struct rg_entry *rg_entry_find(const struct rg_agent *a, const char *id); /* NULL: none */
struct rg_entry *rg_entry_get(struct rg_agent *a, enum rg_kind kind,
                              const char *id);                /* made if need be; NULL: no memory */
void rg_entry_remove(struct rg_agent *a, struct rg_entry *e); /* has no orders; the file is the caller's matter */
void rg_version_fini(struct rg_version *v);
void rg_version_drop_artifact(struct rg_version *v); /* all of it but what counts on with the next version */
void rg_entry_note_handle(struct rg_entry *e, const struct rg_artifact *artifact);
const char *rg_or_dash(const char *text); /* for the log, where a value may be missing */
/* Whether one more artifact would be too many. What is on the disk is known in any case. */
bool rg_entries_full(const struct rg_agent *a);
/* NULL: none; without memory it is not shown. That of an entry that has failed long ago may be cut. */
void rg_entry_set_failure(struct rg_agent *a, struct rg_entry *e, const char *text, json_t *errors);
/* What the next snapshot will have of it, as far as is known now; NULL: nothing. */
const struct rg_version *rg_entry_next_version(const struct rg_entry *e);
const struct rg_entry *rg_entry_of_handle(const struct rg_agent *a, enum rg_kind kind, struct rg_str handle);

/* ---- orders.c: what is wanted, and what becomes of it ---- */

void rg_agent_take_event(struct rg_agent *a, const struct rg_event *event);
/* From the sync. false: no memory. */
bool rg_order_begin(struct rg_agent *a, struct rg_entry *e, const struct rg_event *event);
void rg_order_news(struct rg_order *o, enum rg_order_news news);
void rg_order_fail(struct rg_order *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rg_order_fail_at(struct rg_order *o, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void rg_order_fail_problems(struct rg_order *o, const struct rg_problems *problems);
void rg_agent_forget(struct rg_agent *a, struct rg_entry *e, const char *why); /* the artifact is gone */
void rg_agent_ack_live(struct rg_agent *a, struct rg_entry *e);                /* of what is live already */
void rg_orders_fini(struct rg_agent *a);

/* ---- obtain.c: definitions ---- */

void rg_agent_obtain_soon(struct rg_agent *a);   /* begins as many fetches as there may be, in the next turn */
void rg_order_fetch(struct rg_order *o);         /* as the table says; nothing when it is in a batch */
void rg_order_stop_fetching(struct rg_order *o); /* its fetch, or its part of one */
void rg_obtain_init(struct rg_agent *a);
void rg_obtain_fini(struct rg_agent *a);
void rg_problems_line(const struct rg_problems *problems, char *out, size_t size); /* all of them, cut to size */

/* ---- secrets.c ---- */

enum rg_secrets_state { RG_SECRETS_THERE, RG_SECRETS_COMING, RG_SECRETS_MISSING };
/* Of those that the order's definition names. Begins to fetch them; rg_agent_build_soon follows when one has come.
 * MISSING: `why` has each that is. */
enum rg_secrets_state rg_secrets_look(struct rg_agent *a, const struct rg_order *o, struct rg_problems *why);
bool rg_secret_value(const struct rg_agent *a, struct rg_str handle, struct rg_str *ret);
json_t *rg_secrets_to_json(const struct rg_agent *a);
void rg_secrets_from_json(struct rg_agent *a, const json_t *value);
void rg_secrets_stop(struct rg_agent *a); /* nothing is fetched any more */
void rg_secrets_fini(struct rg_agent *a);

/* ---- build.c: from text to unit ---- */

void rg_order_take_text(struct rg_order *o, char *text, size_t len); /* takes it over */
void rg_order_build(struct rg_order *o);                             /* as the table says */
void rg_agent_build_soon(struct rg_agent *a);                        /* what has come may be what others waited for */
void rg_build_init(struct rg_agent *a);
/* A failure has a problem at least. */
int rg_agent_compile(struct rg_agent *a, struct rg_entry *e, const struct rg_artifact *artifact, struct rg_unit **ret,
                     struct rg_problems *why);

/* ---- publish.c ---- */

void rg_agent_publish_soon(struct rg_agent *a);
int rg_agent_publish_first(struct rg_agent *a); /* of what was loaded; no worker runs */
void rg_agent_look_at_workers(struct rg_agent *a);
void rg_publish_init(struct rg_agent *a);
void rg_publish_fini(struct rg_agent *a);

/* ---- persist.c ---- */

int rg_persist_load(struct rg_agent *a);
void rg_persist_switched(struct rg_agent *a); /* orders in SAVING without a ticket go to the disk */
void rg_persist_forget(struct rg_agent *a, const struct rg_entry *e);
void rg_persist_keys(struct rg_agent *a); /* soon, with all that changes meanwhile */
void rg_persist_secrets(struct rg_agent *a);
void rg_persist_init(struct rg_agent *a);
void rg_persist_finish(struct rg_agent *a); /* writes what is due and lets go of the directory */
void rg_persist_done(struct rg_state_dir *dir, const struct rg_state_batch *batch);

/* ---- sync.c, api_keys.c, manifest.c ---- */

void rg_agent_sync(struct rg_agent *a);
void rg_agent_stop_sync(struct rg_agent *a);
void rg_sync_init(struct rg_agent *a);
void rg_agent_fetch_keys(struct rg_agent *a);
void rg_agent_stop_keys(struct rg_agent *a);
void rg_agent_take_key_event(struct rg_agent *a, const struct rg_event *event);
json_t *rg_keys_to_json(const struct rg_agent *a);
void rg_keys_from_json(struct rg_agent *a, const json_t *value);
void rg_keys_init(struct rg_agent *a);
void rg_agent_send_manifest(struct rg_agent *a);

static inline void rg_agent_count(struct rg_agent *a, enum rg_agent_metric metric)
{
    a->metrics[metric]++;
}

#endif
