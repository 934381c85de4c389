-- Which of two values of one event time counts, by sensor type.
-- depends: ingestion_0401_rules_revision

-- migrate: apply

ALTER TABLE sensor_types ADD COLUMN last_wins boolean NOT NULL DEFAULT false;

CREATE TRIGGER tell_last_wins_updated AFTER UPDATE OF last_wins ON sensor_types
FOR EACH STATEMENT EXECUTE FUNCTION tell_catalogue_changed();

-- migrate: rollback

DROP TRIGGER tell_last_wins_updated ON sensor_types;

ALTER TABLE sensor_types DROP COLUMN last_wins;
