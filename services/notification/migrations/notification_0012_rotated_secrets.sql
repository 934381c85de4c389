-- Secrets of subscriptions are rotated with an overlap; what to do with an unknown outcome may be a subscription's own.
-- depends: notification_0011_urgent_deliveries

-- migrate: apply

ALTER TABLE webhook_subscriptions
    ADD COLUMN former_secret text NOT NULL DEFAULT '',
    ADD COLUMN former_secret_until timestamptz,
    ADD COLUMN unknown_outcome text CHECK (unknown_outcome IN ('resend', 'hold'));

-- migrate: rollback

ALTER TABLE webhook_subscriptions
    DROP COLUMN unknown_outcome,
    DROP COLUMN former_secret_until,
    DROP COLUMN former_secret;
