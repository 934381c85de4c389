"""What an invoice costs from the event of its debt until the mail server has it, beside one process that draws the same
pages with the same library and does nothing else.

`python -m tests.bench.invoices_micro [invoices] [runs]` starts its own PostgreSQL and NATS (every commit and every
stored message reaches the disk, as in production), the service with two renderers, and a mail server that takes
everything. Service and drawing alone take turns. `--profile=FILE` writes a profile of the service.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

import asyncpg
import uvloop

from services.chassis.nats import Event, Publisher
from services.chassis.nats.topology import DEBTS_REGISTERED_SUBJECT
from services.notification.domain.invoice import Debt
from tests.bench.parts import CpuMeter, Servers, option, servers, service, wait_idle
from tests.bench.report import Row, row
from tocsin.events.v1 import debts_pb2

MIGRATIONS = Path(__file__).parents[2] / "services" / "notification" / "migrations"
IN_EVENT = 250
"""Debts that ingestion puts into an event."""
_OF_THE_FILE = ("debt_file", "issuer", "issued")
_ALONE = """
import json, sys, time
from services.notification.adapters.rendering.invoice_page import InvoiceDrawer
from services.notification.domain.invoice import Debt
from services.notification.domain.issuer import Issuer
debts = [Debt(**one) for one in json.load(sys.stdin)]
drawer = InvoiceDrawer(Issuer(name="Tocsin"), currency="EUR")
drawer.draw(debts[0])
began = time.perf_counter()
for debt in debts:
    drawer.draw(debt)
print(time.perf_counter() - began)
"""


class MailSink(asyncio.Protocol):
    """A mail server that takes everything, and counts."""

    taken = 0
    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of no common class
        self._rest, self._in_message = b"", False
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answers each command, and each message as a whole."""
        self._rest += data
        while True:
            end = b"\r\n.\r\n" if self._in_message else b"\r\n"
            head, found, rest = self._rest.partition(end)
            if not found:
                return
            self._rest = rest
            self._transport.write(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        if self._in_message:
            self._in_message = False
            MailSink.taken += 1
            return b"250 2.0.0 taken\r\n"
        match head[:4].upper():
            case b"EHLO":
                return b"250-sink\r\n250-PIPELINING\r\n250 SIZE 10000000\r\n"
            case b"DATA":
                self._in_message = True
                return b"354 go on\r\n"
            case b"QUIT":
                return b"221 bye\r\n"
            case _:
                return b"250 ok\r\n"


@asynccontextmanager
async def mail_sink() -> AsyncGenerator[int]:
    """Its port."""
    server = await asyncio.get_running_loop().create_server(MailSink, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def debts(run: int, count: int) -> list[Debt]:
    """Of people with names of Western Europe, one in ten of others."""
    names = [f"José Müller {number}" for number in range(9)] + ["Łukasz Żółć"]
    return [
        Debt(
            id=f"D{run}-{number}",
            debt_file="f1",
            name=names[number % len(names)],
            government_id=f"{number:011d}",
            email=f"d{number}@example.org",
            amount=f"{number + 1}.50",
            due_date="2027-01-31",
            issued="2026-11-30",
        )
        for number in range(count)
    ]


async def alone(run: int, count: int) -> float:
    """Seconds in which one process draws them."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ALONE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    answer, _ = await child.communicate(json.dumps([asdict(debt) for debt in debts(run, count)]).encode())
    return float(answer)


async def invoiced(where: Servers, connection: "asyncpg.Connection[asyncpg.Record]", run: int, count: int) -> float:
    """Seconds from the first event until all are MAILED, each once."""
    publisher = Publisher(where.nats, source="tocsin/ingestion")
    wanted = debts(run, count)
    before, began = MailSink.taken, time.perf_counter()
    for at in range(0, count, IN_EVENT):
        message = debts_pb2.DebtsRegistered(debt_file="f1")
        for debt in wanted[at : at + IN_EVENT]:
            fields = {name: value for name, value in asdict(debt).items() if name not in _OF_THE_FILE}
            message.debts.add(**fields)
        await publisher.publish(Event(DEBTS_REGISTERED_SUBJECT, message, id=f"{run}-{at}"))
    mailed = "SELECT count(*) FROM notification.invoices WHERE state = 'MAILED' AND debt LIKE $1"
    while await connection.fetchval(mailed, f"D{run}-%") < count:
        await asyncio.sleep(0.1)
    took = time.perf_counter() - began
    assert MailSink.taken - before == count, f"{MailSink.taken - before} e-mails for {count} debts"
    return took


async def _measure(where: Servers, count: int, runs: int, profile: str) -> list[tuple[float, float]]:
    connection = await asyncpg.connect(where.dsn)
    pairs: list[tuple[float, float]] = []
    async with mail_sink() as port:
        settings = {"TENANTS": "test", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port), "RENDER_PROCESSES": "2"}
        with service(where, "notification", settings, profile=profile) as notification:
            for run in range(runs + 1):
                size = count if run else count // 10  # the first one warms up
                own = await alone(run, size)
                meter = CpuMeter(notification=notification.pid, postgresql=where.postgres.pid, broker=where.broker.pid)
                mine = time.process_time()
                took = await invoiced(where, connection, run, size)
                mine = time.process_time() - mine
                await wait_idle(notification.pid, where.postgres.pid)
                if run:
                    pairs.append((size / took, size / own))
                    print(
                        f"{size} invoices: {size / took:8,.0f} /s, drawn alone {size / own:8,.0f} /s, "
                        f"ratio {own / took:.2f}   CPU ms each (renderers behind +): {meter.each(size)}, "
                        f"beside them the mail server {mine / size * 1000:.2f}",
                        flush=True,
                    )
    await connection.close()
    return pairs


async def _run(count: int, runs: int, profile: str) -> list[tuple[float, float]]:
    async with servers({"notification": MIGRATIONS}) as where:
        return await _measure(where, count, runs, profile)


def measure(runs: int, count: int = 5_000, *, profile: str = "") -> Row:
    """From the events of debts to accepted e-mails, beside drawing alone."""
    pairs = uvloop.run(_run(count, runs, profile))
    path = f"{count:,} debts, drawn, kept and accepted by a mail server"
    return row(path, pairs, unit="invoices/s", goal=">= 1,000", notes={"reference": "one process that draws them"})


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    wanted, times = [*numbers, *(3_000, 3)[len(numbers) :]]
    found = measure(times, wanted, profile=option("profile"))
    print(f"median: {found.figure:,.0f} /s, ratio {found.ratio:.2f}")
