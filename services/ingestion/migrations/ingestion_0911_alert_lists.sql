-- Lists of alerts go by the time of the alert, as those of videos do.
-- depends: ingestion_0910_debt_erasures

-- migrate: apply

DROP INDEX alerts_newest;

DROP INDEX alerts_newest_by_store;

CREATE INDEX alerts_newest ON alerts ("timestamp" DESC, uid DESC);

CREATE INDEX alerts_newest_of_store ON alerts (store, "timestamp" DESC, uid DESC);

-- Lists of what failed or waits are short; PROBED ones are nearly all and go by the first index.
CREATE INDEX alerts_newest_open_or_failed ON alerts (state, "timestamp" DESC, uid DESC) WHERE state <> 3;

-- migrate: rollback

DROP INDEX alerts_newest_open_or_failed;

DROP INDEX alerts_newest_of_store;

DROP INDEX alerts_newest;

CREATE INDEX alerts_newest_by_store ON alerts (store, create_time DESC, uid DESC);

CREATE INDEX alerts_newest ON alerts (create_time DESC, uid DESC);
