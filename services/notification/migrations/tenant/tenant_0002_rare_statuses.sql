-- Nearly all notifications are SENT: only the others need an index by status, and being sent costs it no entry.
-- depends: tenant_0001_notifications

-- migrate: apply

DROP INDEX notifications_by_status;
CREATE INDEX notifications_unsent ON notifications (status, created_at DESC, id DESC) WHERE status <> 'SENT';

-- migrate: rollback

DROP INDEX notifications_unsent;
CREATE INDEX notifications_by_status ON notifications (status, created_at DESC, id DESC);
