"""A debt file through ingestion, beside a plain COPY of the same file into a table with the same key.

`python -m tests.bench.debt_micro [rows] [repeats]` starts its own PostgreSQL and NATS (every write reaches the disk
before it is acknowledged, as in production) and the service as a process of its own. "Taken in" is from the first chunk
to the reply: every row validated, deduplicated and committed, all events queued. Beside it, a file of which every row
is rejected, with two rules broken. Prints medians, the ratios, and the service's peak of resident memory.
"""

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import grpc.aio

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import TopologyOptions, ensure_streams, open_nats
from services.chassis.postgres import migrate
from services.ingestion.settings import MIGRATIONS
from tests.support.nats import NatsServer
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tocsin.ingestion.v1 import debt_file_pb2
from tocsin.ingestion.v1 import debt_file_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_service_pb2_grpc import DebtFileServiceStub

CHUNK = 256 * 1024
REFERENCE = """CREATE TABLE reference (name text NOT NULL, government_id text NOT NULL, email text NOT NULL,
    amount numeric(18, 2) NOT NULL, due_date date NOT NULL, id text PRIMARY KEY)"""


def make_file(path: Path, rows: int, seed: int, *, good: bool = True) -> None:
    """About 109 bytes a row; random ids, as they come out of billing systems. Not `good`: no address is one, and no
    amount either."""
    at, point = ("@", ".") if good else (" at ", "'")
    chance = random.Random(seed)
    first = ["Ana", "Bruno", "Carla", "Diego", "Elisa", "José"]
    last = ["Silva", "Souza", "Costa", "Lima", "Alves", "Conceição"]
    with path.open("w") as file:
        file.write("name,governmentId,email,debtAmount,debtDueDate,debtId\n")
        for n in range(rows):
            debt_id = uuid.UUID(int=chance.getrandbits(128), version=4)
            day = f"202{chance.randrange(6, 9)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
            file.write(
                f"{chance.choice(first)} {chance.choice(last)},{chance.randrange(10**10, 10**11)},"
                f"customer.{n}{at}example.com,{chance.randrange(1, 10**4)}{point}{n % 100:02},{day},{debt_id}\n"
            )


async def plain_copy(connection: "asyncpg.Connection[asyncpg.Record]", path: Path) -> float:
    """Seconds of a COPY by the server's own CSV reader."""
    await connection.execute("DROP TABLE IF EXISTS reference")
    await connection.execute(REFERENCE)
    await connection.execute("CHECKPOINT")
    began = time.perf_counter()
    await connection.copy_to_table("reference", source=path, format="csv", header=True)
    return time.perf_counter() - began


async def taken_in(stub: DebtFileServiceStub, path: Path, metadata: tuple[tuple[str, str], ...]) -> float:
    """Seconds of an upload."""

    async def requests() -> AsyncIterator[pb.UploadDebtFileRequest]:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield pb.UploadDebtFileRequest(chunk=chunk)

    began = time.perf_counter()
    result = await stub.UploadDebtFile(requests(), metadata=metadata)
    took = time.perf_counter() - began
    assert result.state in {debt_file_pb2.DebtFile.COMPLETED, debt_file_pb2.DebtFile.COMPLETED_WITH_REJECTS}, result
    assert result.rows in {result.accepted, result.rejected}
    return took


def memory(pid: int) -> tuple[int, int]:
    """Resident memory now and at its peak, in MiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(lines["VmRSS"].split()[0]) // 1024, int(lines["VmHWM"].split()[0]) // 1024


def cpu(pid: int) -> float:
    """Seconds of processor time used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main(rows: int, repeats: int) -> None:
    """Measures in turns, so that both meet the same machine."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "postgres").mkdir()
        issuer = DevIssuer.open(directory / "auth")
        server = PostgresServer(directory / "postgres", {})
        nats = NatsServer(directory / "nats", syncs=True)
        server.start()
        nats.start()
        service: subprocess.Popen[bytes] | None = None
        try:
            await migrate(server.dsn(), "ingestion", MIGRATIONS)
            async with open_nats(nats.url, name="bench") as connection:
                await ensure_streams(connection, TopologyOptions())
            port = free_port()
            environment = {
                **os.environ,
                "TOCSIN_POSTGRES_DSN": server.dsn(),
                "TOCSIN_NATS_URL": nats.url,
                "TOCSIN_GRPC_LISTEN": f"127.0.0.1:{port}",
                "TOCSIN_AUTH_JWKS_FILE": str(issuer.jwks_file),
                "TOCSIN_LOG_LEVEL": "warning",
            }
            service = subprocess.Popen([sys.executable, "-m", "services.ingestion"], env=environment)
            metadata = (("authorization", f"Bearer {issuer.mint()}"),)
            session = await asyncpg.connect(server.dsn())
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await channel.channel_ready()
                await measure(DebtFileServiceStub(channel), session, service.pid, metadata, directory, rows, repeats)
            await session.close()
        finally:
            if service is not None:
                service.terminate()
                service.wait()
            nats.stop()
            server.stop()


async def measure(
    stub: DebtFileServiceStub,
    session: "asyncpg.Connection[asyncpg.Record]",
    pid: int,
    metadata: tuple[tuple[str, str], ...],
    directory: Path,
    rows: int,
    repeats: int,
) -> None:
    """Prints what was measured."""
    path = directory / "debts.csv"
    copies: list[float] = []
    uploads: list[float] = []
    used: list[float] = []
    refused: list[float] = []
    print(f"idle: {memory(pid)[0]} MiB")
    for repeat in range(repeats):
        make_file(path, rows, repeat)
        copies.append(await plain_copy(session, path))
        await session.execute("TRUNCATE ingestion.debts")
        await session.execute("CHECKPOINT")
        before = cpu(pid)
        uploads.append(await taken_in(stub, path, metadata))
        used.append(cpu(pid) - before)
        while await session.fetchval("SELECT count(*) FROM ingestion.outbox"):
            await asyncio.sleep(0.1)
        print(
            f"{rows} rows, {path.stat().st_size / 1e6:.0f} MB: COPY {copies[-1]:.2f} s, taken in {uploads[-1]:.2f} s "
            f"(service {used[-1]:.2f} s of CPU), memory {memory(pid)[0]} MiB, peak {memory(pid)[1]} MiB"
        )
        make_file(path, rows, repeat, good=False)
        before = cpu(pid)
        refused.append(await taken_in(stub, path, metadata))
        print(
            f"  all rejected {refused[-1]:.2f} s (service {cpu(pid) - before:.2f} s of CPU), peak {memory(pid)[1]} MiB"
        )
    ratio = statistics.median(uploads) / statistics.median(copies)
    print(f"medians: COPY {statistics.median(copies):.2f} s, taken in {statistics.median(uploads):.2f} s: {ratio:.2f}x")
    ratio = statistics.median(refused) / statistics.median(uploads)
    print(f"all rejected {statistics.median(refused):.2f} s: {ratio:.2f}x of what good rows take")


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    asyncio.run(main(*(arguments + [200_000, 3][len(arguments) :])))
