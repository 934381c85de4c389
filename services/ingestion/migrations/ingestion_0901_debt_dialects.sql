-- How a debt file is written, the currency and language of debts, every broken rule of a reject, and profiles of files.
-- depends: ingestion_0802_rounding

-- migrate: apply

-- As many places as the currency has.
-- contract: numeric without a bound takes what numeric(18, 2) took, and no row is written anew.
ALTER TABLE debts ALTER COLUMN amount TYPE numeric;

ALTER TABLE debts ADD COLUMN currency text NOT NULL DEFAULT '', ADD COLUMN language text NOT NULL DEFAULT '';

ALTER TABLE debt_files
    -- What was declared of how the file is to be read: only files read alike repeat each other.
    ADD COLUMN dialect text NOT NULL DEFAULT '',
    ADD COLUMN header text NOT NULL DEFAULT '',
    ADD COLUMN delimiter text NOT NULL DEFAULT '',
    ADD COLUMN line_end text NOT NULL DEFAULT '';

DROP INDEX debt_files_processing;

CREATE UNIQUE INDEX debt_files_processing ON debt_files (sha256, dialect) WHERE state = 'PROCESSING' AND NOT dry_run;

DROP INDEX debt_files_content;

CREATE INDEX debt_files_content ON debt_files (sha256, dialect)
    WHERE state IN ('COMPLETED', 'COMPLETED_WITH_REJECTS') AND NOT dry_run AND identical_to IS NULL;

-- The rules that a row breaks beside the first one: [[reason, column, message], ...], or nothing.
ALTER TABLE debt_rejects ADD COLUMN others text NOT NULL DEFAULT '';

CREATE TABLE debt_profiles (
    id text PRIMARY KEY,
    declared text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);

-- migrate: rollback

DROP TABLE debt_profiles;

ALTER TABLE debt_rejects DROP COLUMN others;

DROP INDEX debt_files_content;

CREATE INDEX debt_files_content ON debt_files (sha256)
    WHERE state IN ('COMPLETED', 'COMPLETED_WITH_REJECTS') AND NOT dry_run AND identical_to IS NULL;

DROP INDEX debt_files_processing;

CREATE UNIQUE INDEX debt_files_processing ON debt_files (sha256) WHERE state = 'PROCESSING' AND NOT dry_run;

ALTER TABLE debt_files DROP COLUMN dialect, DROP COLUMN header, DROP COLUMN delimiter, DROP COLUMN line_end;

ALTER TABLE debts DROP COLUMN currency, DROP COLUMN language;

ALTER TABLE debts ALTER COLUMN amount TYPE numeric(18, 2);
