"""Registered debts in PostgreSQL (the port `DebtStore`)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from services.chassis.postgres import Database
from services.chassis.postgres.conditions import Conditions
from services.ingestion.adapters.postgres.debt_rows import DEBT_COLUMNS, debt_of, file_uuid
from services.ingestion.adapters.postgres.debt_statuses import appended, entry
from services.ingestion.domain.debts.debt_file import Debt, DebtFilter
from services.ingestion.domain.debts.debt_status import ROLLBACK, DebtStatus, StatusChange
from services.ingestion.domain.errors import ResourceNotFound

_MAY_GO: Final = f"""
    status NOT IN ({DebtStatus.MAILED}, {DebtStatus.PAID}) AND position('"{ROLLBACK}"' IN history) = 0
"""
"""A rollback leaves the other ones, those among them whose invoice is out although a person has cancelled them."""


class PostgresDebts:
    """See the port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def debt(self, debt_id: str) -> Debt:
        """Raises ResourceNotFound."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {DEBT_COLUMNS} FROM debts WHERE id = $1", debt_id)
        if row is None:
            raise ResourceNotFound("debt", debt_id)
        return debt_of(row)

    async def debts_of_file(self, wanted: DebtFilter, after_line: int, limit: int) -> list[Debt]:
        """By the index of a file's lines."""
        conditions = Conditions(file_uuid(wanted.debt_file), after_line, limit)
        conditions.add("debt_file = $1 AND line > $2")
        return await self._debts(wanted, conditions, "ORDER BY line LIMIT $3")

    async def debts(self, wanted: DebtFilter, after_id: str, limit: int) -> list[Debt]:
        """By the key."""
        conditions = Conditions(after_id, limit)
        conditions.add("id > $1")
        return await self._debts(wanted, conditions, "ORDER BY id LIMIT $2")

    async def _debts(self, wanted: DebtFilter, conditions: Conditions, rest: str) -> list[Debt]:
        _narrow(conditions, wanted)
        statement = conditions.into(f"SELECT {DEBT_COLUMNS} FROM debts /*where*/ {rest}")
        async with self._database.connection() as connection:
            return [debt_of(row) for row in await connection.fetch(statement, *conditions.arguments)]

    async def mailed(self, debts: Sequence[str]) -> None:
        """See the port."""
        async with self._database.connection() as connection:
            await connection.execute(
                f"""
                UPDATE debts d SET
                    status = CASE WHEN status = $3 THEN status ELSE $2 END, version = version + 1,
                    history = {appended("$4")}
                WHERE id = ANY ($1::text[]) AND {_MAY_GO}
                """,
                list(debts),
                DebtStatus.MAILED,
                DebtStatus.CANCELLED,
                entry(StatusChange(DebtStatus.MAILED, datetime.now(UTC), event=ROLLBACK)),
            )

    async def remove_debts(self, file_id: str, limit: int) -> int:
        """By the index of a file's lines, and counted with what it removes."""
        async with self._database.transaction() as connection:
            removed = await connection.fetchval(
                f"""
                WITH chosen AS (
                    SELECT id FROM debts WHERE debt_file = $1 AND {_MAY_GO} ORDER BY line LIMIT $2 FOR UPDATE
                ), gone AS (
                    DELETE FROM debts d USING chosen WHERE d.id = chosen.id RETURNING 1
                )
                SELECT count(*) FROM gone
                """,
                file_uuid(file_id),
                limit,
            )
            await connection.execute(
                "UPDATE debt_files SET rolled_back = rolled_back + $2 WHERE id = $1", file_uuid(file_id), removed
            )
        return removed


def _narrow(conditions: Conditions, wanted: DebtFilter) -> None:
    if wanted.statuses:
        conditions.add("status = ANY({}::smallint[])", list(wanted.statuses))
    if wanted.due_from is not None:
        conditions.add("due_date >= {}", wanted.due_from)
    if wanted.due_to is not None:
        conditions.add("due_date <= {}", wanted.due_to)
