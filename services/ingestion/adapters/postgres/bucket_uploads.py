"""Uploads whose content is an object, in PostgreSQL (the port `BucketUploadStore`)."""

from collections.abc import Sequence
from datetime import timedelta

from services.chassis.bucket_settings import StoredObject
from services.chassis.postgres import Database
from services.ingestion.adapters.announcement_json import written
from services.ingestion.adapters.postgres.announced_uploads import UPLOAD_COLUMNS, upload_of
from services.ingestion.adapters.postgres.debt_rows import file_uuid
from services.ingestion.application.debts.announced_ports import BUCKET_CALLER
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement


class PostgresBucketUploads:
    """See the port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unknown(self, objects: Sequence[StoredObject]) -> list[StoredObject]:
        """See the port."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT number
                FROM unnest($1::text[], $2::text[], $3::timestamptz[])
                    WITH ORDINALITY AS o (key, etag, modified, number)
                WHERE NOT EXISTS (
                    SELECT FROM debt_uploads u
                    WHERE (u.object_key, u.object_etag) = (o.key, o.etag)
                      AND (u.object_modified = o.modified OR u.object_modified IS NULL)
                )
                ORDER BY number
                """,
                [found.key for found in objects],
                [found.etag for found in objects],
                [found.modified for found in objects],
            )
        return [objects[row["number"] - 1] for row in rows]

    async def arrived(self, upload_id: str, found: StoredObject) -> bool:
        """See the port."""
        async with self._database.connection() as connection:
            return bool(
                await connection.fetchval(
                    """
                    UPDATE debt_uploads SET state = 'WHOLE', received = $2, object_key = $3, object_etag = $4,
                           object_modified = $5, end_time = now()
                    WHERE id = $1 AND way = 'BUCKET'
                      AND (state = 'OPEN' OR state = 'EXPIRED' AND $5 <= expire_time) RETURNING true
                    """,
                    file_uuid(upload_id),
                    found.size,
                    found.key,
                    found.etag,
                    found.modified,
                )
            )

    async def found(self, upload_id: str, said: Announcement, found: StoredObject) -> bool:
        """See the port."""
        async with self._database.connection() as connection:
            return bool(
                await connection.fetchval(
                    """
                    INSERT INTO debt_uploads
                        (id, by, way, state, said, size, received, object_key, object_etag, object_modified,
                         expire_time, end_time)
                    VALUES ($1, $2, 'BUCKET', 'WHOLE', $3, $4, $4, $5, $6, $7, now(), now())
                    ON CONFLICT DO NOTHING RETURNING true
                    """,
                    upload_id,
                    BUCKET_CALLER,
                    written(said),
                    found.size,
                    found.key,
                    found.etag,
                    found.modified,
                )
            )

    async def removable(self, kept: timedelta, limit: int) -> list[AnnouncedUpload]:
        """See the port."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT {UPLOAD_COLUMNS} FROM debt_uploads
                WHERE way = 'BUCKET' AND state NOT IN ('OPEN', 'WHOLE') AND end_time < now() - $1::interval
                  AND object_key <> '' AND NOT object_removed
                ORDER BY end_time LIMIT $2
                """,
                kept,
                limit,
            )
        return [upload_of(row) for row in rows]

    async def removed(self, uploads: Sequence[str]) -> None:
        """See the port."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE debt_uploads SET object_removed = true WHERE id = ANY ($1::uuid[])", uploads
            )
