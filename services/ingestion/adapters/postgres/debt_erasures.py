"""Erasures of the personal data of debtors in PostgreSQL (the port `DebtErasureStore`)."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Final

import asyncpg

from services.chassis.ids import new_id
from services.chassis.postgres import Connection, Database
from services.chassis.postgres.conditions import Conditions
from services.ingestion.adapters.postgres.debt_rows import file_uuid
from services.ingestion.adapters.postgres.debt_statuses import changes_of, entry
from services.ingestion.application.debts.ports import RejectKey, RejectPiece
from services.ingestion.domain.debts.debt_status import DebtStatus
from services.ingestion.domain.debts.erasure import (
    ErasedCounts,
    Erasure,
    ErasureKind,
    Wanted,
    erased_history,
    holds,
    trace,
)
from services.ingestion.domain.errors import ResourceNotFound

_COLUMNS: Final = """id, state, asked_by, note, kind, wanted, debts, rejects, invoices, documents, dead_letters,
    create_time, complete_time"""
_BY: Final = {
    ErasureKind.DEBTS: "id = ANY ({}::text[])",
    ErasureKind.GOVERNMENT_ID: "government_id = ANY ({}::text[])",
    ErasureKind.EMAIL: "lower(email) = lower(({}::text[])[1])",
}
_BEHIND: Final = "(debt_file, line) > ($1, $2)"
_SCANNED: Final = 20_000
"""Rejected rows that one statement looks through."""
_FIRST: Final = ("00000000-0000-0000-0000-000000000000", 0)


class PostgresDebtErasures:
    """See the port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, wanted: Wanted, by: str, note: str) -> Erasure:
        """See the port."""
        async with self._database.transaction() as connection:
            signs = set(wanted.values)
            if wanted.kind is ErasureKind.DEBTS:
                found = await connection.fetch(
                    "SELECT government_id, email FROM debts WHERE id = ANY ($1::text[]) AND name <> ''", wanted.values
                )
                signs = {text for row in found for text in row.values()}
            row = await connection.fetchrow(
                f"""
                INSERT INTO debt_erasures (id, asked_by, note, kind, wanted, signs) VALUES ($1, $2, $3, $4, $5, $6)
                RETURNING {_COLUMNS}
                """,
                new_id(),
                by,
                note,
                wanted.kind.value,
                list(wanted.values),
                sorted(signs),
            )
        assert row is not None
        return _erasure(row)

    async def get(self, erasure_id: str) -> Erasure:
        """Raises ResourceNotFound."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {_COLUMNS} FROM debt_erasures WHERE id = $1", file_uuid(erasure_id)
            )
        if row is None:
            raise ResourceNotFound("erasure", erasure_id)
        return _erasure(row)

    async def newest(self, before: str | None, limit: int) -> list[Erasure]:
        """Ids are ordered by time."""
        conditions = Conditions(limit)
        if before:
            conditions.add("id < {}", file_uuid(before))
        statement = conditions.into(f"SELECT {_COLUMNS} FROM debt_erasures /*where*/ ORDER BY id DESC LIMIT $1")
        async with self._database.connection() as connection:
            return [_erasure(row) for row in await connection.fetch(statement, *conditions.arguments)]

    async def running(self, limit: int) -> list[Erasure]:
        """See the port."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM debt_erasures WHERE state = 'RUNNING' ORDER BY id LIMIT $1", limit
            )
        return [_erasure(row) for row in rows]

    async def debts(self, wanted: Wanted, limit: int) -> Mapping[str, str]:
        """See the port."""
        conditions = Conditions(limit)
        conditions.add("name <> ''")
        conditions.add(_BY[wanted.kind], list(wanted.values))
        statement = conditions.into("SELECT id, debt_file FROM debts /*where*/ LIMIT $1")
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *conditions.arguments)
        return {row["id"]: str(row["debt_file"]) for row in rows}

    async def erase_debts(self, erasure: Erasure, debts: Sequence[str]) -> None:
        """See the port."""
        now = datetime.now(UTC)
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                """
                SELECT id, status, history FROM debts WHERE id = ANY ($1::text[]) AND name <> ''
                ORDER BY id FOR UPDATE
                """,
                debts,
            )
            histories = [
                erased_history(DebtStatus(row["status"]), changes_of(row["history"]), erasure.by, now) for row in rows
            ]
            await connection.execute(
                """
                UPDATE debts d SET name = '', government_id = '', email = '', language = '', status = e.status,
                       history = e.history, version = d.version + 1
                FROM unnest($1::text[], $2::smallint[], $3::text[]) AS e (id, status, history) WHERE d.id = e.id
                """,
                [row["id"] for row in rows],
                [changes[-1].status for changes in histories],
                ["".join(map(entry, changes)) for changes in histories],
            )
            await _count(connection, erasure.id, ErasedCounts(debts=len(rows)))

    async def rejects(self, erasure_id: str, after: RejectKey | None) -> RejectPiece:
        """See the port."""
        async with self._database.connection() as connection:
            signs = await connection.fetchval("SELECT signs FROM debt_erasures WHERE id = $1", file_uuid(erasure_id))
            last = await connection.fetchrow(
                f"""
                SELECT debt_file, line FROM debt_rejects WHERE {_BEHIND}
                ORDER BY debt_file, line OFFSET {_SCANNED - 1} LIMIT 1
                """,
                *(after or _FIRST),
            )
            end = "" if last is None else "AND (r.debt_file, r.line) <= ($4, $5)"
            rows = await connection.fetch(
                f"""
                SELECT r.debt_file, r.line, r.raw, f.delimiter
                FROM debt_rejects r LEFT JOIN debt_files f ON f.id = r.debt_file
                WHERE (r.debt_file, r.line) > ($1, $2) {end} AND lower(r.raw) LIKE ANY ($3::text[])
                """,
                *(after or _FIRST),
                [f"%{_escaped(trace(sign))}%" for sign in signs],
                *(last.values() if last else ()),
            )
        folded = frozenset(sign.casefold() for sign in signs)
        found = [
            (str(row["debt_file"]), row["line"]) for row in rows if holds(row["raw"], row["delimiter"] or "", folded)
        ]
        return RejectPiece(found, None if last is None else (str(last["debt_file"]), last["line"]))

    async def erase_rejects(self, erasure_id: str, rejects: Sequence[RejectKey]) -> None:
        """See the port."""
        if not rejects:
            return
        async with self._database.transaction() as connection:
            erased = await connection.fetchval(
                """
                WITH erased AS (
                    UPDATE debt_rejects r SET raw = ''
                    FROM unnest($1::uuid[], $2::bigint[]) AS e (debt_file, line)
                    WHERE r.debt_file = e.debt_file AND r.line = e.line AND r.raw <> '' RETURNING 1
                )
                SELECT count(*) FROM erased
                """,
                [file for file, _ in rejects],
                [line for _, line in rejects],
            )
            await _count(connection, erasure_id, ErasedCounts(rejects=erased))

    async def count(self, erasure_id: str, counts: ErasedCounts) -> None:
        """See the port."""
        async with self._database.connection() as connection:
            await _count(connection, erasure_id, counts)

    async def complete(self, erasure_id: str) -> Erasure:
        """See the port."""
        async with self._database.connection() as connection:
            await connection.execute(
                """
                UPDATE debt_erasures SET state = 'COMPLETED', complete_time = now(), wanted = '{}', signs = '{}'
                WHERE id = $1 AND state = 'RUNNING'
                """,
                file_uuid(erasure_id),
            )
        return await self.get(erasure_id)


async def _count(connection: Connection, erasure_id: str, counts: ErasedCounts) -> None:
    await connection.execute(
        """
        UPDATE debt_erasures SET debts = debts + $2, rejects = rejects + $3, invoices = invoices + $4,
               documents = documents + $5, dead_letters = dead_letters + $6
        WHERE id = $1
        """,
        file_uuid(erasure_id),
        *astuple(counts),
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _erasure(row: asyncpg.Record) -> Erasure:
    kind = ErasureKind(row["kind"])
    return Erasure(
        id=str(row["id"]),
        kind=kind,
        by=row["asked_by"],
        note=row["note"],
        create_time=row["create_time"],
        complete_time=row["complete_time"],
        counts=ErasedCounts(row["debts"], row["rejects"], row["invoices"], row["documents"], row["dead_letters"]),
        wanted=Wanted(kind, tuple(row["wanted"])) if row["state"] == "RUNNING" else None,
    )
