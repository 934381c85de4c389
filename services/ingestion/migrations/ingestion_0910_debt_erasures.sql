-- Erasures of the personal data of debtors.
-- depends: ingestion_0909_bucket_uploads

-- migrate: apply

CREATE TABLE debt_erasures (
    id uuid PRIMARY KEY,
    state text NOT NULL DEFAULT 'RUNNING' CHECK (state IN ('RUNNING', 'COMPLETED')),
    asked_by text NOT NULL,
    note text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('DEBTS', 'GOVERNMENT_ID', 'EMAIL')),
    -- Whose data it is: empty once it is done, as then nothing personal is left.
    wanted text[] NOT NULL,
    -- What rejected rows of these people hold.
    signs text[] NOT NULL,
    debts bigint NOT NULL DEFAULT 0,
    rejects bigint NOT NULL DEFAULT 0,
    invoices bigint NOT NULL DEFAULT 0,
    documents bigint NOT NULL DEFAULT 0,
    dead_letters bigint NOT NULL DEFAULT 0,
    create_time timestamptz NOT NULL DEFAULT now(),
    complete_time timestamptz
);

CREATE INDEX debt_erasures_running ON debt_erasures (id) WHERE state = 'RUNNING';

-- migrate: rollback

DROP TABLE debt_erasures;
