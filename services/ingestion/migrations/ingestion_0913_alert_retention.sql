-- Alerts go after their time, by when they were accepted.
-- depends: ingestion_0912_alert_versions

-- migrate: apply

CREATE INDEX alerts_oldest ON alerts (create_time);

-- migrate: rollback

DROP INDEX alerts_oldest;
