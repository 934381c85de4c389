-- The catalogue: sensor types, buildings, rooms, devices; and word of changes to the other replicas.
-- depends: chassis_0001_inbox_outbox

-- migrate: apply

CREATE TABLE sensor_types (
    id text PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 3),
    unit text NOT NULL,
    min_value double precision,
    max_value double precision,
    expected_interval interval,
    -- Kind and unit are fixed once readings exist.
    has_readings boolean NOT NULL DEFAULT false
);

CREATE TABLE buildings (
    id text PRIMARY KEY,
    attributes jsonb NOT NULL DEFAULT '{}',
    create_time timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE rooms (
    building text NOT NULL CONSTRAINT rooms_building REFERENCES buildings,
    id text NOT NULL,
    attributes jsonb NOT NULL DEFAULT '{}',
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (building, id)
);

CREATE TABLE devices (
    id text PRIMARY KEY,
    format text NOT NULL DEFAULT '',
    building text NOT NULL,
    room text NOT NULL,
    sensor_type text NOT NULL CONSTRAINT devices_sensor_type REFERENCES sensor_types,
    create_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT devices_room FOREIGN KEY (building, room) REFERENCES rooms
);

CREATE INDEX devices_by_room ON devices (building, room);

CREATE INDEX devices_by_sensor_type ON devices (sensor_type);

CREATE FUNCTION tell_catalogue_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('ingestion_catalogue', TG_TABLE_NAME);
    RETURN NULL;
END $$;

-- What the replicas hold in memory is outdated by these changes only; new rows are found when they are asked for.
CREATE TRIGGER tell_changed AFTER INSERT OR DELETE ON sensor_types
FOR EACH STATEMENT EXECUTE FUNCTION tell_catalogue_changed();

CREATE TRIGGER tell_updated AFTER UPDATE OF kind, unit, min_value, max_value, expected_interval ON sensor_types
FOR EACH STATEMENT EXECUTE FUNCTION tell_catalogue_changed();

CREATE TRIGGER tell_changed AFTER DELETE ON buildings
FOR EACH STATEMENT EXECUTE FUNCTION tell_catalogue_changed();

CREATE TRIGGER tell_changed AFTER DELETE ON rooms
FOR EACH STATEMENT EXECUTE FUNCTION tell_catalogue_changed();

CREATE TRIGGER tell_changed AFTER UPDATE OR DELETE ON devices
FOR EACH STATEMENT EXECUTE FUNCTION tell_catalogue_changed();

INSERT INTO sensor_types (id, kind, unit, min_value, max_value) VALUES
    ('temperature', 1, 'K', 0, NULL),
    ('humidity', 1, '%', 0, 100),
    ('co2', 1, 'ppm', 0, NULL),
    ('pressure', 1, 'Pa', 0, NULL),
    ('illuminance', 1, 'lx', 0, NULL),
    ('power', 1, 'W', NULL, NULL),
    ('energy', 2, 'Wh', 0, NULL),
    ('water', 2, 'L', 0, NULL),
    ('filling_level', 3, '%', 0, 100);

-- migrate: rollback

DROP TABLE devices;

DROP TABLE rooms;

DROP TABLE buildings;

DROP TABLE sensor_types;

DROP FUNCTION tell_catalogue_changed;
