-- Alarms that were none, by what people have made of the readings that raised them since.
-- depends: aggregation_0803_rounding

-- migrate: apply

ALTER TABLE alarms
    ADD COLUMN revoked_at timestamptz,
    ADD COLUMN revoked_by text NOT NULL DEFAULT '',
    ADD COLUMN revoke_reason text NOT NULL DEFAULT '';

-- So that an amendment finds those that are over already.
CREATE INDEX alarms_cleared ON alarms (series_id, start_us) WHERE state = 4;

-- migrate: rollback

DROP INDEX alarms_cleared;

ALTER TABLE alarms DROP COLUMN revoked_at, DROP COLUMN revoked_by, DROP COLUMN revoke_reason;
