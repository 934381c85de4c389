"""Finds out what would become of rows, for dry runs and before a file with a reject limit is registered.

The ids of the file are kept in a table of the session: nothing is written that others see, but the rejects.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.chassis.postgres import Connection
from services.chassis.postgres.errors import translated
from services.ingestion.adapters.postgres import debt_copy
from services.ingestion.adapters.postgres.debt_rows import SAME, add_rejects, conflicting, duplicates, held, stage
from services.ingestion.application.debts.ports import PreparedBlock, Run
from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.debt_file import Counts, Reject
from services.ingestion.domain.debts.errors import LeaseLost
from services.ingestion.domain.debts.parser import Block


@dataclass(frozen=True, slots=True)
class _Prepared:
    rows: DebtRows
    rejects: list[Reject]
    staged: bytes


class DebtChecker:
    """Checks blocks on one session (the port `RowWriter`). Counts are recorded for dry runs only: a file that is
    registered afterwards gets its counts then."""

    def __init__(self, connection: Connection, run: Run) -> None:
        self._connection, self._run = connection, run

    def prepare(self, block: Block) -> PreparedBlock:
        """Encodes the block."""
        return _Prepared(block.rows, block.rejects, debt_copy.encode(block.rows, self._run.file_id))

    async def store(self, block: PreparedBlock) -> Counts:
        """See the port; here a lost connection ends the check."""
        assert isinstance(block, _Prepared)
        with translated():
            async with self._connection.transaction():
                return await self._store(block)

    async def _store(self, block: _Prepared) -> Counts:
        connection = self._connection
        await stage(connection, block.staged)
        await connection.execute(
            """
            INSERT INTO debt_seen SELECT DISTINCT ON (c.id) c.* FROM debt_chunk c
            WHERE NOT EXISTS (SELECT FROM debts d WHERE d.id = c.id) ORDER BY c.id, c.line
            ON CONFLICT (id) DO NOTHING
            """
        )
        found = await connection.fetch(
            f"""
            SELECT c.line, {SAME} AS same, d.debt_file AS holder, d.line AS holder_line
            FROM debt_chunk c JOIN debts d USING (id)
            UNION ALL
            SELECT c.line, {SAME}, d.debt_file, d.line FROM debt_chunk c JOIN debt_seen d USING (id)
            WHERE d.line <> c.line AND NOT EXISTS (SELECT FROM debts e WHERE e.id = c.id)
            """
        )
        known = held(found, self._run.file_id)
        rejects = block.rejects + await asyncio.to_thread(conflicting, block.rows, known)
        await add_rejects(connection, self._run.file_id, rejects)
        counts = Counts(len(block.rows) - len(known), duplicates(known), len(rejects))
        add = counts if self._run.dry_run else Counts()
        mine = await connection.fetchval(
            """
            UPDATE debt_files SET accepted = accepted + $3, duplicates = duplicates + $4, rejected = rejected + $5,
                   lease_until = now() + $6
            WHERE id = $1 AND owner = $2 AND state = 'PROCESSING' RETURNING true
            """,
            self._run.file_id,
            self._run.owner,
            add.accepted,
            add.duplicates,
            add.rejected,
            self._run.lease,
        )
        if not mine:
            raise LeaseLost(self._run.file_id)
        return counts


async def clear_check(connection: Connection, run: Run) -> None:
    """What an earlier check of a file has left goes."""
    with translated():
        async with connection.transaction():
            checked = await connection.fetchval(
                """
                UPDATE debt_files SET accepted = 0, duplicates = 0, rejected = 0
                WHERE id = $1 AND owner = $2 AND state = 'PROCESSING' AND blocks = 0 RETURNING true
                """,
                run.file_id,
                run.owner,
            )
            if checked:
                await connection.execute("DELETE FROM debt_rejects WHERE debt_file = $1", run.file_id)


@asynccontextmanager
async def seen_table(connection: Connection) -> AsyncGenerator[None]:
    """The table of the ids seen, on this session, for the block."""
    await connection.execute("DROP TABLE IF EXISTS pg_temp.debt_seen")
    await connection.execute("CREATE TEMP TABLE debt_seen (LIKE debts INCLUDING DEFAULTS INCLUDING INDEXES)")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("DROP TABLE IF EXISTS pg_temp.debt_seen")
