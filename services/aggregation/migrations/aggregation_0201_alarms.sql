-- Rules of alarms, the alarms, and what is remembered of series under rules. Event times are microseconds since the Unix epoch.
-- depends: aggregation_0001_tables

-- migrate: apply

-- `generation` is another number whenever a rule is to be judged anew; numbers are never used twice.
CREATE SEQUENCE alarm_generations AS bigint;

CREATE TABLE alarm_rules (
    id text PRIMARY KEY,
    generation bigint NOT NULL DEFAULT nextval('alarm_generations'),
    title text NOT NULL,
    building text NOT NULL,
    room text NOT NULL,
    sensor_type text NOT NULL,
    device text NOT NULL,
    severity smallint NOT NULL,
    disabled boolean NOT NULL,
    tenant text NOT NULL,
    notify text[] NOT NULL,
    condition jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- `state`: 1 pending, 2 raised, 3 acknowledged, 4 cleared. Alarms outlive their rule.
CREATE TABLE alarms (
    id uuid PRIMARY KEY,
    rule text NOT NULL,
    generation bigint NOT NULL,
    kind text NOT NULL,
    severity smallint NOT NULL,
    series_id bigint NOT NULL,
    building text NOT NULL,
    room text NOT NULL,
    sensor_type text NOT NULL,
    device text NOT NULL,
    unit text NOT NULL,
    state smallint NOT NULL,
    message text NOT NULL,
    value double precision,
    last_value double precision,
    extreme double precision,
    peak double precision,
    start_us bigint NOT NULL,
    raised_us bigint,
    updated_us bigint NOT NULL,
    cleared_us bigint,
    acknowledged_at timestamptz,
    acknowledged_by text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT ''
) WITH (fillfactor = 80);

CREATE INDEX alarms_by_start ON alarms (start_us, id);

CREATE INDEX alarms_by_place ON alarms (building, room, start_us, id);

CREATE INDEX alarms_by_rule ON alarms (rule, start_us, id);

CREATE INDEX alarms_open ON alarms (series_id) WHERE state <> 4;

CREATE TABLE alarm_memories (
    series_id bigint NOT NULL,
    generation bigint NOT NULL,
    memory double precision[] NOT NULL,
    PRIMARY KEY (series_id, generation)
) WITH (fillfactor = 70);

-- migrate: rollback

DROP TABLE alarm_memories;

DROP TABLE alarms;

DROP TABLE alarm_rules;

DROP SEQUENCE alarm_generations;
