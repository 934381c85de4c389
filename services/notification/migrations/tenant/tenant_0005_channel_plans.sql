-- Channels are tried by a plan; a notification keeps which address it reached, and each attempt.
-- depends: tenant_0004_partitions

-- migrate: apply

ALTER TABLE notifications
    -- Empty: the one channel that was asked for.
    ADD COLUMN plan text NOT NULL DEFAULT '',
    -- The last step of the plan that has deliveries, and how many go on.
    ADD COLUMN step smallint NOT NULL DEFAULT 0,
    ADD COLUMN legs integer NOT NULL DEFAULT 0,
    ADD COLUMN endpoint uuid,
    ADD COLUMN address text NOT NULL DEFAULT '',
    ADD COLUMN history jsonb NOT NULL DEFAULT '[]';

DO $$
BEGIN
    IF to_regclass('notification.deliveries') IS NOT NULL THEN
        UPDATE notifications n SET legs = d.legs
        FROM (SELECT reference, count(*) AS legs FROM notification.deliveries WHERE kind = 'NOTIFICATION' GROUP BY reference) d
        WHERE d.reference = n.id;
    END IF;
END $$;

CREATE TABLE channel_plans (
    recipient text NOT NULL,
    type text NOT NULL CHECK (type IN ('ALERT', 'REMINDER', 'INFO')),
    plan text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (recipient, type)
);

-- migrate: rollback

DROP TABLE channel_plans;

ALTER TABLE notifications
    DROP COLUMN history,
    DROP COLUMN address,
    DROP COLUMN endpoint,
    DROP COLUMN legs,
    DROP COLUMN step,
    DROP COLUMN plan;
