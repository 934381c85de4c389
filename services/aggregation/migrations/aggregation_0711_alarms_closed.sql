-- Alarms say why they are cleared, and can be closed by hand; series say when their device has left their place.
-- depends: aggregation_0601_bookmarks

-- migrate: apply

-- `cause`: 0 none (or from before causes were kept), 1 the condition ended, 2 closed by hand, 3 the device left, 4 the rule
-- was changed. `lasting`: closed by hand, and the condition has not ended since.
ALTER TABLE alarms
    ADD COLUMN cause smallint NOT NULL DEFAULT 0,
    ADD COLUMN closed_by text NOT NULL DEFAULT '',
    ADD COLUMN close_reason text NOT NULL DEFAULT '',
    ADD COLUMN lasting boolean NOT NULL DEFAULT false;

CREATE INDEX alarms_lasting ON alarms (series_id) WHERE lasting;

ALTER TABLE series ADD COLUMN left_us bigint;

-- migrate: rollback

ALTER TABLE series DROP COLUMN left_us;

DROP INDEX alarms_lasting;

ALTER TABLE alarms
    DROP COLUMN lasting,
    DROP COLUMN close_reason,
    DROP COLUMN closed_by,
    DROP COLUMN cause;
