-- Rejects refer to their file without a foreign key, whose check costs as much as a row.
-- depends: ingestion_0901_debt_dialects

-- migrate: apply

-- contract: no code deletes a file and counts on it.
ALTER TABLE debt_rejects DROP CONSTRAINT debt_rejects_debt_file_fkey;

-- migrate: rollback

ALTER TABLE debt_rejects ADD CONSTRAINT debt_rejects_debt_file_fkey
    FOREIGN KEY (debt_file) REFERENCES debt_files ON DELETE CASCADE;
