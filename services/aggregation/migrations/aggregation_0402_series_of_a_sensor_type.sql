-- The series of a sensor type in all buildings: what rules of alarms without a building match.
-- depends: aggregation_0001_tables

-- migrate: apply

CREATE INDEX series_sensor_type_kind ON series (sensor_type, kind);

CREATE INDEX series_sensor_type_device ON series (sensor_type, device);

-- migrate: rollback

DROP INDEX series_sensor_type_device;

DROP INDEX series_sensor_type_kind;
