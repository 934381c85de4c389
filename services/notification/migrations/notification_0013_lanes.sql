-- A delivery goes to one address, in a lane; receivers, tenants and priorities are told apart by an index.
-- depends: notification_0012_rotated_secrets

-- migrate: apply

ALTER TABLE deliveries
    ADD COLUMN lane text NOT NULL GENERATED ALWAYS AS (CASE kind WHEN 'EVENT' THEN 'EVENT' ELSE channel END) STORED,
    -- Whose server it goes to, in lanes of many receivers.
    ADD COLUMN receiver text NOT NULL DEFAULT '',
    -- Urgent, ALERT, REMINDER, INFO.
    ADD COLUMN priority smallint NOT NULL DEFAULT 1 CHECK (priority BETWEEN 0 AND 3),
    ADD COLUMN endpoint uuid,
    -- Of the channel plan, and whether it is needed only if nobody has been reached by the steps before.
    ADD COLUMN step smallint NOT NULL DEFAULT 0,
    ADD COLUMN standby boolean NOT NULL DEFAULT false;

UPDATE deliveries SET receiver = reference::text WHERE kind = 'EVENT' AND state = 'OPEN';

-- What was to go to all addresses of a channel goes to each by itself, but for those that have been served ("id") or cannot
-- be ("!id").
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT DISTINCT tenant FROM deliveries WHERE kind = 'NOTIFICATION' LOOP
        EXECUTE format($move$
            WITH points AS (
                SELECT d.id AS delivery, e.id AS endpoint, row_number() OVER (PARTITION BY d.id ORDER BY e.id) AS place,
                    coalesce(
                        lower(substring(e.address from '^https?://(?:[^/@?#]*@)?(\[[^\]]*\]|[^/:?#]+)'))
                        || ':' || coalesce(
                            substring(e.address from '^https?://(?:[^/@?#]*@)?(?:\[[^\]]*\]|[^/:?#]+):(\d+)'),
                            CASE WHEN e.address LIKE 'https:%%' THEN '443' ELSE '80' END
                        ),
                        ''
                    ) AS receiver
                FROM deliveries d JOIN %1$I.endpoints e ON e.recipient = d.recipient AND e.channel = d.channel
                WHERE d.kind = 'NOTIFICATION' AND d.tenant = %2$L
                    AND e.id::text <> ALL (d.done) AND '!' || e.id::text <> ALL (d.done)
            ), others AS (
                INSERT INTO deliveries
                    (id, kind, tenant, recipient, channel, reference, attempts, next_attempt_at, created_at, endpoint,
                    receiver)
                SELECT gen_random_uuid(), d.kind, d.tenant, d.recipient, d.channel, d.reference, d.attempts,
                    d.next_attempt_at, d.created_at, p.endpoint, p.receiver
                FROM points p JOIN deliveries d ON d.id = p.delivery WHERE p.place > 1
            )
            UPDATE deliveries d SET endpoint = p.endpoint, receiver = p.receiver
            FROM points p WHERE p.delivery = d.id AND p.place = 1
            $move$, 'notification_' || name, name);
        EXECUTE format($rank$
            UPDATE deliveries d SET priority = CASE n.type WHEN 'ALERT' THEN 1 WHEN 'REMINDER' THEN 2 ELSE 3 END
            FROM %1$I.notifications n WHERE n.id = d.reference AND d.kind = 'NOTIFICATION' AND d.tenant = %2$L
            $rank$, 'notification_' || name, name);
        EXECUTE format($reached$
            UPDATE %1$I.notifications n SET status = 'SENT', sent_at = clock_timestamp(), version = n.version + 1
            FROM deliveries d WHERE d.id = n.id AND d.kind = 'NOTIFICATION' AND d.tenant = %2$L
                AND EXISTS (SELECT FROM unnest(d.done) AS one WHERE one NOT LIKE '!%%')
            $reached$, 'notification_' || name, name);
    END LOOP;
END $$;

UPDATE deliveries SET priority = 0 WHERE urgent;
ALTER TABLE deliveries DROP COLUMN urgent, DROP COLUMN done;

-- A row is in one of these: it waits, or somebody has it until its lease ends.
DROP INDEX deliveries_due;
CREATE INDEX deliveries_waiting ON deliveries (lane, tenant, receiver, priority, next_attempt_at, id)
WHERE state = 'OPEN' AND lease IS NULL;
CREATE INDEX deliveries_leased ON deliveries (lane, next_attempt_at) WHERE lease IS NOT NULL;
-- The first delivery of a notification has its id; these are the others.
CREATE INDEX deliveries_further ON deliveries (reference) WHERE kind = 'NOTIFICATION' AND id <> reference;

-- What is attempted of a notification at one time counts once.
ALTER TABLE rate_slots ADD COLUMN notification uuid;
UPDATE rate_slots SET notification = delivery;
ALTER TABLE rate_slots ALTER COLUMN notification SET NOT NULL;

-- migrate: rollback

ALTER TABLE rate_slots DROP COLUMN notification;

DROP INDEX deliveries_further;
DROP INDEX deliveries_leased;
DROP INDEX deliveries_waiting;
CREATE INDEX deliveries_due ON deliveries (next_attempt_at, id) WHERE state = 'OPEN';

ALTER TABLE deliveries
    ADD COLUMN urgent boolean NOT NULL DEFAULT false,
    ADD COLUMN done text[] NOT NULL DEFAULT '{}';
UPDATE deliveries SET urgent = priority = 0;
DELETE FROM deliveries WHERE kind = 'NOTIFICATION' AND id <> reference;

ALTER TABLE deliveries
    DROP COLUMN standby,
    DROP COLUMN step,
    DROP COLUMN endpoint,
    DROP COLUMN priority,
    DROP COLUMN receiver,
    DROP COLUMN lane;
