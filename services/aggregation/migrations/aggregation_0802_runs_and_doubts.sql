-- Corrections of several readings in a row, and of steps that nothing decides (see docs/counters.md).
-- depends: aggregation_0801_withdrawn_decisions

-- migrate: apply

-- `last_us`: of the last of the `readings` (null: of the first one).
-- `booked`, `otherwise`: where nothing in the values decides, what the step adds, and what it would in the other case.
ALTER TABLE corrections
    ADD COLUMN last_us bigint,
    ADD COLUMN readings bigint NOT NULL DEFAULT 1,
    ADD COLUMN booked double precision,
    ADD COLUMN otherwise double precision;

-- migrate: rollback

ALTER TABLE corrections
    DROP COLUMN otherwise,
    DROP COLUMN booked,
    DROP COLUMN readings,
    DROP COLUMN last_us;
