-- Which of two descriptions of a series is the newer one.
-- depends: ingestion_0301_counter_rules

-- migrate: apply

-- Grows with each change of the rules of a type or of one of its devices. By the clock (microseconds), so that it grows
-- also beyond what was told before the database was brought back from a copy, or the type was deleted and made anew.
ALTER TABLE sensor_types
    ADD COLUMN revision bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- migrate: rollback

ALTER TABLE sensor_types DROP COLUMN revision;
