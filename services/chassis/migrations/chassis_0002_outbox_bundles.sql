-- A row of the outbox may hold many events: `payload` is theirs one after another, `headers` says whose is which.
-- depends: chassis_0001_inbox_outbox

-- migrate: apply

ALTER TABLE outbox ADD COLUMN bundled boolean NOT NULL DEFAULT false;

-- Rows live for milliseconds: compressing them is wasted.
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;

-- migrate: rollback

ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTENDED;

ALTER TABLE outbox DROP COLUMN bundled;
