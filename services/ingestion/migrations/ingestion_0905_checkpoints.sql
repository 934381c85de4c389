-- How far a debt file is registered, and whether another process may go on with it.
-- depends: ingestion_0904_announced_uploads

-- migrate: apply

ALTER TABLE debt_files
    ADD COLUMN resumable boolean NOT NULL DEFAULT false,
    -- Where the last registered block ends: bytes behind the header, the line that follows, and whether it is passed over.
    ADD COLUMN end_offset bigint NOT NULL DEFAULT 0,
    ADD COLUMN end_line bigint NOT NULL DEFAULT 0,
    ADD COLUMN end_skipping boolean NOT NULL DEFAULT false;

-- migrate: rollback

ALTER TABLE debt_files
    DROP COLUMN resumable,
    DROP COLUMN end_offset,
    DROP COLUMN end_line,
    DROP COLUMN end_skipping;
