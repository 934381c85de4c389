-- Series whose windows are to be folded anew, on their way to the owner of their partition.
-- depends: aggregation_0301_counters

-- migrate: apply

CREATE TABLE recomputations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition integer NOT NULL,
    series_id bigint NOT NULL,
    -- Where the next stretch begins; null: at the first reading.
    cursor_us bigint,
    end_us bigint NOT NULL,
    include_too_late boolean NOT NULL,
    readings bigint NOT NULL DEFAULT 0,
    windows bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    create_time timestamptz NOT NULL DEFAULT now(),
    done_time timestamptz
);

CREATE INDEX recomputations_pending ON recomputations (partition, id) WHERE done_time IS NULL;

CREATE INDEX recomputations_done ON recomputations (done_time) WHERE done_time IS NOT NULL;

-- migrate: rollback

DROP TABLE recomputations;
