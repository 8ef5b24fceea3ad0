/* See migrations.h. */
#include "control/platform/migrations.h"

/* Times are text of RFC 3339 as they go over the wire. Definitions and contents are sealed (seal.h). */
static const char *const steps[] = {
    /* 1 */
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL);"

    "CREATE TABLE organizations ("
    " uuid TEXT PRIMARY KEY, handle TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL, region TEXT NOT NULL DEFAULT '',"
    " created_at TEXT NOT NULL, updated_at TEXT NOT NULL);"

    "CREATE TABLE projects ("
    " uuid TEXT PRIMARY KEY, organization_uuid TEXT NOT NULL REFERENCES organizations ON DELETE CASCADE,"
    " handle TEXT NOT NULL, display_name TEXT NOT NULL, description TEXT NOT NULL DEFAULT '',"
    " created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE (organization_uuid, handle));"

    "CREATE TABLE access_tokens ("
    " uuid TEXT PRIMARY KEY, organization_uuid TEXT NOT NULL REFERENCES organizations ON DELETE CASCADE,"
    " name TEXT NOT NULL, role TEXT NOT NULL, token_hash TEXT NOT NULL UNIQUE, expires_at_ms INTEGER,"
    " created_by TEXT NOT NULL, created_at TEXT NOT NULL, revoked_at TEXT);"
    "CREATE UNIQUE INDEX access_tokens_name ON access_tokens (organization_uuid, name) WHERE revoked_at IS NULL;"

    "CREATE TABLE gateways ("
    " uuid TEXT PRIMARY KEY, organization_uuid TEXT NOT NULL REFERENCES organizations ON DELETE CASCADE,"
    " handle TEXT NOT NULL, display_name TEXT NOT NULL, description TEXT NOT NULL DEFAULT '',"
    " endpoints TEXT NOT NULL DEFAULT '[]', gateway_functionality_type TEXT NOT NULL DEFAULT 'regular',"
    " version TEXT NOT NULL DEFAULT '', properties TEXT NOT NULL DEFAULT '{}', manifest TEXT,"
    " is_critical INTEGER NOT NULL DEFAULT 0, is_active INTEGER NOT NULL DEFAULT 0, last_seen_at TEXT,"
    " created_by TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT,"
    " deleted_at_ms INTEGER);"
    "CREATE UNIQUE INDEX gateways_handle ON gateways (organization_uuid, handle) WHERE deleted_at IS NULL;"

    "CREATE TABLE gateway_tokens ("
    " uuid TEXT PRIMARY KEY, gateway_uuid TEXT NOT NULL REFERENCES gateways ON DELETE CASCADE,"
    " token_hash TEXT NOT NULL UNIQUE, status TEXT NOT NULL DEFAULT 'active',"
    " created_by TEXT NOT NULL, created_at TEXT NOT NULL, revoked_by TEXT, revoked_at TEXT);"
    "CREATE INDEX gateway_tokens_gateway ON gateway_tokens (gateway_uuid);"

    "CREATE TABLE artifacts ("
    " uuid TEXT PRIMARY KEY, organization_uuid TEXT NOT NULL REFERENCES organizations ON DELETE CASCADE,"
    " project_uuid TEXT REFERENCES projects, kind TEXT NOT NULL, handle TEXT NOT NULL, display_name TEXT NOT NULL,"
    " version TEXT NOT NULL DEFAULT '', managed_by TEXT NOT NULL DEFAULT 'organization', definition BLOB NOT NULL,"
    " created_by TEXT NOT NULL, created_at TEXT NOT NULL, updated_by TEXT NOT NULL, updated_at TEXT NOT NULL,"
    " UNIQUE (organization_uuid, kind, handle));"

    "CREATE TABLE deployments ("
    " uuid TEXT PRIMARY KEY, display_name TEXT NOT NULL,"
    " artifact_uuid TEXT NOT NULL REFERENCES artifacts ON DELETE CASCADE,"
    " organization_uuid TEXT NOT NULL REFERENCES organizations ON DELETE CASCADE,"
    " gateway_uuid TEXT NOT NULL REFERENCES gateways ON DELETE CASCADE,"
    " base_deployment_uuid TEXT REFERENCES deployments ON DELETE SET NULL,"
    " content BLOB NOT NULL, metadata TEXT NOT NULL DEFAULT '{}', data_version INTEGER NOT NULL DEFAULT 1,"
    " created_by TEXT NOT NULL, created_at TEXT NOT NULL, created_at_ms INTEGER NOT NULL);"
    "CREATE INDEX deployments_place ON deployments (artifact_uuid, gateway_uuid, created_at_ms);"
    "CREATE INDEX deployments_base ON deployments (base_deployment_uuid);"
    "CREATE INDEX deployments_gateway ON deployments (gateway_uuid);"

    "CREATE TABLE deployment_status ("
    " artifact_uuid TEXT NOT NULL REFERENCES artifacts ON DELETE CASCADE,"
    " organization_uuid TEXT NOT NULL REFERENCES organizations ON DELETE CASCADE,"
    " gateway_uuid TEXT NOT NULL REFERENCES gateways ON DELETE CASCADE,"
    " deployment_uuid TEXT NOT NULL REFERENCES deployments ON DELETE CASCADE,"
    " status TEXT NOT NULL, status_desired TEXT NOT NULL, performed_at TEXT NOT NULL, performed_at_ms INTEGER NOT NULL,"
    " performed_by TEXT NOT NULL, status_reason TEXT, status_message TEXT, status_path TEXT, updated_at TEXT NOT NULL,"
    " PRIMARY KEY (organization_uuid, artifact_uuid, gateway_uuid));"
    "CREATE INDEX deployment_status_deployment ON deployment_status (deployment_uuid);"
    "CREATE INDEX deployment_status_gateway ON deployment_status (gateway_uuid, artifact_uuid);"
    "CREATE INDEX deployment_status_artifact ON deployment_status (artifact_uuid);"
    "CREATE INDEX deployment_status_waiting ON deployment_status (performed_at_ms)"
    " WHERE status IN ('DEPLOYING', 'UNDEPLOYING');"

    /* Outlives the status, so that performed_at grows for ever. */
    "CREATE TABLE deployment_clock ("
    " artifact_uuid TEXT NOT NULL REFERENCES artifacts ON DELETE CASCADE,"
    " gateway_uuid TEXT NOT NULL REFERENCES gateways ON DELETE CASCADE,"
    " last_ms INTEGER NOT NULL, PRIMARY KEY (artifact_uuid, gateway_uuid)) WITHOUT ROWID;"
    "CREATE INDEX deployment_clock_gateway ON deployment_clock (gateway_uuid);"

    "CREATE TABLE deployment_events ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " deployment_uuid TEXT NOT NULL REFERENCES deployments ON DELETE CASCADE,"
    " at TEXT NOT NULL, event TEXT NOT NULL, from_status TEXT, to_status TEXT NOT NULL, performed_at TEXT NOT NULL,"
    " actor TEXT NOT NULL, instance TEXT, error_code TEXT, message TEXT, field_path TEXT, correlation_id TEXT);"
    "CREATE INDEX deployment_events_deployment ON deployment_events (deployment_uuid, id);"

    "CREATE TABLE deployment_acks ("
    " deployment_uuid TEXT NOT NULL REFERENCES deployments ON DELETE CASCADE,"
    " performed_at TEXT NOT NULL, instance TEXT NOT NULL, action TEXT NOT NULL, status TEXT NOT NULL,"
    " error_code TEXT, message TEXT, field_path TEXT, received_at TEXT NOT NULL, times INTEGER NOT NULL DEFAULT 1,"
    " PRIMARY KEY (deployment_uuid, performed_at, instance));"

    "CREATE TABLE api_keys ("
    " uuid TEXT PRIMARY KEY, artifact_uuid TEXT NOT NULL REFERENCES artifacts ON DELETE CASCADE,"
    " name TEXT NOT NULL, display_name TEXT NOT NULL DEFAULT '', masked_api_key TEXT NOT NULL,"
    " sha256 TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'active', external_ref_id TEXT, issuer TEXT,"
    " expires_at TEXT, expires_at_ms INTEGER, created_by TEXT NOT NULL, created_at TEXT NOT NULL,"
    " updated_at TEXT NOT NULL);"
    "CREATE UNIQUE INDEX api_keys_name ON api_keys (artifact_uuid, name) WHERE status = 'active';"
    "CREATE INDEX api_keys_artifact ON api_keys (artifact_uuid);"

    "CREATE TABLE secrets ("
    " uuid TEXT PRIMARY KEY, organization_uuid TEXT NOT NULL REFERENCES organizations ON DELETE CASCADE,"
    " handle TEXT NOT NULL, display_name TEXT NOT NULL, description TEXT NOT NULL DEFAULT '', value BLOB NOT NULL,"
    " hash TEXT NOT NULL, created_by TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,"
    " updated_at_ms INTEGER NOT NULL, UNIQUE (organization_uuid, handle));"

    "CREATE TABLE artifact_secret_refs ("
    " deployment_uuid TEXT NOT NULL REFERENCES deployments ON DELETE CASCADE,"
    " secret_handle TEXT NOT NULL, PRIMARY KEY (deployment_uuid, secret_handle)) WITHOUT ROWID;"

    "CREATE TABLE audit ("
    " uuid TEXT PRIMARY KEY, action TEXT NOT NULL, resource_uuid TEXT NOT NULL, resource_type TEXT NOT NULL,"
    " organization_uuid TEXT NOT NULL, performed_by TEXT NOT NULL, performed_at TEXT NOT NULL, peer TEXT,"
    " request_id TEXT);"
    "CREATE INDEX audit_time ON audit (organization_uuid, performed_at);",

    /* 2 */
    "CREATE INDEX audit_age ON audit (performed_at);",

    /* 3: what answers requests, whatever has been asked for since; the history says it of what is there already */
    "ALTER TABLE deployment_status ADD COLUMN live_uuid TEXT REFERENCES deployments ON DELETE SET NULL;"
    "CREATE INDEX deployment_status_live ON deployment_status (live_uuid);"
    "UPDATE deployment_status SET live_uuid = (SELECT CASE e.to_status WHEN 'DEPLOYED' THEN e.deployment_uuid END"
    " FROM deployment_events e JOIN deployments d ON d.uuid = e.deployment_uuid"
    " WHERE d.artifact_uuid = deployment_status.artifact_uuid AND d.gateway_uuid = deployment_status.gateway_uuid"
    " AND e.to_status IN ('DEPLOYED', 'UNDEPLOYED') ORDER BY e.id DESC LIMIT 1);",

    /* 4: all that is wrong with an artifact, as a list of {field, message}, where the first field alone was known.
     * The old columns stay, for a program of before that is started again */
    "ALTER TABLE deployment_status ADD COLUMN status_errors TEXT;"
    "UPDATE deployment_status SET status_errors = json_array(json_object('field', status_path, 'message', CASE "
    "substr(status_message, 1,"
    " length(status_path) + 2) WHEN status_path || ': ' THEN substr(status_message, length(status_path) + 3) ELSE "
    "status_message END))"
    " WHERE status_path IS NOT NULL AND status_message IS NOT NULL;"
    "ALTER TABLE deployment_events ADD COLUMN errors TEXT;"
    "UPDATE deployment_events SET errors = json_array(json_object('field', field_path, 'message', CASE substr(message, "
    "1,"
    " length(field_path) + 2) WHEN field_path || ': ' THEN substr(message, length(field_path) + 3) ELSE message END))"
    " WHERE field_path IS NOT NULL AND message IS NOT NULL;"
    "ALTER TABLE deployment_acks ADD COLUMN errors TEXT;"
    "UPDATE deployment_acks SET errors = json_array(json_object('field', field_path, 'message', CASE substr(message, 1,"
    " length(field_path) + 2) WHEN field_path || ': ' THEN substr(message, length(field_path) + 3) ELSE message END))"
    " WHERE field_path IS NOT NULL AND message IS NOT NULL;",

    /* 5: how long an operation waits is no matter of the wall clock, which performed_at is of */
    "ALTER TABLE deployment_status ADD COLUMN waits_since_ms INTEGER NOT NULL DEFAULT 0;"
    "DROP INDEX deployment_status_waiting;"
    "CREATE INDEX deployment_status_waiting ON deployment_status (waits_since_ms)"
    " WHERE status IN ('DEPLOYING', 'UNDEPLOYING');",
};

#define STEPS ((int)(sizeof(steps) / sizeof(steps[0])))

int rg_migrations_known(void)
{
    return STEPS;
}

int rg_migrations_done(struct rg_db *db)
{
    return (int)rg_db_number(db, 0, "SELECT max(step) FROM schema_migrations", RG_WITHOUT);
}

/* The first write takes the lock that other programs wait for; what they have done meanwhile is seen then. */
int rg_migrate(struct rg_db *db)
{
    int rc = rg_db_begin(db);
    if (rc)
        return rc;
    rg_db_script(db, "CREATE TABLE IF NOT EXISTS schema_migrations (step INTEGER PRIMARY KEY, at TEXT NOT NULL);"
                     "UPDATE schema_migrations SET at = at WHERE step = 0;");
    for (int step = rg_migrations_done(db) + 1; step <= STEPS && !db->error; step++) {
        rg_db_script(db, steps[step - 1]);
        rg_db_exec(db, "INSERT INTO schema_migrations (step, at) VALUES (?1, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                   RG_WITH(rg_int(step)));
    }
    return rg_db_commit(db);
}
