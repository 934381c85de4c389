-- Alerts know by which report they are in their state, so that one that comes late changes nothing.
-- depends: ingestion_0911_alert_lists

-- migrate: apply

ALTER TABLE alerts ADD COLUMN version bigint NOT NULL DEFAULT 0;

-- migrate: rollback

ALTER TABLE alerts DROP COLUMN version;
