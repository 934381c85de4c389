-- A debt file can be stopped and rolled back; a debt has a status, and those of a file are listed by line.
-- depends: ingestion_0902_rejects_alone

-- migrate: apply

-- contract: the check admits three more states, and takes none.
ALTER TABLE debt_files
    ADD COLUMN rolled_back bigint NOT NULL DEFAULT 0,
    ADD COLUMN kept bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT debt_files_state_check,
    ADD CONSTRAINT debt_files_state_check CHECK (state IN (
        'RECEIVING', 'PROCESSING', 'COMPLETED', 'COMPLETED_WITH_REJECTS', 'FAILED', 'CANCELLED', 'ROLLED_BACK',
        'ROLLING_BACK'
    ));

-- 1: REGISTERED, as in the contract's enum.
ALTER TABLE debts
    ADD COLUMN status smallint NOT NULL DEFAULT 1 CHECK (status BETWEEN 1 AND 6),
    ADD COLUMN version integer NOT NULL DEFAULT 1;

-- What was processed before the last rollback is no answer to the same content.
CREATE INDEX debt_files_rolled_back ON debt_files (complete_time) WHERE state = 'ROLLED_BACK';

-- Rows come in this order, so that it costs little to keep.
CREATE INDEX debts_by_line ON debts (debt_file, line);

-- migrate: rollback

DROP INDEX debts_by_line;

DROP INDEX debt_files_rolled_back;

ALTER TABLE debts DROP COLUMN status, DROP COLUMN version;

UPDATE debt_files SET state = 'FAILED' WHERE state IN ('CANCELLED', 'ROLLED_BACK', 'ROLLING_BACK');

ALTER TABLE debt_files
    DROP COLUMN rolled_back,
    DROP COLUMN kept,
    DROP CONSTRAINT debt_files_state_check,
    ADD CONSTRAINT debt_files_state_check CHECK (state IN (
        'RECEIVING', 'PROCESSING', 'COMPLETED', 'COMPLETED_WITH_REJECTS', 'FAILED'
    ));
