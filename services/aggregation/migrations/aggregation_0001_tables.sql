-- Series, raw readings, windows, and who works on which partition. Times are microseconds since the Unix epoch (UTC).
-- depends: chassis_0001_inbox_outbox

-- migrate: apply

CREATE TABLE series (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition integer NOT NULL,
    building text NOT NULL,
    room text NOT NULL,
    sensor_type text NOT NULL,
    device text NOT NULL,
    kind smallint NOT NULL,
    unit text NOT NULL,
    interval_us bigint NOT NULL,
    UNIQUE (building, room, sensor_type, device)
);

CREATE INDEX series_partition ON series (partition, id);

-- What the owner of the partition remembers of a series. `frontiers`: per step, windows that start before it are complete
-- in `windows`. `state` is private to the owner (layout `version`, for these `steps`).
CREATE TABLE series_state (
    series_id bigint PRIMARY KEY,
    interval_us bigint NOT NULL,
    max_gap_us bigint NOT NULL,
    steps bigint[] NOT NULL,
    frontiers bigint[] NOT NULL,
    settled_us bigint NOT NULL,
    version integer NOT NULL,
    state bytea NOT NULL
) WITH (fillfactor = 70);

-- Raw readings: a row holds neighbouring readings of one series that were committed together, all in one quarter of an hour.
-- `late` 1: came after the lateness, so not counted in windows.
CREATE TABLE segments (
    series_id bigint NOT NULL,
    first_us bigint NOT NULL,
    late smallint NOT NULL,
    times_us bigint[] NOT NULL,
    vals double precision[] NOT NULL
) PARTITION BY RANGE (first_us);

CREATE INDEX segments_series ON segments (series_id, first_us);

CREATE VIEW readings AS
SELECT s.series_id, to_timestamp(r.time_us / 1e6) AS event_time, r.value, s.late = 1 AS late
FROM segments s, unnest(s.times_us, s.vals) AS r (time_us, value);

-- One row per window that has closed and holds readings; what lies between windows follows from their first and last readings.
CREATE TABLE windows (
    series_id bigint NOT NULL,
    step_us bigint NOT NULL,
    start_us bigint NOT NULL,
    revision integer NOT NULL,
    max_gap_us bigint NOT NULL,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    first_us bigint NOT NULL,
    first double precision NOT NULL,
    last_us bigint NOT NULL,
    last double precision NOT NULL,
    covered_us bigint NOT NULL,
    integral double precision NOT NULL,
    gap_us bigint NOT NULL,
    -- Counters only.
    consumption double precision,
    edge_from_us bigint,
    edge_to_us bigint,
    edge double precision,
    level_us bigint,
    level double precision,
    PRIMARY KEY (series_id, step_us, start_us)
) PARTITION BY LIST (step_us);

CREATE TABLE partitions (
    partition integer PRIMARY KEY,
    owner text,
    epoch bigint NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    -- The last message of the stream (told apart by its creation) that has had its effect.
    stream text NOT NULL DEFAULT '',
    position bigint NOT NULL DEFAULT 0,
    -- Readings stored since ever.
    readings bigint NOT NULL DEFAULT 0
);

CREATE TABLE replicas (
    owner text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);

-- Containers emptied, on their way to the owner of their partition.
CREATE TABLE emptied (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition integer NOT NULL,
    descriptor bytea NOT NULL,
    time_us bigint NOT NULL,
    forced boolean NOT NULL
);

CREATE INDEX emptied_partition ON emptied (partition, id);

-- Readings of counters that were not taken at their word.
CREATE TABLE corrections (
    series_id bigint NOT NULL,
    time_us bigint NOT NULL,
    value double precision NOT NULL,
    level double precision NOT NULL,
    kind text NOT NULL,
    PRIMARY KEY (series_id, time_us, kind)
);

CREATE TABLE lateness (
    series_id bigint PRIMARY KEY,
    revised bigint NOT NULL DEFAULT 0,
    too_late bigint NOT NULL DEFAULT 0
);

-- migrate: rollback

DROP TABLE lateness;

DROP TABLE corrections;

DROP TABLE emptied;

DROP TABLE replicas;

DROP TABLE partitions;

DROP TABLE windows;

DROP VIEW readings;

DROP TABLE segments;

DROP TABLE series_state;

DROP TABLE series;
