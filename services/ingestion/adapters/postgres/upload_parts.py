"""The content of announced debt files that come in parts, in PostgreSQL (the port `UploadPartStore`)."""

from collections.abc import AsyncGenerator
from datetime import timedelta

from services.chassis.ids import new_id
from services.chassis.postgres import Database
from services.ingestion.adapters.postgres.announced_uploads import (
    UPLOAD_COLUMNS,
    PostgresUploads,
    refusal,
    remove_parts,
    upload_of,
)
from services.ingestion.adapters.postgres.debt_rows import file_uuid
from services.ingestion.application.debts.announced_ports import Claim
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, UploadState
from services.ingestion.domain.debts.upload_errors import UploadOffset

_KEPT = f"""
    UPDATE debt_uploads SET received = $3, state = CASE WHEN $3 = size THEN 'WHOLE' ELSE state END,
           end_time = CASE WHEN $3 = size THEN now() END
    WHERE id = $1 AND writer = $2 AND state = 'OPEN' RETURNING {UPLOAD_COLUMNS}
"""
_MINE = "id = $1 AND worker = $2 AND state = 'WHOLE'"


class PostgresUploadParts:
    """See the port."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uploads = PostgresUploads(database)

    async def attach(self, upload_id: str, offset: int) -> str:
        """Raises ResourceNotFound, UploadExpired, UploadEnded, UploadOffset."""
        writer = new_id()
        async with self._database.transaction() as connection:
            mine = await connection.fetchval(
                """
                UPDATE debt_uploads SET writer = $2
                WHERE id = $1 AND state = 'OPEN' AND expire_time > now() AND received = $3 RETURNING true
                """,
                file_uuid(upload_id),
                writer,
                offset,
            )
            if mine:
                await connection.execute(
                    "DELETE FROM debt_upload_parts WHERE upload = $1 AND start >= $2", file_uuid(upload_id), offset
                )
                return writer
        found = await self._uploads.get(upload_id)
        if found.state is UploadState.OPEN and found.received != offset:
            raise UploadOffset(found.id, found.received)
        raise refusal(found)

    async def append(self, upload_id: str, writer: str, start: int, part: bytes, *, keep: bool) -> None:
        """Raises UploadOffset."""
        async with self._database.transaction() as connection:
            if keep:
                mine = await connection.fetchval(_KEPT, file_uuid(upload_id), writer, start + len(part))
            else:
                mine = await connection.fetchval(
                    "SELECT true FROM debt_uploads WHERE id = $1 AND writer = $2 AND state = 'OPEN' FOR SHARE",
                    file_uuid(upload_id),
                    writer,
                )
            if mine:
                await connection.execute(
                    "INSERT INTO debt_upload_parts (upload, start, content) VALUES ($1, $2, $3)",
                    file_uuid(upload_id),
                    start,
                    part,
                )
        if not mine:
            raise UploadOffset(upload_id, (await self._uploads.get(upload_id)).received)

    async def keep(self, upload_id: str, writer: str, received: int) -> AnnouncedUpload:
        """Raises UploadOffset."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_KEPT, file_uuid(upload_id), writer, received)
        found = upload_of(row) if row else await self._uploads.get(upload_id)
        if found.received != received:
            raise UploadOffset(found.id, found.received)
        return found

    async def content(self, upload: AnnouncedUpload) -> AsyncGenerator[bytes]:
        """One part is in memory at a time."""
        start = 0
        while True:
            async with self._database.connection() as connection:
                part = await connection.fetchval(
                    """
                    SELECT content FROM debt_upload_parts p JOIN debt_uploads u ON u.id = p.upload
                    WHERE upload = $1 AND start = $2 AND start < received
                    """,
                    upload.id,
                    start,
                )
            if part is None:
                return
            yield part
            start += len(part)

    async def claim(self, worker: str, lease: timedelta) -> Claim | None:
        """See the port."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"""
                UPDATE debt_uploads SET worker = $1, lease_until = now() + $2, attempts = attempts + 1
                WHERE id = (
                    SELECT id FROM debt_uploads
                    WHERE state = 'WHOLE' AND coalesce(lease_until, '-infinity') < now()
                    ORDER BY end_time FOR UPDATE SKIP LOCKED LIMIT 1
                )
                RETURNING {UPLOAD_COLUMNS}, attempts
                """,
                worker,
                lease,
            )
        return Claim(upload_of(row), worker, row["attempts"]) if row else None

    async def renew(self, claim: Claim, lease: timedelta) -> bool:
        """See the port."""
        async with self._database.connection() as connection:
            mine = await connection.fetchval(
                f"UPDATE debt_uploads SET lease_until = now() + $3 WHERE {_MINE} RETURNING true",
                claim.upload.id,
                claim.worker,
                lease,
            )
        return bool(mine)

    async def release(self, claim: Claim, after: timedelta, *, counted: bool) -> None:
        """See the port."""
        async with self._database.connection() as connection:
            await connection.execute(
                f"""
                UPDATE debt_uploads SET worker = NULL, lease_until = now() + $3, attempts = attempts - $4::integer
                WHERE {_MINE}
                """,
                claim.upload.id,
                claim.worker,
                after,
                0 if counted else 1,
            )

    async def end(self, claim: Claim) -> None:
        """See the port."""
        async with self._database.transaction() as connection:
            await connection.execute(
                f"UPDATE debt_uploads SET state = 'ENDED', end_time = now() WHERE {_MINE}",
                claim.upload.id,
                claim.worker,
            )
            await remove_parts(connection, claim.upload.id)
