-- Announced debt files may come in parts, which are kept here until they are processed.
-- depends: ingestion_0905_checkpoints ingestion_0905_debt_history

-- migrate: apply

ALTER TABLE debt_uploads
    -- The stream that may append: a later one takes over from an earlier one.
    ADD COLUMN writer uuid,
    -- The process that works on a WHOLE upload, until when, and how often one has begun to.
    ADD COLUMN worker uuid,
    ADD COLUMN lease_until timestamptz,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0;

CREATE INDEX debt_uploads_whole ON debt_uploads (end_time) WHERE state = 'WHOLE';

-- Parts at or behind debt_uploads.received are not kept yet: their checksum is to come, or never came.
CREATE TABLE debt_upload_parts (
    upload uuid NOT NULL,
    start bigint NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (upload, start)
);

-- Files are read once and in order, and are often packed already.
ALTER TABLE debt_upload_parts ALTER COLUMN content SET STORAGE EXTERNAL;

-- migrate: rollback

DROP TABLE debt_upload_parts;

DROP INDEX debt_uploads_whole;

ALTER TABLE debt_uploads DROP COLUMN writer, DROP COLUMN worker, DROP COLUMN lease_until, DROP COLUMN attempts;
