-- Rejected rows of a file go after their time, and the file says so.
-- depends: ingestion_0906_upload_parts

-- migrate: apply

ALTER TABLE debt_files ADD COLUMN rejects_removed boolean NOT NULL DEFAULT false;

-- migrate: rollback

ALTER TABLE debt_files DROP COLUMN rejects_removed;
