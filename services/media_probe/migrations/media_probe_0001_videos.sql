-- Results of probing the videos of alerts: one row for each alert.
-- depends: chassis_0001_inbox_outbox

-- migrate: apply

CREATE TABLE videos (
    uid text PRIMARY KEY,
    store text NOT NULL,
    -- Of the alert: seconds since the Unix epoch.
    reported_at double precision NOT NULL,
    video text NOT NULL,
    -- The report of the alert that this row answers.
    event_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('PROBED', 'FAILED', 'RETRYING')),
    attempts integer NOT NULL,
    width integer,
    height integer,
    coded_width integer,
    coded_height integer,
    rotation integer,
    codec text,
    container text,
    duration interval,
    frame_rate double precision,
    failure text,
    message text NOT NULL,
    bytes_fetched bigint NOT NULL,
    requests integer NOT NULL,
    probe_duration interval NOT NULL,
    update_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT videos_probed_has_size CHECK (state <> 'PROBED' OR (width > 0 AND height > 0)),
    CONSTRAINT videos_failed_has_reason CHECK (state <> 'FAILED' OR failure IS NOT NULL)
);

CREATE INDEX videos_newest ON videos (reported_at DESC, uid DESC);

CREATE INDEX videos_newest_of_store ON videos (store, reported_at DESC, uid DESC);

-- Lists of what failed or waits are short; PROBED ones are nearly all and go by the first index.
CREATE INDEX videos_newest_troubled ON videos (state, reported_at DESC, uid DESC) WHERE state <> 'PROBED';

-- migrate: rollback

DROP TABLE videos;
