"""Debt files in PostgreSQL (the port `DebtFileStore`)."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import astuple
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from services.chassis.errors import DomainError
from services.chassis.nats import Event
from services.chassis.nats.topology import DEBT_FILE_COMPLETED_SUBJECT
from services.chassis.postgres import Connection, Database, Outbox
from services.chassis.postgres.conditions import Conditions
from services.ingestion.adapters.postgres.debt_checker import DebtChecker, clear_check, seen_table
from services.ingestion.adapters.postgres.debt_rows import file_uuid, reject_of
from services.ingestion.adapters.postgres.debt_writers import DebtWriter
from services.ingestion.application.debts.ports import ABANDONED, Progress, RowWriter, Run, TextForm
from services.ingestion.domain.debts.debt_file import (
    Counts,
    DebtFile,
    FileFilter,
    FileState,
    Reject,
)
from services.ingestion.domain.debts.errors import DebtFileState, LeaseLost, UploadBroken, UploadInProgress
from services.ingestion.domain.debts.parser import Checkpoint
from services.ingestion.domain.errors import ResourceExists, ResourceNotFound
from tocsin.events.v1.debts_pb2 import DebtFileCompleted

_COLUMNS: Final = """id, filename, dry_run, state, bytes, accepted, duplicates, rejected, sha256, error, identical_to,
    create_time, complete_time, rolled_back, kept, rejects_removed, issuer"""
_MINE: Final = "id = $1 AND owner = $2 AND state IN ('RECEIVING', 'PROCESSING')"


class _Taken(DomainError):
    """Another file with this content is being processed."""


class PostgresDebtFiles:
    """`event_debts`: debts in one event."""

    def __init__(self, database: Database, outbox: Outbox, *, event_debts: int) -> None:
        self._database, self._outbox = database, outbox
        self._event_debts = event_debts

    async def open(self, run: Run, filename: str, *, resumable: bool = False) -> None:
        """Raises ResourceExists."""
        async with self._database.connection() as connection:
            made = await connection.fetchval(
                """
                INSERT INTO debt_files AS f (id, filename, dry_run, owner, lease_until, dialect, resumable, issuer)
                VALUES ($1, $2, $3, $4, now() + $5, $6, $7, $8)
                ON CONFLICT (id) DO UPDATE
                SET state = 'RECEIVING', owner = excluded.owner, lease_until = excluded.lease_until
                WHERE f.state IN ('RECEIVING', 'PROCESSING') AND f.lease_until < now() AND f.resumable
                  AND excluded.resumable AND (f.dry_run, f.dialect) = (excluded.dry_run, excluded.dialect)
                RETURNING true
                """,
                run.file_id,
                filename,
                run.dry_run,
                run.owner,
                run.lease,
                run.dialect,
                resumable,
                run.issuer,
            )
        if not made:
            raise ResourceExists("debt file", run.file_id)

    async def renew(self, run: Run, received: int) -> None:
        """Raises LeaseLost."""
        async with self._database.connection() as connection:
            mine = await connection.fetchval(
                f"UPDATE debt_files SET bytes = $3, lease_until = now() + $4 WHERE {_MINE} RETURNING true",
                run.file_id,
                run.owner,
                received,
                run.lease,
            )
        if not mine:
            raise LeaseLost(run.file_id)

    async def begin(
        self, run: Run, received: int, sha256: str, form: TextForm, *, resumable: bool = False
    ) -> DebtFile | None:
        """See the port. The unique index on the content of files being processed decides between two at once."""
        await self._fail_abandoned("sha256 = $2 AND dialect = $3 AND id <> $4", sha256, run.dialect, UUID(run.file_id))
        try:
            async with self._database.transaction({"debt_files_processing": _Taken}) as connection:
                mine = await connection.fetchval(
                    f"""
                    UPDATE debt_files SET state = 'PROCESSING', bytes = $3, sha256 = $4, lease_until = now() + $5,
                           header = $6, delimiter = $7, line_end = $8, resumable = resumable OR $9
                    WHERE {_MINE} AND (blocks = 0 OR sha256 = $4) RETURNING true
                    """,
                    run.file_id,
                    run.owner,
                    received,
                    sha256,
                    run.lease,
                    *astuple(form),
                    resumable,
                )
                if not mine:
                    raise await _not_begun(connection, run)
                return None if run.dry_run else await self._repeat(connection, run, sha256)
        except _Taken:
            async with self._database.connection() as connection:
                other = await connection.fetchval(
                    """
                    SELECT id FROM debt_files
                    WHERE sha256 = $1 AND dialect = $2 AND state = 'PROCESSING' AND NOT dry_run
                    """,
                    sha256,
                    run.dialect,
                )
            raise UploadInProgress(str(other or "")) from None

    async def _repeat(self, connection: Connection, run: Run, sha256: str) -> DebtFile | None:
        row = await connection.fetchrow(
            f"""
            UPDATE debt_files f SET state = e.state, identical_to = e.id, accepted = e.accepted,
                   duplicates = e.duplicates, rejected = e.rejected, complete_time = now()
            FROM (
                SELECT id, state, accepted, duplicates, rejected FROM debt_files
                WHERE sha256 = $2 AND dialect = $3 AND state IN ('COMPLETED', 'COMPLETED_WITH_REJECTS') AND NOT dry_run
                  AND identical_to IS NULL AND complete_time > coalesce(
                      (SELECT max(complete_time) FROM debt_files WHERE state = 'ROLLED_BACK'), '-infinity'
                  )
                ORDER BY create_time LIMIT 1
            ) e
            WHERE f.id = $1 RETURNING {", ".join(f"f.{name.strip()}" for name in _COLUMNS.split(","))}
            """,
            run.file_id,
            sha256,
            run.dialect,
        )
        return _file(row) if row else None

    @asynccontextmanager
    async def checking(self, run: Run) -> AsyncGenerator[RowWriter]:
        """Holds one connection for the block."""
        async with self._database.connection() as connection, seen_table(connection):
            await clear_check(connection, run)
            yield DebtChecker(connection, run)

    @asynccontextmanager
    async def registering(self, run: Run, begun: Progress | None = None) -> AsyncGenerator[RowWriter]:
        """Takes a connection for each block of rows."""
        yield DebtWriter(self._database, self._outbox, run, self._event_debts, begun.blocks if begun else 0)

    async def take_over(self, run: Run) -> bool:
        """See the port."""
        async with self._database.connection() as connection:
            taken = await connection.fetchval(
                """
                UPDATE debt_files SET owner = $2, lease_until = now() + $3
                WHERE id = $1 AND state = 'PROCESSING' RETURNING true
                """,
                run.file_id,
                run.owner,
                run.lease,
            )
        return bool(taken)

    async def release(self, run: Run) -> None:
        """See the port."""
        async with self._database.connection() as connection:
            await connection.execute(f"UPDATE debt_files SET lease_until = now() WHERE {_MINE}", run.file_id, run.owner)

    async def progress(self, run: Run) -> Progress:
        """See the port."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                """
                SELECT blocks, accepted, duplicates, rejected, end_offset, end_line, end_skipping
                FROM debt_files WHERE id = $1
                """,
                run.file_id,
            )
        assert row is not None
        blocks, accepted, duplicates, rejected, *end = row.values()
        return Progress(blocks, Counts(accepted, duplicates, rejected), Checkpoint(*end))

    async def finish(self, run: Run) -> DebtFile:
        """Raises LeaseLost."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"""
                UPDATE debt_files SET complete_time = now(),
                       state = CASE WHEN rejected > 0 THEN 'COMPLETED_WITH_REJECTS' ELSE 'COMPLETED' END
                WHERE {_MINE} RETURNING {_COLUMNS}
                """,
                run.file_id,
                run.owner,
            )
            if row is None:
                raise LeaseLost(run.file_id)
            return await self._ended(connection, row)

    async def fail(self, run: Run, error: str, received: int = 0, rejected: int = 0) -> None:
        """Nothing happens when the file has ended already."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"""
                UPDATE debt_files SET state = 'FAILED', error = $3, bytes = greatest(bytes, $4),
                       rejected = greatest(rejected, $5), complete_time = now()
                WHERE {_MINE} RETURNING {_COLUMNS}
                """,
                run.file_id,
                run.owner,
                error,
                received,
                rejected,
            )
            if row is not None:
                await self._ended(connection, row)

    async def fail_abandoned(self, resumable_after: timedelta) -> int:
        """See the port."""
        return await self._fail_abandoned("(NOT resumable OR lease_until < now() - $2::interval)", resumable_after)

    async def _fail_abandoned(self, which: str, *arguments: object) -> int:
        """A file whose row is locked at this moment is being written to, and left alone."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                f"""
                UPDATE debt_files SET state = 'FAILED', error = $1, complete_time = now()
                WHERE id IN (
                    SELECT id FROM debt_files
                    WHERE state IN ('RECEIVING', 'PROCESSING') AND lease_until < now() AND {which}
                    FOR UPDATE SKIP LOCKED
                )
                RETURNING {_COLUMNS}
                """,
                ABANDONED,
                *arguments,
            )
            for row in rows:
                await self._ended(connection, row)
        return len(rows)

    async def _ended(self, connection: Connection, row: asyncpg.Record, how: str = "") -> DebtFile:
        file = _file(row)
        if not file.dry_run:
            completed = DebtFileCompleted(
                debt_file=file.id,
                state=file.state.value,
                rows=file.counts.rows,
                accepted=file.counts.accepted,
                duplicates=file.counts.duplicates,
                rejected=file.counts.rejected,
                complete_time=file.complete_time,
            )
            event = Event(DEBT_FILE_COMPLETED_SUBJECT, completed, id=f"debt-file-{file.id}{how and '-'}{how}")
            await self._outbox.add(connection, event)
        return file

    async def get(self, file_id: str) -> DebtFile:
        """Raises ResourceNotFound."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM debt_files WHERE id = $1", file_uuid(file_id))
        if row is None:
            raise ResourceNotFound("debt file", file_id)
        return _file(row)

    async def cancel(self, file_id: str, error: str) -> DebtFile:
        """Whoever writes a block at this moment ends it first."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"""
                UPDATE debt_files SET state = 'CANCELLED', error = $2, complete_time = now()
                WHERE id = $1 AND state IN ('RECEIVING', 'PROCESSING') RETURNING {_COLUMNS}
                """,
                file_uuid(file_id),
                error,
            )
            if row is not None:
                return await self._ended(connection, row)
        file = await self.get(file_id)
        if file.state is not FileState.CANCELLED:
            raise DebtFileState("the file cannot be cancelled", file.id, file.state.value)
        return file

    async def rolling_back(self, file_id: str) -> None:
        """See the port."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE debt_files SET state = 'ROLLING_BACK' WHERE id = $1 AND state <> ALL ($2::text[])",
                file_uuid(file_id),
                ["RECEIVING", "PROCESSING", "ROLLED_BACK"],
            )

    async def rolled_back(self, file_id: str) -> DebtFile:
        """See the port."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"""
                UPDATE debt_files SET state = 'ROLLED_BACK', complete_time = now(),
                       kept = (SELECT count(*) FROM debts WHERE debt_file = $1)
                WHERE id = $1 AND state <> 'ROLLED_BACK' RETURNING {_COLUMNS}
                """,
                file_uuid(file_id),
            )
            if row is not None:
                return await self._ended(connection, row, "rolled-back")
        return await self.get(file_id)

    async def newest(self, wanted: FileFilter, before: str | None, offset: int, limit: int) -> list[DebtFile]:
        """Ids are ordered by time."""
        conditions = _conditions(wanted, offset, limit)
        if before:
            conditions.add("id < {}", file_uuid(before))
        statement = f"SELECT {_COLUMNS} FROM debt_files /*where*/ ORDER BY id DESC OFFSET $1 LIMIT $2"
        async with self._database.connection() as connection:
            rows = await connection.fetch(conditions.into(statement), *conditions.arguments)
        return [_file(row) for row in rows]

    async def count(self, wanted: FileFilter) -> int:
        """See the port."""
        conditions = _conditions(wanted)
        async with self._database.connection() as connection:
            statement = conditions.into("SELECT count(*) FROM debt_files /*where*/")
            return await connection.fetchval(statement, *conditions.arguments)

    async def rejects(self, file_id: str, after_line: int, limit: int) -> list[Reject]:
        """Raises ResourceNotFound."""
        file = await self.get(file_id)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT line, reason, "column", message, raw, others FROM debt_rejects
                WHERE debt_file = $1 AND line > $2 ORDER BY line LIMIT $3
                """,
                file.identical_to or file.id,
                after_line,
                limit,
            )
        return [reject_of(row) for row in rows]

    async def reject_reasons(self, file_id: str) -> list[tuple[str, int]]:
        """Raises ResourceNotFound."""
        file = await self.get(file_id)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT reason, count(*) FROM debt_rejects WHERE debt_file = $1 GROUP BY reason ORDER BY 2 DESC, 1
                """,
                file.identical_to or file.id,
            )
        return [(reason, count) for reason, count in rows]

    async def form(self, file_id: str) -> TextForm:
        """Raises ResourceNotFound."""
        file = await self.get(file_id)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT header, delimiter, line_end FROM debt_files WHERE id = $1", file.identical_to or file.id
            )
        assert row is not None
        return TextForm(*row.values())


async def _not_begun(connection: Connection, run: Run) -> UploadBroken:
    """Why a file cannot be processed by this run."""
    other = await connection.fetchval(f"SELECT true FROM debt_files WHERE {_MINE}", run.file_id, run.owner)
    if not other:
        return LeaseLost(run.file_id)
    message = "its content is not what was registered of it in part; send it as a new file"
    return UploadBroken(message, debt_file=run.file_id)


def _conditions(wanted: FileFilter, *first: object) -> Conditions:
    conditions = Conditions(*first)
    if wanted.states:
        conditions.add("state = ANY({}::text[])", [state.value for state in wanted.states])
    if wanted.since is not None:
        conditions.add("create_time >= {}", wanted.since)
    if wanted.until is not None:
        conditions.add("create_time < {}", wanted.until)
    if wanted.filename:
        conditions.add("position(lower({}) IN lower(filename)) > 0", wanted.filename)
    return conditions


def _file(row: asyncpg.Record) -> DebtFile:
    return DebtFile(
        id=str(row["id"]),
        filename=row["filename"],
        dry_run=row["dry_run"],
        state=FileState(row["state"]),
        bytes=row["bytes"],
        counts=Counts(row["accepted"], row["duplicates"], row["rejected"]),
        sha256=row["sha256"],
        error=row["error"],
        identical_to=str(row["identical_to"] or ""),
        create_time=row["create_time"],
        complete_time=row["complete_time"],
        rolled_back=row["rolled_back"],
        kept=row["kept"],
        rejects_removed=row["rejects_removed"],
        issuer=row["issuer"],
    )
