-- Alarms of which nobody is told, since what raised them was old when it was accepted.
-- depends: aggregation_0711_alarms_closed

-- migrate: apply

ALTER TABLE alarms ADD COLUMN historical boolean NOT NULL DEFAULT false;

-- migrate: rollback

ALTER TABLE alarms DROP COLUMN historical;
