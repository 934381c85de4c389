-- Results go after their time, by when there was the first one.
-- depends: media_probe_0002_history

-- migrate: apply

ALTER TABLE videos ADD COLUMN create_time timestamptz NOT NULL DEFAULT now();

UPDATE videos SET create_time = update_time;

CREATE INDEX videos_oldest ON videos (create_time);

-- migrate: rollback

ALTER TABLE videos DROP COLUMN create_time;
