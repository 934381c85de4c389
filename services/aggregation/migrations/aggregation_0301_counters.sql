-- How the values of a counter are judged; one correction for each reading.
-- depends: aggregation_0001_tables

-- migrate: apply

-- Numbers of counter_policy as in the contract. `cautious`: the device is known to send decreasing values now and then.
ALTER TABLE series
    ADD COLUMN counter_policy smallint NOT NULL DEFAULT 1,
    ADD COLUMN register_size double precision NOT NULL DEFAULT 0,
    ADD COLUMN max_increase_per_hour double precision NOT NULL DEFAULT 0,
    ADD COLUMN cautious boolean NOT NULL DEFAULT false;

DELETE FROM corrections a USING corrections b
WHERE a.series_id = b.series_id AND a.time_us = b.time_us AND a.kind < b.kind;

ALTER TABLE corrections DROP CONSTRAINT corrections_pkey, ADD PRIMARY KEY (series_id, time_us);

-- migrate: rollback

ALTER TABLE corrections DROP CONSTRAINT corrections_pkey, ADD PRIMARY KEY (series_id, time_us, kind);

ALTER TABLE series
    DROP COLUMN counter_policy, DROP COLUMN register_size, DROP COLUMN max_increase_per_hour, DROP COLUMN cautious;
