-- Results have a version, and the attempts before the last one are kept.
-- depends: media_probe_0001_videos

-- migrate: apply

ALTER TABLE videos
    -- Rises with every change; events carry it.
    ADD COLUMN version bigint NOT NULL DEFAULT 0,
    -- The public event that told the result.
    ADD COLUMN result_event text NOT NULL DEFAULT '',
    -- Earlier attempts, the oldest first: [number, failure, message, end, seconds, event].
    ADD COLUMN earlier jsonb NOT NULL DEFAULT '[]';

-- migrate: rollback

ALTER TABLE videos DROP COLUMN version, DROP COLUMN result_event, DROP COLUMN earlier;
