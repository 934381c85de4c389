-- A debt knows how its status has changed, and what it has heard of its invoice last.
-- depends: ingestion_0904_announced_uploads

-- migrate: apply

-- Both are short in the rows that a file registers, of which there are a million at a time.
ALTER TABLE debts
    ADD COLUMN invoice_version integer NOT NULL DEFAULT 0,
    -- A line for each change: [status, microseconds since the epoch, by, event, note].
    ADD COLUMN history text NOT NULL DEFAULT '';

-- migrate: rollback

ALTER TABLE debts DROP COLUMN history, DROP COLUMN invoice_version;
