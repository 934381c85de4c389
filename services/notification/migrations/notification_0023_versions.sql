-- Subscriptions have versions.
-- depends: notification_0012_rotated_secrets

-- migrate: apply

ALTER TABLE webhook_subscriptions ADD COLUMN version bigint NOT NULL DEFAULT 1;

-- migrate: rollback

ALTER TABLE webhook_subscriptions DROP COLUMN version;
