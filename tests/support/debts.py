"""Debt files to upload, and what went out for them."""

import asyncio
import csv
import io
from collections.abc import Sequence
from typing import Any, Protocol

from services.chassis.nats import NatsConnection
from services.chassis.postgres import Database
from services.ingestion.domain.debts.conventions import Conventions
from services.ingestion.domain.debts.header import COLUMNS as COLUMNS
from services.ingestion.domain.debts.header import OPTIONAL as OPTIONAL
from services.ingestion.domain.debts.header import ColumnNames, read_header
from services.ingestion.domain.debts.parser import Block, DebtParser
from tests.support.eventually import eventually
from tocsin.events.v1.debts_pb2 import DebtsRegistered


class Stores(Protocol):
    """A service's database and broker."""

    nats: NatsConnection
    database: Database


def row(debt_id: str, **changes: str) -> list[str]:
    """A good row. `changes`: name, government_id, email, amount, due_date."""
    values = {
        "name": "Ana",
        "government_id": "123",
        "email": "ana@example.com",
        "amount": "10.50",
        "due_date": "2026-12-31",
    }
    return [*{**values, **changes}.values(), debt_id]


def rows_of(count: int, start: int = 0) -> list[list[str]]:
    """Good rows with ids in no order."""
    return [
        row(
            f"{n * 7919 % 1_000_003:07}-{n}",
            name=f"Ana {n}",
            email=f"ana{n}@example.com",
            amount=f"{n + 1}.{n % 100:02}",
        )
        for n in range(start, start + count)
    ]


def content(rows: list[list[str]], columns: Sequence[str] = COLUMNS, **dialect: Any) -> bytes:
    """The rows as a CSV with a header."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, **{"lineterminator": "\n", **dialect})
    writer.writerows([list(columns), *rows])
    return out.getvalue().encode()


def block_of(rows: Sequence[list[str]], line: int = 2) -> Block:
    """What the parser makes of the rows; the first one stands in `line`."""
    data = content([*rows])
    layout = read_header(data, final=True)
    assert layout is not None
    return DebtParser(layout).feed(b"\n" * (line - 2) + data[layout.size :], final=True)


def parsed(content: bytes, conventions: Conventions | None = None, names: ColumnNames | None = None) -> Block:
    """What becomes of a whole file."""
    layout = read_header(content, final=True, names=names)
    assert layout is not None
    return DebtParser(layout, conventions).feed(content[layout.size :], final=True)


async def settled(stores: Stores) -> None:
    """Returns once everything in the outbox has been published."""

    async def empty() -> bool:
        async with stores.database.connection() as connection:
            return await connection.fetchval("SELECT count(*) FROM ingestion.outbox") == 0

    await eventually(empty, timeout=30)


async def debts_in_stream(stores: Stores) -> list[tuple[str, ...]]:
    """Every debt of every event, with its values in the order of the columns of a file."""
    js = stores.nats.js
    last = (await js.stream_info("DEBTS")).state.last_seq
    found: list[tuple[str, ...]] = []
    for sequence in range(1, last + 1):
        batch = DebtsRegistered.FromString((await js.get_msg("DEBTS", sequence)).data or b"")
        assert 0 < len(batch.debts) <= 1000
        found += [(d.name, d.government_id, d.email, d.amount, d.due_date, d.id) for d in batch.debts]
        await asyncio.sleep(0)
    return found
