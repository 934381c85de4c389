-- Debt files, what they registered and what they did not.
-- depends: chassis_0001_inbox_outbox

-- migrate: apply

CREATE TABLE debt_files (
    id uuid PRIMARY KEY,
    filename text NOT NULL,
    dry_run boolean NOT NULL,
    state text NOT NULL DEFAULT 'RECEIVING'
        CHECK (state IN ('RECEIVING', 'PROCESSING', 'COMPLETED', 'COMPLETED_WITH_REJECTS', 'FAILED')),
    bytes bigint NOT NULL DEFAULT 0,
    accepted bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    sha256 text NOT NULL DEFAULT '',
    error text NOT NULL DEFAULT '',
    identical_to uuid,
    -- Blocks of rows whose effects are committed. A block counts once, also when its commit is asked for twice.
    blocks bigint NOT NULL DEFAULT 0,
    -- The run of an upload that may write; it must renew its lease, or the file is declared failed.
    owner uuid NOT NULL,
    lease_until timestamptz NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    complete_time timestamptz
);

-- One file of the same content is processed at a time.
CREATE UNIQUE INDEX debt_files_processing ON debt_files (sha256) WHERE state = 'PROCESSING' AND NOT dry_run;

CREATE INDEX debt_files_content ON debt_files (sha256)
    WHERE state IN ('COMPLETED', 'COMPLETED_WITH_REJECTS') AND NOT dry_run AND identical_to IS NULL;

CREATE INDEX debt_files_open ON debt_files (lease_until) WHERE state IN ('RECEIVING', 'PROCESSING');

-- Filled by binary COPY: fixed columns first. No foreign key to the file, whose check would cost as much as a row.
CREATE TABLE debts (
    amount numeric(18, 2) NOT NULL,
    due_date date NOT NULL,
    line bigint NOT NULL,
    debt_file uuid NOT NULL,
    name text NOT NULL,
    government_id text NOT NULL,
    email text NOT NULL,
    -- Blocks are sorted by the bytes of the id; "C" is that order, and the fastest to compare.
    id text COLLATE "C" PRIMARY KEY,
    create_time timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE debt_rejects (
    debt_file uuid NOT NULL REFERENCES debt_files ON DELETE CASCADE,
    line bigint NOT NULL,
    reason text NOT NULL,
    "column" text NOT NULL,
    message text NOT NULL,
    raw text NOT NULL,
    PRIMARY KEY (debt_file, line)
);

-- Events of debts are tens of kilobytes and live for a second: compressing them costs more than it saves.
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;

-- migrate: rollback

ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTENDED;

DROP TABLE debt_rejects;

DROP TABLE debts;

DROP TABLE debt_files;
