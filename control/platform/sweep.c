/*
 * The sweeper: what no gateway has acknowledged in time. And what is left of gateways that were deleted and never came
 * back, and of an audit that is a year old. Run when something waits, not by the clock alone. All of it by a clock that
 * nobody sets, so that a wrong wall clock neither fails what is under way nor keeps it waiting. Thread: the store's.
 */
#include <stdio.h>

#include "control/platform/transitions.h"

#define BATCH 100
#define TOMBSTONE_MS \
    ((int64_t)7 * 24 * 3600 * 1000) /* a gateway may be away that long, and still hear what to undeploy */

#define AUDIT_MS ((int64_t)365 * 24 * 3600 * 1000)

struct due {
    struct rg_place place;
    struct rg_current current;
};

static size_t read_due(struct rg_store *store, int64_t before_ms, struct due *due)
{
    struct rg_rows rows;
    size_t n = 0;
    rg_db_query(&store->db, &rows,
                "SELECT s.organization_uuid, s.artifact_uuid, s.gateway_uuid, a.kind FROM deployment_status s"
                " JOIN artifacts a ON a.uuid = s.artifact_uuid WHERE s.status IN ('DEPLOYING', 'UNDEPLOYING')"
                " AND s.waits_since_ms <= ?1 ORDER BY s.waits_since_ms LIMIT ?2",
                RG_WITH(rg_int(before_ms), rg_int(BATCH)));
    for (; n < BATCH && rg_rows_next(&rows); n++) {
        struct rg_place *p = &due[n].place;
        snprintf(p->organization, sizeof(p->organization), "%s", rg_rows_text(&rows, 0));
        snprintf(p->artifact, sizeof(p->artifact), "%s", rg_rows_text(&rows, 1));
        snprintf(p->gateway, sizeof(p->gateway), "%s", rg_rows_text(&rows, 2));
        p->type = rg_type_of_kind(rg_rows_text(&rows, 3));
    }
    rg_rows_end(&rows);
    for (size_t i = 0; i < n; i++)
        rg_current_load(store, &due[i].place, &due[i].current);
    return n;
}

static void time_out(struct rg_store *store, const struct due *due, struct rg_effects *effects)
{
    static const struct rg_actor actor = {.name = "sweeper"};
    char message[160];
    bool connected = rg_db_number(&store->db, 0, "SELECT count(*) FROM temp.sessions WHERE gateway_uuid = ?1",
                                  RG_WITH(rg_text(due->place.gateway))) > 0;
    snprintf(message, sizeof(message), "No gateway acknowledged within %llu s; %s.",
             (unsigned long long)(store->config.timeout_ms / 1000),
             connected ? "the gateway is connected" : "the gateway is not connected");
    struct rg_failure failure = {.code = RG_REASON_TIMEOUT, .message = message};
    rg_operation_settle(store, &due->place, &due->current, RG_TRIGGER_TIMEOUT, &failure, &actor, effects);
    rg_store_add(store, RG_STORE_TIMEOUTS);
}

static void bury_gateways(struct rg_store *store, int64_t now_ms, struct rg_effects *effects)
{
    for (;;) {
        char gateway[RG_UUID_LEN + 1] = "";
        struct rg_rows rows;
        rg_db_query(&store->db, &rows, "SELECT uuid FROM gateways WHERE deleted_at_ms <= ?1 LIMIT 1",
                    RG_WITH(rg_int(now_ms - TOMBSTONE_MS)));
        if (rg_rows_next(&rows))
            snprintf(gateway, sizeof(gateway), "%s", rg_rows_text(&rows, 0));
        rg_rows_end(&rows);
        if (!gateway[0] ||
            rg_db_exec(&store->db, "DELETE FROM gateways WHERE uuid = ?1", RG_WITH(rg_text(gateway))) < 1)
            return;
        rg_effects_add(effects, RG_EFFECT_CLOSE_GATEWAY, gateway, "The gateway was deleted.");
    }
}

/* Texts of the same form: their order is that of time, to the second. */
static void forget_audit(struct rg_store *store, int64_t now_ms)
{
    char before[RG_INSTANT_TEXT_MAX];
    rg_store_time(before, now_ms - AUDIT_MS);
    rg_db_exec(&store->db,
               "DELETE FROM audit WHERE rowid IN (SELECT rowid FROM audit WHERE performed_at < ?1 LIMIT ?2)",
               RG_WITH(rg_text(before), rg_int(BATCH)));
}

static uint64_t next_ms(struct rg_store *store, int64_t now_ms)
{
    int64_t oldest = rg_db_number(&store->db, -1,
                                  "SELECT min(waits_since_ms) FROM deployment_status"
                                  " WHERE status IN ('DEPLOYING', 'UNDEPLOYING')",
                                  RG_WITHOUT);
    int64_t due = oldest + (int64_t)store->config.timeout_ms;
    if (oldest < 0)
        return UINT64_MAX;
    return due > now_ms ? (uint64_t)(due - now_ms) : 0;
}

int rg_store_sweep(struct rg_store *store, struct rg_effects *effects, uint64_t *ret_next_ms)
{
    struct due due[BATCH];
    int rc = rg_db_begin(&store->db);
    if (rc)
        return rc;
    int64_t now_ms = rg_store_steady(store);
    size_t n = read_due(store, now_ms - (int64_t)store->config.timeout_ms, due);
    for (size_t i = 0; i < n; i++)
        time_out(store, &due[i], effects);
    bury_gateways(store, now_ms, effects);
    forget_audit(store, now_ms);
    *ret_next_ms = next_ms(store, now_ms);
    return rg_db_commit(&store->db);
}
