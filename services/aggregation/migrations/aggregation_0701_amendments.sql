-- What people make of stored readings: voided, or replaced by another value.
-- depends: aggregation_0501_reach_of_segments aggregation_0302_recomputations

-- migrate: apply

-- One row for each time that somebody asked; `recomputation` has the windows follow. `value` null: voided. `original`: the value
-- that came first. `outcome` as in `AmendmentOutcome`, null while it waits.
CREATE TABLE amendments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recomputation bigint NOT NULL,
    series_id bigint NOT NULL,
    time_us bigint NOT NULL,
    value double precision,
    original double precision,
    author text NOT NULL,
    reason text NOT NULL,
    outcome smallint,
    create_time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX amendments_waiting ON amendments (recomputation);

CREATE INDEX amendments_of_readings ON amendments (series_id, time_us, id) WHERE outcome = 1;

-- `amends`: windows may hold fewer readings than before. `through_us`: the first stretch is as long as to there.
ALTER TABLE recomputations
    ADD COLUMN amends boolean NOT NULL DEFAULT false,
    ADD COLUMN through_us bigint;

DROP INDEX recomputations_pending;

-- What people wait for comes first.
CREATE INDEX recomputations_pending ON recomputations (partition, amends DESC, id) WHERE done_time IS NULL;

-- Windows that had closed and whose readings were all voided: how often they had.
CREATE TABLE vacant_windows (
    series_id bigint NOT NULL,
    step_us bigint NOT NULL,
    start_us bigint NOT NULL,
    revision integer NOT NULL,
    PRIMARY KEY (series_id, step_us, start_us)
);

-- `late` is a set of bits from now on. 1: came after the lateness. 2: voided. What has any of them counts in no window.
CREATE OR REPLACE VIEW readings AS
SELECT s.series_id, to_timestamp(r.time_us / 1e6) AS event_time, r.value, s.late & 1 = 1 AS late, s.late & 2 = 2 AS voided
FROM segments s, unnest(s.times_us, s.vals) AS r (time_us, value);

-- migrate: rollback

DROP VIEW readings;

CREATE VIEW readings AS
SELECT s.series_id, to_timestamp(r.time_us / 1e6) AS event_time, r.value, s.late = 1 AS late
FROM segments s, unnest(s.times_us, s.vals) AS r (time_us, value);

DROP TABLE vacant_windows;

DROP INDEX recomputations_pending;

CREATE INDEX recomputations_pending ON recomputations (partition, id) WHERE done_time IS NULL;

ALTER TABLE recomputations DROP COLUMN through_us, DROP COLUMN amends;

DROP TABLE amendments;
