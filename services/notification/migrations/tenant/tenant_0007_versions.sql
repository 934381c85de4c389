-- Addresses and plans have versions; the secrets of users' webhooks are rotated with an overlap.
-- depends: tenant_0006_links

-- migrate: apply

ALTER TABLE endpoints
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD COLUMN former_secret text NOT NULL DEFAULT '',
    ADD COLUMN former_secret_until timestamptz;
ALTER TABLE channel_plans ADD COLUMN version bigint NOT NULL DEFAULT 1;

-- migrate: rollback

ALTER TABLE channel_plans DROP COLUMN version;
ALTER TABLE endpoints
    DROP COLUMN former_secret_until,
    DROP COLUMN former_secret,
    DROP COLUMN version;
