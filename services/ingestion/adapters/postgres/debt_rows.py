"""What both writers of debt rows are made of."""

import json
from collections.abc import AsyncGenerator
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
import numpy as np

from services.chassis.postgres import Connection
from services.ingestion.adapters.postgres import debt_copy
from services.ingestion.domain.debts.batch import DebtRows, Repeats
from services.ingestion.domain.debts.debt_file import Broken, Debt, Reject
from services.ingestion.domain.debts.debt_status import DebtStatus

_PIECE: Final = 512 * 1024
_REJECT_COLUMNS: Final = ("debt_file", "line", "reason", "column", "message", "raw", "others")
DEBT_COLUMNS: Final = """id, name, government_id, email, amount, due_date, currency, language, debt_file, line,
    create_time, status, version"""
SAME: Final = """(d.name, d.government_id, d.email, d.amount, d.due_date, d.language)
                = (c.name, c.government_id, c.email, c.amount, c.due_date, c.language)
                AND d.currency IN (c.currency, '')"""
"""Whether a staged row `c` and a holder `d` of its id are the same debt. Debts of old have no currency."""
Known: TypeAlias = dict[int, str | None]
"""Lines whose debtId is known: None where the content is the same, else where the other content stands."""


async def copy(connection: Connection, table: str, content: bytes) -> None:
    """Copies encoded rows into a table."""

    async def pieces() -> AsyncGenerator[bytes]:
        for start in range(0, len(content), _PIECE):
            yield content[start : start + _PIECE]

    await connection.copy_to_table(table, source=pieces(), columns=debt_copy.COLUMNS, format="binary")


async def stage(connection: Connection, content: bytes) -> None:
    """Copies encoded rows into `debt_chunk`, a table of the session that is empty again after the transaction."""
    await connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS debt_chunk (LIKE debts INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
    )
    await copy(connection, "debt_chunk", content)


def repeated(rows: DebtRows, repeats: Repeats) -> Known:
    """The lines of `repeats`, beside the first rows of their ids."""
    return {
        int(rows.lines[row]): None
        if rows.content(row) == rows.content(first)
        else f"line {rows.lines[first]} of this file"
        for row, first in zip(repeats.rows.tolist(), repeats.firsts.tolist(), strict=True)
    }


def held(rows: list[asyncpg.Record], file_id: str) -> Known:
    """What a query for `line`, `same`, `holder` and `holder_line` has found."""
    return {
        row["line"]: None
        if row["same"]
        else f"line {row['holder_line']} of "
        + ("this file" if str(row["holder"]) == file_id else f"debt file {row['holder']}")
        for row in rows
    }


def duplicates(known: Known) -> int:
    """How many of the lines have the same content."""
    return sum(first is None for first in known.values())


def conflicting(rows: DebtRows, known: Known) -> list[Reject]:
    """The rejects of rows whose id is known with other content."""
    first = {line: first for line, first in known.items() if first is not None}
    if not first:
        return []
    places = np.flatnonzero(np.isin(rows.lines, list(first))).tolist()
    return [rows.conflict(row, first[int(rows.lines[row])]) for row in places]


async def add_rejects(connection: Connection, file_id: str, rejects: list[Reject], *, checked: bool = False) -> None:
    """Adds the rejects. When the file was `checked`, those that the check has left stay, and are not added again."""
    if not rejects:
        return
    table = "debt_rejects"
    if checked:
        table = "debt_reject_chunk"
        await connection.execute(
            """
            CREATE TEMP TABLE IF NOT EXISTS debt_reject_chunk (LIKE debt_rejects INCLUDING DEFAULTS)
            ON COMMIT DELETE ROWS
            """
        )
    file = UUID(file_id)
    records = [(file, reject.line, *_written(reject.broken[0]), reject.raw, _others(reject)) for reject in rejects]
    await connection.copy_records_to_table(table, records=records, columns=_REJECT_COLUMNS)
    if checked:
        await connection.execute("INSERT INTO debt_rejects SELECT * FROM debt_reject_chunk ON CONFLICT DO NOTHING")


async def was_checked(connection: Connection, file_id: str) -> bool:
    """Whether a check has left rejects of a file of which nothing is registered yet."""
    return await connection.fetchval("SELECT EXISTS (SELECT FROM debt_rejects WHERE debt_file = $1)", file_id)


def reject_of(row: asyncpg.Record) -> Reject:
    """The reject of a row of `debt_rejects`."""
    first = Broken(row["reason"], row["column"], row["message"])
    others = (Broken(*values) for values in json.loads(row["others"])) if row["others"] else ()
    return Reject(row["line"], (first, *others), row["raw"])


def debt_of(row: asyncpg.Record) -> Debt:
    """The debt of a row of `debts`."""
    return Debt(
        id=row["id"],
        name=row["name"],
        government_id=row["government_id"],
        email=row["email"],
        amount=row["amount"],
        due_date=row["due_date"],
        currency=row["currency"],
        language=row["language"],
        debt_file=str(row["debt_file"]),
        line=row["line"],
        create_time=row["create_time"],
        status=DebtStatus(row["status"]),
        version=row["version"],
    )


def _others(reject: Reject) -> str:
    return json.dumps([_written(broken) for broken in reject.broken[1:]]) if len(reject.broken) > 1 else ""


def _written(broken: Broken) -> tuple[str, str, str]:
    return broken.reason, broken.column, broken.message


def file_uuid(text: str) -> UUID | None:
    """The id as the store has it; None for what is no id of a file, such as another way to write one."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None
