-- A position is told apart by time, too: a stream that lost its end gives its numbers a second time.
-- depends: aggregation_0001_tables

-- migrate: apply

-- When the broker stored the message of the position (seconds since the Unix epoch).
ALTER TABLE partitions ADD COLUMN position_stored double precision NOT NULL DEFAULT 0;

-- Of positions from before nobody knows it: they hold by their number alone, until the next message.
UPDATE partitions SET position_stored = 'infinity' WHERE position > 0;

-- migrate: rollback

ALTER TABLE partitions DROP COLUMN position_stored;
