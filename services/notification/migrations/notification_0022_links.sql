-- The notifications of a reminder lead somewhere.
-- depends: notification_0020_reminders

-- migrate: apply

ALTER TABLE reminders ADD COLUMN link text NOT NULL DEFAULT '';

-- migrate: rollback

ALTER TABLE reminders DROP COLUMN link;
