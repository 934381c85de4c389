-- Which fall of a counter is rounding: by sensor type, or by device; null: as the contract says.
-- depends: ingestion_0801_told_types

-- migrate: apply

ALTER TABLE sensor_types
    ADD COLUMN rounding_ratio double precision,
    ADD COLUMN rounding_amount double precision;

ALTER TABLE devices
    ADD COLUMN rounding_ratio double precision,
    ADD COLUMN rounding_amount double precision;

-- migrate: rollback

ALTER TABLE devices DROP COLUMN rounding_ratio, DROP COLUMN rounding_amount;

ALTER TABLE sensor_types DROP COLUMN rounding_ratio, DROP COLUMN rounding_amount;
