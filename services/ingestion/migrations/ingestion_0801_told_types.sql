-- What the others have been told last of the values of a sensor type: a start tells them what they do not know.
-- depends: ingestion_0501_last_wins

-- migrate: apply

ALTER TABLE sensor_types ADD COLUMN told text;

-- migrate: rollback

ALTER TABLE sensor_types DROP COLUMN told;
