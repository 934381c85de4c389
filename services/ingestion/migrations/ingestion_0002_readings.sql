-- What readings leave in PostgreSQL: idempotency keys, and payloads that nobody understood.
-- depends: ingestion_0001_catalogue

-- migrate: apply

CREATE TABLE idempotency_keys (
    scope text NOT NULL,
    key text NOT NULL,
    content bytea NOT NULL,
    -- Readings without an event time of their own were measured then, whichever attempt stores them.
    received_us bigint NOT NULL,
    done boolean NOT NULL DEFAULT false,
    PRIMARY KEY (scope, key)
);

CREATE INDEX idempotency_keys_received ON idempotency_keys (received_us);

CREATE TABLE quarantined_payloads (
    id text PRIMARY KEY,
    format text NOT NULL,
    payload bytea NOT NULL,
    reason text NOT NULL,
    field text NOT NULL,
    create_time timestamptz NOT NULL
);

CREATE INDEX quarantined_payloads_by_format ON quarantined_payloads (format, id);

-- migrate: rollback

DROP TABLE quarantined_payloads;

DROP TABLE idempotency_keys;
