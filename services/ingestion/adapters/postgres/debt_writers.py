"""Writes blocks of rows: each in one transaction with its rejects, counts and events.

Most blocks hold nothing but new debts, so they are first copied straight into the table; that costs half of staging
them and inserting with ON CONFLICT. When an id turns out to be known the copy is undone, and the block takes the way
that asks about every row; so do the next ones, until one of them holds nothing known. What two blocks may do at the
same time, `debt_turns.py` says.
"""

import asyncio
from dataclasses import astuple, dataclass
from typing import Final

import asyncpg
import numpy as np

from services.chassis.errors import Aborted, Unavailable
from services.chassis.nats.envelope import Encoded
from services.chassis.nats.topology import DEBTS_REGISTERED_SUBJECT
from services.chassis.postgres import Connection, Database, Outbox
from services.ingestion.adapters.nats import debt_events
from services.ingestion.adapters.postgres import debt_copy
from services.ingestion.adapters.postgres.debt_rows import (
    SAME,
    Known,
    add_rejects,
    conflicting,
    copy,
    duplicates,
    held,
    repeated,
    stage,
    was_checked,
)
from services.ingestion.adapters.postgres.debt_turns import StepBack, Turn
from services.ingestion.application.debts.ports import PreparedBlock, Run
from services.ingestion.domain.debts.batch import DebtRows, Repeats
from services.ingestion.domain.debts.debt_file import Counts, Reject
from services.ingestion.domain.debts.errors import LeaseLost
from services.ingestion.domain.debts.parser import Block, Checkpoint
from tocsin.events.v1.debts_pb2 import DebtsRegistered

_ATTEMPTS: Final = 8
_GOING: Final = "SELECT EXISTS (SELECT FROM debt_files WHERE id = ANY ($1::uuid[]) AND state = 'ROLLING_BACK')"


@dataclass(slots=True)
class _Prepared:
    """`direct` and `events` are made of the first rows of each id where no known id is expected, `staged` is made of
    all rows where one is."""

    rows: DebtRows
    repeats: Repeats
    rejects: list[Reject]
    direct: bytes | None
    staged: bytes | None
    events: list[bytes]
    end: Checkpoint
    counts: Counts | None = None


class DebtWriter:
    """Registers debts (the port `RowWriter`), behind so many blocks that are stored."""

    def __init__(self, database: Database, outbox: Outbox, run: Run, event_debts: int, blocks: int) -> None:
        self._database, self._outbox, self._run = database, outbox, run
        self._event_debts = event_debts
        self._blocks = blocks
        self._last: Turn | None = None
        self._expect_known = False
        self._checked: bool | None = None

    def prepare(self, block: Block) -> PreparedBlock:
        """Encodes the block for the way that it will probably take."""
        firsts, repeats = block.rows.by_id()
        if self._expect_known:
            staged = debt_copy.encode(block.rows, self._run.file_id)
            return _Prepared(block.rows, repeats, block.rejects, None, staged, [], block.end)
        rows = block.rows.take(firsts)
        direct = debt_copy.encode(rows, self._run.file_id)
        return _Prepared(block.rows, repeats, block.rejects, direct, None, self._events(rows), block.end)

    async def store(self, block: PreparedBlock) -> Counts:
        """See the port. A database that goes away and comes back within some seconds costs nothing but them."""
        assert isinstance(block, _Prepared)
        self._last = turn = Turn(self._blocks, self._last)
        self._blocks += 1
        with turn:
            attempt, pause = 1, 0.1
            while True:
                try:
                    counts = await self._store(block, turn, again=attempt > 1)
                except LeaseLost:
                    raise
                except StepBack:
                    await turn.stepped_back()
                except (Unavailable, Aborted):
                    if attempt == _ATTEMPTS:
                        raise
                    turn.failed()
                    await asyncio.sleep(pause)
                    attempt, pause = attempt + 1, min(pause * 2, 3.0)
                else:
                    turn.committed()
                    return counts

    async def _store(self, block: _Prepared, turn: Turn, *, again: bool) -> Counts:
        await turn.to_copy()
        async with self._database.transaction() as connection:
            if again and await self._fence(connection) > turn.number and block.counts is not None:
                return block.counts  # the commit of an earlier attempt went through, only its answer was lost
            known = await self._insert(connection, block)
            turn.copied()
            await turn.to_commit()
            await self._fence(connection)
            conflicts = await asyncio.to_thread(conflicting, block.rows, known)
            rejects = block.rejects + conflicts
            if rejects and self._checked is None:
                self._checked = await was_checked(connection, self._run.file_id)
            await add_rejects(connection, self._run.file_id, rejects, checked=bool(self._checked))
            counts = block.counts = Counts(len(block.rows) - len(known), duplicates(known), len(rejects))
            events = await asyncio.to_thread(self._envelopes, block, known, turn.number)
            await self._outbox.add_encoded(connection, [(event, None) for event in events])
            await connection.execute(
                """
                UPDATE debt_files SET accepted = accepted + $2, duplicates = duplicates + $3, rejected = rejected + $4,
                       blocks = blocks + 1, lease_until = now() + $5, end_offset = $6, end_line = $7, end_skipping = $8
                WHERE id = $1
                """,
                self._run.file_id,
                counts.accepted,
                counts.duplicates,
                counts.rejected,
                self._run.lease,
                *astuple(block.end),
            )
        return counts

    async def _fence(self, connection: Connection) -> int:
        """Locks the file against its being declared failed; how many blocks are stored."""
        stored = await connection.fetchval(
            "SELECT blocks FROM debt_files WHERE id = $1 AND owner = $2 AND state = 'PROCESSING' FOR UPDATE",
            self._run.file_id,
            self._run.owner,
        )
        if stored is None:
            raise LeaseLost(self._run.file_id)
        return stored

    async def _insert(self, connection: Connection, block: _Prepared) -> Known:
        """Inserts what is new. Returns the lines of the other rows."""
        if block.direct is not None:
            try:
                async with connection.transaction():
                    await copy(connection, "debts", block.direct)
            except asyncpg.UniqueViolationError:
                self._expect_known = True
                block.direct = None
            else:
                return repeated(block.rows, block.repeats)
        if block.staged is None:
            block.staged = await asyncio.to_thread(debt_copy.encode, block.rows, self._run.file_id)
        await stage(connection, block.staged)
        inserted = await connection.execute(
            """
            INSERT INTO debts SELECT DISTINCT ON (id) * FROM debt_chunk ORDER BY id, line
            ON CONFLICT (id) DO NOTHING
            """
        )
        found = await connection.fetch(
            f"""
            SELECT c.line, {SAME} AS same, d.debt_file AS holder, d.line AS holder_line
            FROM debt_chunk c JOIN debts d USING (id)
            WHERE (d.debt_file, d.line) <> (c.debt_file, c.line)
            """
        )
        self._expect_known = bool(found)
        if int(inserted.rpartition(" ")[2]) + len(found) < len(block.rows):
            raise Aborted("debts that were known a moment ago have been taken back")
        if found and await connection.fetchval(_GOING, list({row["holder"] for row in found})):
            raise Aborted("debts of the file are just being taken back with another one")
        block.events = []
        return held(found, self._run.file_id)

    def _envelopes(self, block: _Prepared, known: Known, number: int) -> list[Encoded]:
        if block.direct is None:
            new = [line not in known for line in block.rows.lines.tolist()]
            block.events = self._events(block.rows.take(np.array(new, np.bool_)))
        name = f"debts-{self._run.file_id}-{number}"
        return [
            self._outbox.enclose(DEBTS_REGISTERED_SUBJECT, DebtsRegistered, payload, id_=f"{name}-{place}")
            for place, payload in enumerate(block.events)
        ]

    def _events(self, rows: DebtRows) -> list[bytes]:
        return [
            payload for _, payload in debt_events.encode(rows, self._run.file_id, self._run.issuer, self._event_debts)
        ]
