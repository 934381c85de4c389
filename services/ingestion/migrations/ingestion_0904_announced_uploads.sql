-- Debt files are announced before their bytes come.
-- depends: ingestion_0903_debt_lists

-- migrate: apply

CREATE TABLE debt_uploads (
    -- Of the debt file to be.
    id uuid PRIMARY KEY,
    -- The subject of the token that announced it.
    by text NOT NULL,
    way text NOT NULL,
    state text NOT NULL DEFAULT 'OPEN',
    -- What was said of the file, as JSON.
    said text NOT NULL,
    size bigint NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz NOT NULL,
    -- When it left the state OPEN.
    end_time timestamptz
);

CREATE INDEX debt_uploads_open ON debt_uploads (by) INCLUDE (expire_time) WHERE state = 'OPEN';

CREATE INDEX debt_uploads_ended ON debt_uploads (end_time) WHERE end_time IS NOT NULL;

-- migrate: rollback

DROP TABLE debt_uploads;
