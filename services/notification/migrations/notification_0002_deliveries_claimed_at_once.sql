-- Most notifications are claimed by whoever accepts them: their rows live for a moment and are indexed as little as possible.
-- depends: notification_0001_deliveries

-- migrate: apply

-- The delivery of a notification has the notification's id, also of one that was taken up again.
UPDATE deliveries SET id = reference WHERE kind = 'NOTIFICATION' AND id <> reference AND lease IS NULL;

-- Redelivered events meet this key: one delivery for each event and subscriber.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_reference_event_id_key;
CREATE UNIQUE INDEX deliveries_of_events ON deliveries (reference, event_id) WHERE kind = 'EVENT';

DROP INDEX deliveries_waiting;
CREATE INDEX deliveries_deferred ON deliveries (tenant, recipient, next_attempt_at) WHERE deferred;

-- A slot is found by its user alone, and its completion touches no index.
ALTER TABLE rate_slots DROP CONSTRAINT rate_slots_pkey;
DROP INDEX rate_slots_user;
DROP INDEX rate_slots_at;
ALTER TABLE rate_slots ADD PRIMARY KEY (tenant, recipient, delivery, lease);
ALTER TABLE rate_slots SET (fillfactor = 50);

-- migrate: rollback

ALTER TABLE rate_slots RESET (fillfactor);
ALTER TABLE rate_slots DROP CONSTRAINT rate_slots_pkey;
ALTER TABLE rate_slots ADD PRIMARY KEY (delivery, lease);
CREATE INDEX rate_slots_user ON rate_slots (tenant, recipient, at);
CREATE INDEX rate_slots_at ON rate_slots (at);

DROP INDEX deliveries_deferred;
CREATE INDEX deliveries_waiting ON deliveries (tenant, recipient, next_attempt_at) WHERE state = 'OPEN' AND kind = 'NOTIFICATION';

DROP INDEX deliveries_of_events;
ALTER TABLE deliveries ADD CONSTRAINT deliveries_reference_event_id_key UNIQUE (reference, event_id);
