-- What is remembered of the place in the stream beside its number: a stream that lost its end gives numbers twice.
-- depends: aggregation_0001_tables

-- migrate: apply

-- {sequence, stored, floor, latest, publishers}, see `services.aggregation.domain.continuity.Bookmark`. It holds as long as its
-- `sequence` is `position`: a replica of an earlier version moves that alone.
ALTER TABLE partitions ADD COLUMN bookmark json;

-- migrate: rollback

ALTER TABLE partitions DROP COLUMN bookmark;
