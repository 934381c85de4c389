-- Rules have a unit and may tell of the end; what the catalogue says of sensor types, to judge limits by.
-- depends: aggregation_0721_historical_alarms

-- migrate: apply

ALTER TABLE alarm_rules
    ADD COLUMN notify_cleared boolean NOT NULL DEFAULT false,
    ADD COLUMN unit text NOT NULL DEFAULT '',
    ADD COLUMN canonical_unit text NOT NULL DEFAULT '';

CREATE TABLE sensor_types (
    id text PRIMARY KEY,
    unit text NOT NULL,
    minimum double precision,
    maximum double precision,
    told_us bigint NOT NULL
);

-- migrate: rollback

DROP TABLE sensor_types;

ALTER TABLE alarm_rules
    DROP COLUMN canonical_unit,
    DROP COLUMN unit,
    DROP COLUMN notify_cleared;
