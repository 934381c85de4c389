-- Notifications of a former system know the run that brought them in: it can be undone, and nobody is told of them again.
-- depends: tenant_0007_versions

-- migrate: apply

ALTER TABLE notifications ADD COLUMN migration_run uuid;

-- What may be taken up again, the oldest first.
CREATE INDEX notifications_abandoned ON notifications (created_at, id)
WHERE status = 'FAILED' AND migration_run IS NULL;

-- migrate: rollback

ALTER TABLE notifications DROP COLUMN migration_run;
