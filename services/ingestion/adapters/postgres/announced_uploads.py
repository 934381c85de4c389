"""Announced debt files in PostgreSQL (the port `UploadStore`)."""

from datetime import timedelta
from typing import Final

import asyncpg

from services.chassis.ids import new_id
from services.chassis.postgres import Connection, Database
from services.ingestion.adapters.announcement_json import read, written
from services.ingestion.adapters.postgres.debt_rows import file_uuid
from services.ingestion.application.debts.announced_ports import OpenLimits
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadState, UploadWay
from services.ingestion.domain.debts.errors import TooManyUploads
from services.ingestion.domain.debts.upload_errors import StorageFull, UploadEnded, UploadExpired
from services.ingestion.domain.errors import ResourceNotFound

UPLOAD_COLUMNS: Final = """id, by, way, state, said, received, error, create_time, expire_time, object_key,
    object_etag, object_modified"""
_KIND: Final = "debt upload"
_NO_FILE: Final = "NOT EXISTS (SELECT FROM debt_files f WHERE f.id = u.id)"
_NOT_IN_TIME: Final = "the bytes did not come in time"
_ONE_COUNTS: Final = "SELECT pg_advisory_xact_lock(hashtextextended('tocsin:ingestion:open uploads', 0))"
_TAKEN_WITHIN: Final = timedelta(minutes=1)
_REMEMBERED: Final = timedelta(days=7)


class PostgresUploads:
    """See the port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, by: str, way: UploadWay, said: Announcement, life: timedelta, limits: OpenLimits
    ) -> AnnouncedUpload:
        """Raises TooManyUploads and StorageFull."""
        async with self._database.transaction() as connection:
            await _check_open(connection, by, way, said.size, limits)
            row = await connection.fetchrow(
                f"""
                INSERT INTO debt_uploads (id, by, way, said, size, expire_time)
                VALUES ($1, $2, $3, $4, $5, now() + $6) RETURNING {UPLOAD_COLUMNS}
                """,
                new_id(),
                by,
                way.value,
                written(said),
                said.size,
                life,
            )
        assert row is not None
        return upload_of(row)

    async def get(self, upload_id: str) -> AnnouncedUpload:
        """Raises ResourceNotFound."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {UPLOAD_COLUMNS} FROM debt_uploads WHERE id = $1", file_uuid(upload_id)
            )
        if row is None:
            raise ResourceNotFound(_KIND, upload_id)
        return upload_of(row)

    async def take(self, upload_id: str) -> AnnouncedUpload:
        """Raises ResourceNotFound, UploadExpired, UploadEnded."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"""
                UPDATE debt_uploads SET state = 'ENDED', end_time = now()
                WHERE id = $1 AND state = 'OPEN' AND expire_time > now() RETURNING {UPLOAD_COLUMNS}
                """,
                file_uuid(upload_id),
            )
        if row is None:
            raise refusal(await self.get(upload_id))
        return upload_of(row)

    async def give_back(self, upload_id: str) -> None:
        """See the port."""
        async with self._database.connection() as connection:
            await connection.execute(
                f"""
                UPDATE debt_uploads u SET state = 'OPEN', end_time = NULL
                WHERE id = $1 AND state = 'ENDED' AND {_NO_FILE}
                """,
                file_uuid(upload_id),
            )

    async def fail(self, upload_id: str, error: str) -> None:
        """See the port."""
        async with self._database.connection() as connection:
            await connection.execute(
                f"UPDATE debt_uploads u SET state = 'FAILED', error = $2 WHERE id = $1 AND {_NO_FILE}",
                file_uuid(upload_id),
                error,
            )

    async def cancel(self, upload_id: str, error: str) -> AnnouncedUpload:
        """Raises ResourceNotFound and UploadEnded."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"""
                UPDATE debt_uploads SET state = 'CANCELLED', error = $2, end_time = now()
                WHERE id = $1
                  AND (state = 'OPEN' OR state = 'WHOLE' AND coalesce(lease_until, '-infinity') < now())
                RETURNING {UPLOAD_COLUMNS}
                """,
                file_uuid(upload_id),
                error,
            )
            await remove_parts(connection, upload_id)
        found = upload_of(row) if row else await self.get(upload_id)
        if found.state is not UploadState.CANCELLED:
            raise UploadEnded(found.id, found.state.value)
        return found

    async def sweep(self) -> int:
        """See the port."""
        async with self._database.transaction() as connection:
            expired = await connection.fetch(
                """
                UPDATE debt_uploads SET state = 'EXPIRED', error = $1, end_time = now()
                WHERE state = 'OPEN' AND expire_time <= now() RETURNING id
                """,
                _NOT_IN_TIME,
            )
            await connection.execute(
                f"""
                UPDATE debt_uploads u SET state = 'OPEN', end_time = NULL
                WHERE state = 'ENDED' AND way = 'SIGNED_URL' AND end_time < now() - $1::interval AND {_NO_FILE}
                """,
                _TAKEN_WITHIN,
            )
            await remove_parts(connection)
            await connection.execute(
                "DELETE FROM debt_uploads WHERE end_time < now() - $1::interval AND state <> 'WHOLE'", _REMEMBERED
            )
        return len(expired)


async def remove_parts(connection: Connection, upload_id: str = "") -> None:
    """Removes what came of uploads that are over, or of this one if it is."""
    await connection.execute(
        """
        DELETE FROM debt_upload_parts p USING debt_uploads u
        WHERE p.upload = u.id AND u.state NOT IN ('OPEN', 'WHOLE') AND ($1::uuid IS NULL OR u.id = $1)
        """,
        file_uuid(upload_id),
    )


async def _check_open(connection: Connection, by: str, way: UploadWay, size: int, limits: OpenLimits) -> None:
    await connection.execute(_ONE_COUNTS)
    row = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE by = $1) AS of_caller, count(*) AS of_all
        FROM debt_uploads WHERE state = 'OPEN' AND expire_time > now()
        """,
        by,
    )
    assert row is not None
    if row["of_caller"] >= limits.of_caller:
        raise TooManyUploads(limits.of_caller, awaited=True)
    if row["of_all"] >= limits.of_all:
        raise TooManyUploads(limits.of_all, awaited=True)
    stored = await connection.fetchval(
        "SELECT sum(size) FROM debt_uploads WHERE state IN ('OPEN', 'WHOLE') AND way = 'RESUMABLE'"
    )
    if way is UploadWay.RESUMABLE and (stored or 0) + size > limits.stored:
        raise StorageFull(limits.stored)


def refusal(upload: AnnouncedUpload) -> UploadExpired | UploadEnded:
    """Why nothing is taken for it."""
    if upload.state in {UploadState.OPEN, UploadState.EXPIRED}:
        return UploadExpired(upload.id)
    return UploadEnded(upload.id, upload.state.value)


def upload_of(row: asyncpg.Record) -> AnnouncedUpload:
    """Of a row with UPLOAD_COLUMNS."""
    return AnnouncedUpload(
        id=str(row["id"]),
        by=row["by"],
        way=UploadWay(row["way"]),
        said=read(row["said"]),
        state=UploadState(row["state"]),
        received=row["received"],
        error=row["error"],
        create_time=row["create_time"],
        expire_time=row["expire_time"],
        object_key=row["object_key"],
        object_etag=row["object_etag"],
        object_modified=row["object_modified"],
    )
