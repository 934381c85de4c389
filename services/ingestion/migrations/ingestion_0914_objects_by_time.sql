-- The same file may be put under the same key again: it is another object by its time, and taken again.
-- depends: ingestion_0913_alert_retention

-- migrate: apply

-- NULL for those of old, which are any object of that key and ETag.
ALTER TABLE debt_uploads ADD COLUMN object_modified timestamptz;

CREATE UNIQUE INDEX debt_uploads_object_of_time ON debt_uploads (object_key, object_etag, object_modified)
WHERE object_etag <> '';

DROP INDEX debt_uploads_object;

-- migrate: rollback

-- Of objects that differ by their time alone the first upload keeps the name.
UPDATE debt_uploads u SET object_key = '', object_etag = '', object_removed = true
WHERE object_etag <> '' AND EXISTS (
    SELECT FROM debt_uploads other
    WHERE (other.object_key, other.object_etag) = (u.object_key, u.object_etag)
      AND (other.create_time, other.id) < (u.create_time, u.id)
);

CREATE UNIQUE INDEX debt_uploads_object ON debt_uploads (object_key, object_etag) WHERE object_etag <> '';

DROP INDEX debt_uploads_object_of_time;

ALTER TABLE debt_uploads DROP COLUMN object_modified;
