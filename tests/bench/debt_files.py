"""A debt file over REST, until every row is committed and its event is queued, beside what else could be done.

References, each in the same run on the same PostgreSQL: a COPY of the same file, as a client sends it, into a table
with the same key; and a program that reads one row at a time from a stream, checks it, and inserts a thousand at once.
Beside them a file of which every row breaks two rules, and the same rows as a workbook. The mesh is without
notification, which would begin to make a million invoices. `python -m tests.bench.debt_files [rows] [runs]` measures
this alone.
"""

import asyncio
import csv
import random
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from services.cli.client import MeshClient
from services.cli.runtime.status import read_reports
from tests.bench.mesh import running_mesh
from tests.bench.report import Row, row, show
from tests.support.workbooks import workbook

PARTS = "postgres,nats,ingestion,gateway,envoy"
REFERENCE = """CREATE TABLE {} (name text NOT NULL, government_id text NOT NULL, email text NOT NULL,
    amount numeric(18, 2) NOT NULL, due_date date NOT NULL, id text PRIMARY KEY)"""
_CHUNK = 256 * 1024
_AT_ONCE = 1000
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_HEADER = ("name", "governmentId", "email", "debtAmount", "debtDueDate", "debtId")


def rows_of(rows: int, seed: int, *, good: bool = True) -> Iterator[list[str]]:
    """About 109 bytes a row; random ids, as they come out of billing systems. Not `good`: no address is one, and no
    amount either."""
    at, point = ("@", ".") if good else (" at ", "'")
    chance = random.Random(seed)
    first = ["Ana", "Bruno", "Carla", "Diego", "Elisa", "José"]
    last = ["Silva", "Souza", "Costa", "Lima", "Alves", "Conceição"]
    for n in range(rows):
        debt_id = uuid.UUID(int=chance.getrandbits(128), version=4)
        day = f"202{chance.randrange(6, 9)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        yield [
            f"{chance.choice(first)} {chance.choice(last)}",
            str(chance.randrange(10**10, 10**11)),
            f"customer.{n}{at}example.com",
            f"{chance.randrange(1, 10**4)}{point}{n % 100:02}",
            day,
            str(debt_id),
        ]


def make_file(path: Path, rows: int, seed: int, *, good: bool = True) -> None:
    """The rows as CSV."""
    with path.open("w") as file:
        file.write(",".join(_HEADER) + "\n")
        file.writelines(",".join(one) + "\n" for one in rows_of(rows, seed, good=good))


def make_workbook(path: Path, rows: int, seed: int) -> None:
    """The rows as xlsx, amounts as numbers and dates as dates."""
    cells = (
        [name, number, email, float(amount), date.fromisoformat(day), debt_id]
        for name, number, email, amount, day, debt_id in rows_of(rows, seed)
    )
    path.write_bytes(workbook([_HEADER, *cells]))


class Desk:
    """The mesh, its database, and what its ingestion takes."""

    def __init__(self, mesh: MeshClient, client: httpx.Client, directory: Path) -> None:
        self.client, self.directory = client, directory
        self._dsn = mesh.instance.postgres_dsn
        pid = next(report.pid for report in read_reports(mesh.state) if report.name == "ingestion")
        self._process = psutil.Process(pid)

    def cpu(self) -> float:
        """Seconds of CPU of ingestion so far."""
        used = self._process.cpu_times()
        return used.user + used.system + used.children_user + used.children_system

    def peak(self) -> int:
        """MiB of resident memory at most, so far."""
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self._process.pid}/status").read_text())[1]) // 1024  # pyright: ignore[reportOptionalSubscript] - Linux tells it

    def upload(self, path: Path) -> float:
        """Seconds until the answer; waits afterwards until its events are published."""
        with path.open("rb") as content:
            began = time.perf_counter()
            answer = self.client.post(
                "/v1/debtFiles",
                params={"filename": path.name},
                content=iter(lambda: content.read(_CHUNK), b""),
                headers={"content-type": "application/octet-stream"},
                timeout=httpx.Timeout(60, read=None),
            )
            took = time.perf_counter() - began
        file: dict[str, Any] = answer.json()
        if file.get("state") not in {"COMPLETED", "COMPLETED_WITH_REJECTS"}:
            raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")
        self.run(self._settled())
        return took

    def run(self, work: Any) -> Any:
        """Runs something on the loop of its own."""
        return asyncio.run(work)

    async def _settled(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        while await connection.fetchval("SELECT EXISTS (SELECT FROM ingestion.outbox)"):
            await asyncio.sleep(0.1)
        await connection.close()

    async def emptied(self) -> None:
        """Neither what is in the tables nor what is not on the disk yet is to be felt by the next one."""
        connection = await asyncpg.connect(self._dsn)
        await connection.execute("TRUNCATE ingestion.debts")
        await connection.execute("CHECKPOINT")
        await connection.close()

    async def copied(self, path: Path) -> float:
        """Seconds of a COPY by the server's own reader of CSV."""
        connection = await asyncpg.connect(self._dsn)
        await connection.execute("DROP TABLE IF EXISTS reference")
        await connection.execute(REFERENCE.format("reference"))
        await connection.execute("CHECKPOINT")
        began = time.perf_counter()
        await connection.copy_to_table("reference", source=path, format="csv", header=True)
        took = time.perf_counter() - began
        await connection.execute("DROP TABLE reference")
        await connection.close()
        return took

    async def one_by_one(self, path: Path) -> float:
        """Seconds of a program that takes a row after the other from a stream, and inserts them by the thousand."""
        connection = await asyncpg.connect(self._dsn)
        await connection.execute("DROP TABLE IF EXISTS peer")
        await connection.execute(REFERENCE.format("peer"))
        began = time.perf_counter()
        taken: list[tuple[str, str, str, Decimal, date, str]] = []
        with path.open(newline="") as file:
            for one in csv.DictReader(file):
                if (checked := _checked(one)) is not None:
                    taken.append(checked)
                if len(taken) == _AT_ONCE:
                    await _insert(connection, taken)
                    taken.clear()
        await _insert(connection, taken)
        took = time.perf_counter() - began
        await connection.execute("DROP TABLE peer")
        await connection.close()
        return took


def _checked(one: dict[str, str]) -> tuple[str, str, str, Decimal, date, str] | None:
    try:
        amount, due = Decimal(one["debtAmount"]), date.fromisoformat(one["debtDueDate"])
    except (InvalidOperation, ValueError):
        return None
    if amount <= 0 or not _EMAIL.fullmatch(one["email"]) or not one["name"] or not one["debtId"]:
        return None
    return one["name"], one["governmentId"], one["email"], amount, due, one["debtId"]


async def _insert(
    connection: "asyncpg.Connection[asyncpg.Record]", rows: list[tuple[str, str, str, Decimal, date, str]]
) -> None:
    if rows:
        await connection.execute(
            """
            INSERT INTO peer
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::date[], $6::text[])
            ON CONFLICT DO NOTHING
            """,
            *map(list, zip(*rows, strict=True)),
        )


def measure(runs: int, rows: int) -> list[Row]:
    """The rows of the table: seconds, and rows a second."""
    with (
        running_mesh("--only", PARTS, probe="/v1/debtFiles", TOCSIN_INGESTION_DEBT_MAX_FILE="8GiB") as mesh,
        mesh.http(scopes=["debts:read", "debts:write"], timeout=60) as client,
        tempfile.TemporaryDirectory(prefix="tocsin-debts-") as folder,
    ):
        desk, path = Desk(mesh, client, Path(folder)), Path(folder) / "debts.csv"
        few, fewer = max(rows // 5, 1), max(rows // 20, 1)
        beside_copy, beside_peer, beside_good, beside_csv = (list[tuple[float, float]]() for _ in range(4))
        used: list[float] = []
        for run in range(runs):
            make_file(path, rows, 10 * run)
            desk.run(desk.emptied())
            before = desk.cpu()
            copied = 0.0 if run % 2 else desk.run(desk.copied(path))
            took = desk.upload(path)
            copied = copied or desk.run(desk.copied(path))
            used.append((desk.cpu() - before) / rows * 1e6)
            beside_copy.append((took, copied))
            make_file(path, few, 10 * run + 1)
            beside_peer.append((few / desk.upload(path), few / desk.run(desk.one_by_one(path))))
            make_file(path, few, 10 * run + 2)
            good = desk.upload(path)
            make_file(path, few, 10 * run + 3, good=False)
            beside_good.append((desk.upload(path), good))
            make_file(path, fewer, 10 * run + 4)
            plain = fewer / desk.upload(path)
            book = Path(folder) / "debts.xlsx"
            make_workbook(book, fewer, 10 * run + 5)
            beside_csv.append((fewer / desk.upload(book), plain))
        notes = {
            "CPU of ingestion": f"{sorted(used)[len(used) // 2]:.1f} µs a row",
            "memory of ingestion": f"{desk.peak()} MiB at most",
        }
    return [
        row(f"debt file of {rows:,} rows, beside COPY", beside_copy, unit="s", goal="<= 1.2", notes=notes),
        row("debt file, beside a row at a time", beside_peer, unit="rows/s", goal="", notes={}),
        row("debt file of rejects, beside good rows", beside_good, unit="s", goal="<= 3", notes={}),
        row("debt file as a workbook, beside CSV", beside_csv, unit="rows/s", goal="", notes={}),
    ]


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    total, times = given + [1_000_000, 3][len(given) :]
    show(measure(times, total), [], Path("bench-results/debt-files.json"))
