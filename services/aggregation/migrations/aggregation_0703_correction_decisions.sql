-- What people have decided about readings of counters, in place of the rules.
-- depends: aggregation_0701_amendments

-- migrate: apply

-- `kind`: GLITCH, RESET, IGNORE, or VALUE (then `value`). `was_`: the correction as it stood when it was decided first.
CREATE TABLE correction_decisions (
    series_id bigint NOT NULL,
    time_us bigint NOT NULL,
    kind text NOT NULL,
    value double precision,
    author text NOT NULL,
    reason text NOT NULL,
    was_kind text NOT NULL,
    was_value double precision NOT NULL,
    was_level double precision NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_id, time_us)
);

-- So that nobody looks for decisions about the others.
ALTER TABLE series ADD COLUMN decided boolean NOT NULL DEFAULT false;

-- migrate: rollback

ALTER TABLE series DROP COLUMN decided;

DROP TABLE correction_decisions;
