-- Values that came for an event time of which the series had another one.
-- depends: aggregation_0701_amendments aggregation_0401_rules_revision

-- migrate: apply

ALTER TABLE series ADD COLUMN last_wins boolean NOT NULL DEFAULT false;

-- One row for a reading: the last value that does not count, how many there were, and the one that counted then.
-- `superseded`: it had counted until then.
CREATE TABLE reading_conflicts (
    series_id bigint NOT NULL,
    time_us bigint NOT NULL,
    value double precision NOT NULL,
    counting double precision NOT NULL,
    superseded boolean NOT NULL,
    times bigint NOT NULL DEFAULT 1,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_id, time_us)
);

-- migrate: rollback

DROP TABLE reading_conflicts;

ALTER TABLE series DROP COLUMN last_wins;
