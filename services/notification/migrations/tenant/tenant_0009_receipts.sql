-- What providers say of notifications after they had taken them.
-- depends: tenant_0008_migration_runs

-- migrate: apply

ALTER TABLE notifications ADD COLUMN delivered_at timestamptz;

CREATE TABLE receipts (
    -- The provider's: one that is reported twice has its effect once.
    id text PRIMARY KEY,
    notification uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('DELIVERED', 'BOUNCED', 'FAILED', 'OPENED')),
    channel text NOT NULL,
    address text NOT NULL,
    detail text NOT NULL,
    occurred_at timestamptz NOT NULL,
    effect text NOT NULL CHECK (effect IN ('APPLIED', 'RECORDED', 'SUPERSEDED')),
    received_at timestamptz NOT NULL
);

CREATE INDEX receipts_of_notification ON receipts (notification);
CREATE INDEX receipts_age ON receipts (received_at);

-- migrate: rollback

DROP TABLE receipts;

ALTER TABLE notifications DROP COLUMN delivered_at;
