-- The content of announced debt files may be objects of a bucket, where files also come that nobody announced.
-- depends: ingestion_0908_issuers

-- migrate: apply

ALTER TABLE debt_uploads
    ADD COLUMN object_key text NOT NULL DEFAULT '',
    ADD COLUMN object_etag text NOT NULL DEFAULT '',
    ADD COLUMN object_removed boolean NOT NULL DEFAULT false;

-- An object is the content of one upload.
CREATE UNIQUE INDEX debt_uploads_object ON debt_uploads (object_key, object_etag) WHERE object_etag <> '';

-- migrate: rollback

DROP INDEX debt_uploads_object;

ALTER TABLE debt_uploads DROP COLUMN object_key, DROP COLUMN object_etag, DROP COLUMN object_removed;
