"""What both writers of debt rows are made of."""

from collections.abc import AsyncGenerator
from typing import Final

import numpy as np

from services.chassis.postgres import Connection
from services.ingestion.adapters.postgres import debt_copy
from services.ingestion.domain.debts.batch import DebtRows, Repeats
from services.ingestion.domain.debts.debt_file import Reject

_PIECE: Final = 512 * 1024
SAME: Final = """(d.name, d.government_id, d.email, d.amount, d.due_date)
                = (c.name, c.government_id, c.email, c.amount, c.due_date)"""
"""Whether a staged row `c` and a holder `d` of its id are the same debt."""


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


def repeated(firsts: DebtRows, repeats: Repeats) -> dict[int, bool]:
    """The lines of `repeats`, with whether they have the content of the first row of their id."""
    pairs = zip(repeats.rows.lines.tolist(), repeats.first.tolist(), strict=True)
    return {line: repeats.rows.content(at) == firsts.content(first) for at, (line, first) in enumerate(pairs)}


def conflicting(rows: DebtRows, known: dict[int, bool]) -> list[Reject]:
    """The rejects of rows whose id is known with other content."""
    bad = [line for line, same in known.items() if not same]
    if not bad:
        return []
    return [rows.conflict(row) for row in np.flatnonzero(np.isin(rows.lines, bad)).tolist()]


async def add_rejects(connection: Connection, file_id: str, rejects: list[Reject]) -> None:
    """Adds the rejects; those that a check of the same file has left already stay."""
    if rejects:
        await connection.execute(
            """
            INSERT INTO debt_rejects (debt_file, line, reason, "column", message, raw)
            SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[])
            ON CONFLICT DO NOTHING
            """,
            file_id,
            [reject.line for reject in rejects],
            [reject.reason for reject in rejects],
            [reject.column for reject in rejects],
            [reject.message for reject in rejects],
            [reject.raw for reject in rejects],
        )
