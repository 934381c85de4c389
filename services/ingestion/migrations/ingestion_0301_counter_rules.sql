-- Rules of counters, of a sensor type or of one device; null: none.
-- depends: ingestion_0001_catalogue

-- migrate: apply

ALTER TABLE sensor_types
    ADD COLUMN counter_policy smallint CHECK (counter_policy BETWEEN 1 AND 4),
    ADD COLUMN register_size double precision,
    ADD COLUMN max_increase_per_hour double precision;

ALTER TABLE devices
    ADD COLUMN counter_policy smallint CHECK (counter_policy BETWEEN 1 AND 4),
    ADD COLUMN register_size double precision,
    ADD COLUMN max_increase_per_hour double precision;

CREATE INDEX devices_with_counter_rules ON devices (id) WHERE counter_policy IS NOT NULL;

CREATE TRIGGER tell_rules_updated AFTER UPDATE OF counter_policy, register_size, max_increase_per_hour ON sensor_types
FOR EACH STATEMENT EXECUTE FUNCTION tell_catalogue_changed();

CREATE TRIGGER tell_rules_made AFTER INSERT ON devices
FOR EACH ROW WHEN (NEW.counter_policy IS NOT NULL) EXECUTE FUNCTION tell_catalogue_changed();

-- migrate: rollback

DROP TRIGGER tell_rules_made ON devices;

DROP TRIGGER tell_rules_updated ON sensor_types;

DROP INDEX devices_with_counter_rules;

ALTER TABLE devices
    DROP COLUMN counter_policy, DROP COLUMN register_size, DROP COLUMN max_increase_per_hour;

ALTER TABLE sensor_types
    DROP COLUMN counter_policy, DROP COLUMN register_size, DROP COLUMN max_increase_per_hour;
