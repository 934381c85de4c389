-- Deliveries know since when they are in their state: the history of an alert tells when somebody was told.
-- depends: notification_0031_shared_parts

-- migrate: apply

-- Of events; NULL where they were scheduled before this column.
ALTER TABLE deliveries ADD COLUMN state_at timestamptz;

-- migrate: rollback

ALTER TABLE deliveries DROP COLUMN state_at;
