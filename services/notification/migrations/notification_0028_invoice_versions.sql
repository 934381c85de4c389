-- Invoices have a version, and what has changed of them waits to be told.
-- depends: notification_0027_cancelled_debt_files

-- migrate: apply

ALTER TABLE invoices ADD COLUMN version integer NOT NULL DEFAULT 1;

-- Written with the change, and gone a moment later: without an index, and swept often.
CREATE TABLE invoice_changes (
    debt text NOT NULL,
    debt_file text NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    doubtful boolean NOT NULL,
    code text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_analyze_threshold = 1000000000);

-- migrate: rollback

DROP TABLE invoice_changes;

ALTER TABLE invoices DROP COLUMN version;
