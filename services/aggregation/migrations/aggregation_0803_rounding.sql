-- Which fall of a counter is rounding (see `CounterRules`; 0: nothing is said).
-- depends: aggregation_0802_runs_and_doubts

-- migrate: apply

ALTER TABLE series
    ADD COLUMN rounding_ratio double precision NOT NULL DEFAULT 0,
    ADD COLUMN rounding_amount double precision NOT NULL DEFAULT 0;

-- migrate: rollback

ALTER TABLE series DROP COLUMN rounding_ratio, DROP COLUMN rounding_amount;
