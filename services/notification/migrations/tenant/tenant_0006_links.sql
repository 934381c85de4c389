-- A notification leads somewhere.
-- depends: tenant_0005_channel_plans

-- migrate: apply

ALTER TABLE notifications ADD COLUMN link text NOT NULL DEFAULT '';

-- migrate: rollback

ALTER TABLE notifications DROP COLUMN link;
