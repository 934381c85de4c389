-- Segments are found by the time of their last reading, too: the index tells which of a quarter of an hour reach into a range.
-- depends: aggregation_0001_tables

-- migrate: apply

CREATE INDEX segments_reach ON segments (series_id, first_us, (times_us[cardinality(times_us)]));

DROP INDEX segments_series;

-- migrate: rollback

CREATE INDEX segments_series ON segments (series_id, first_us);

DROP INDEX segments_reach;
