-- Urgent deliveries go before all that waits.
-- depends: notification_0002_deliveries_claimed_at_once

-- migrate: apply

ALTER TABLE deliveries ADD COLUMN urgent boolean NOT NULL DEFAULT false;

-- migrate: rollback

ALTER TABLE deliveries DROP COLUMN urgent;
