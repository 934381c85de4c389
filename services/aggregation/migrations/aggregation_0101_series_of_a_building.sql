-- The series of a building and sensor type by room, in the order of pages (bytes, whatever the database's collation).
-- depends: aggregation_0001_tables

-- migrate: apply

CREATE INDEX series_building ON series (building, sensor_type, room COLLATE "C", device COLLATE "C");

-- migrate: rollback

DROP INDEX series_building;
