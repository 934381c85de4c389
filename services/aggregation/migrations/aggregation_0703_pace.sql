-- How fast a counter has been seen to count, at the last anchor of a window (see docs/counters.md).
-- depends: aggregation_0702_reading_conflicts

-- migrate: apply

ALTER TABLE windows ADD COLUMN pace double precision;

-- migrate: rollback

ALTER TABLE windows DROP COLUMN pace;
