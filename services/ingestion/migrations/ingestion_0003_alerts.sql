-- Video alerts and their state.
-- depends: ingestion_0002_readings

-- migrate: apply

CREATE TABLE alerts (
    uid text PRIMARY KEY,
    video text NOT NULL,
    "timestamp" double precision NOT NULL,
    store text NOT NULL,
    state smallint NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 4),
    reason text NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX alerts_newest ON alerts (create_time DESC, uid DESC);

CREATE INDEX alerts_newest_by_store ON alerts (store, create_time DESC, uid DESC);

-- migrate: rollback

DROP TABLE alerts;
