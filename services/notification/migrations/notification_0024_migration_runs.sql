-- Runs that bring in notifications of a former system, and for how long the service keeps those of each tenant.
-- depends: notification_0021_dead_letters notification_0022_links notification_0023_versions

-- migrate: apply

CREATE TABLE migration_runs (
    id uuid PRIMARY KEY,
    source text NOT NULL,
    -- Whose notifications it may have stored.
    tenants text [] NOT NULL,
    -- Of the file and of how it is read: who runs the same again resumes.
    fingerprint bytea NOT NULL,
    state text NOT NULL DEFAULT 'RUNNING' CHECK (state IN ('RUNNING', 'DONE', 'ROLLING_BACK', 'ROLLED_BACK')),
    -- How many documents are done, where the next begins, and how long the file of those set aside was then.
    documents bigint NOT NULL DEFAULT 0,
    position bigint NOT NULL DEFAULT 0,
    set_aside_bytes bigint NOT NULL DEFAULT 0,
    counts json NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE UNIQUE INDEX migration_runs_resumed ON migration_runs (fingerprint) WHERE state = 'RUNNING';

-- The service's own settings, as it was started with them last: who writes beside it goes by them.
CREATE TABLE retentions (
    tenant text PRIMARY KEY,
    keep interval NOT NULL
);

-- migrate: rollback

DROP TABLE retentions;

DROP TABLE migration_runs;
