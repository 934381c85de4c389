"""What a call costs at a service by itself, part by part: gRPC alone, each stage on top of the last, the use case, and
PostgreSQL behind it. The call is the simplest read that there is, `CatalogueService.GetBuilding`.

`python -m tests.bench.call_micro [calls]` starts a service process for each part, which has all parts before it, too,
and has the Go client make the same calls to each in turn (32 callers, one connection): each by itself, and by lane, as
the gateway makes them (ADR 0019). It prints CPU for a call, which other work on the machine changes less than time, and
how often the process fell asleep for it.
"""

import asyncio
import gc
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import asyncpg
import grpc
import grpc.aio
import uvloop

from services.chassis.auth.dev_issuer import AUDIENCE, ISSUER, DevIssuer
from services.chassis.auth.keys import KeyFile
from services.chassis.auth.verifier import Issuer, Verifier
from services.chassis.grpc.server import Server, ServerOptions
from services.chassis.grpc.stages import ORDER, standard
from services.chassis.postgres import Outbox, open_database
from services.chassis.telemetry import logs
from services.ingestion.adapters.grpc.catalogue import CatalogueServicer
from services.ingestion.adapters.memory.catalogue import MemoryCatalogue
from services.ingestion.adapters.postgres.catalogue import PostgresCatalogue
from services.ingestion.adapters.postgres.rule_change_events import RuleChangeEvents
from services.ingestion.application.catalogue import CatalogueDesk
from services.ingestion.application.ports import Catalogue
from services.ingestion.application.series_directory import DirectoryOptions, SeriesDirectory
from services.ingestion.domain.catalogue import Building
from services.ingestion.settings import MIGRATIONS
from tests.bench.mesh import ROOT
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tocsin.ingestion.v1 import catalogue_pb2 as entries
from tocsin.ingestion.v1 import catalogue_service_pb2 as pb
from tocsin.ingestion.v1.catalogue_service_pb2_grpc import add_CatalogueServiceServicer_to_server

SERVICE: Final = "tocsin.ingestion.v1.CatalogueService"
PARTS: Final = ("grpc", "pipeline", *ORDER, "use case", "postgres")
WAYS: Final = ("alone", "lane")
ROUNDS: Final = 5


class Answering(CatalogueServicer):
    """Reads nothing."""

    async def GetBuilding(self, request: pb.GetBuildingRequest, context: Any) -> entries.Building:
        return entries.Building(id=request.id)


async def serve(part: str, port: int, jwks: Path, dsn: str) -> None:
    """A server with everything up to `part`, until SIGTERM."""
    async with AsyncExitStack() as stack:
        if part == "grpc":
            server = await _bare(port)
        else:
            verifier = Verifier([Issuer(ISSUER, AUDIENCE, KeyFile(jwks))])
            stages = standard(verifier, timedelta(seconds=30))[: PARTS.index(part) - 1]
            server = Server(ServerOptions(listen=f"127.0.0.1:{port}"), stages)
            servicer = await stack.enter_async_context(_servicer(part, dsn))
            add_CatalogueServiceServicer_to_server(servicer, server.registrar)
            await server.start()
        gc.collect()
        gc.freeze()
        print("listens", flush=True)
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()


async def _bare(port: int) -> grpc.aio.Server:
    server = grpc.aio.server(maximum_concurrent_rpcs=4096)
    add_CatalogueServiceServicer_to_server(Answering(_desk(MemoryCatalogue())), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server


def _desk(catalogue: Catalogue) -> CatalogueDesk:
    return CatalogueDesk(catalogue, SeriesDirectory(catalogue, DirectoryOptions(auto_register=False)))


@asynccontextmanager
async def _servicer(part: str, dsn: str) -> AsyncGenerator[CatalogueServicer]:
    memory = MemoryCatalogue()
    await memory.create_building(Building("hq"))
    if part == "use case":
        yield CatalogueServicer(_desk(memory))
    elif part == "postgres":
        async with open_database(dsn, schema="ingestion", application_name="call-micro") as database:
            news = RuleChangeEvents(database, Outbox(source="call-micro"), partitions=8)
            yield CatalogueServicer(_desk(PostgresCatalogue(database, news)))
    else:
        yield Answering(_desk(memory))


@dataclass
class Service:
    """A server process and what was measured of it: microseconds of CPU, and times asleep, for a call."""

    part: str
    port: int
    process: "subprocess.Popen[bytes]"
    cpu: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    sleeps: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})

    def used(self) -> tuple[float, int]:
        """Seconds of CPU, and how often its threads went to sleep, until now."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        sleeps = 0
        for status in Path(f"/proc/{self.process.pid}/task").glob("*/status"):
            line = next(line for line in status.read_text().splitlines() if line.startswith("voluntary"))
            sleeps += int(line.split()[1])
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), sleeps

    def measure(self, calls: int, token: str, way: str) -> None:
        """Has the calls made."""
        before, asleep = self.used()
        drive(self.port, calls, token, way)
        after, slept = self.used()
        self.cpu[way].append((after - before) / calls * 1e6)
        self.sleeps[way].append((slept - asleep) / calls)


def drive(port: int, calls: int, token: str, way: str) -> None:
    """Makes the calls; raises CalledProcessError when one fails."""
    request = pb.GetBuildingRequest(id="hq").SerializeToString().hex()
    subprocess.run(
        [
            str(ROOT / ".build/bin/bench-calls"),
            f"-address=127.0.0.1:{port}",
            f"-method=/{SERVICE}/GetBuilding",
            f"-request={request}",
            f"-token={token}",
            f"-calls={calls}",
            f"-alone={way == 'alone'}",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def started(part: str, jwks: Path, dsn: str) -> Generator[Service]:
    """A service process that listens."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.call_micro", "serve", part, str(port), str(jwks), dsn],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        if not cast(Any, process.stdout).readline():
            raise RuntimeError(f"{part} did not start")
        yield Service(part, port, process)
    finally:
        process.terminate()
        process.wait(30)


async def run(calls: int, parts: Sequence[str]) -> None:
    """Measures and prints."""
    build = [ROOT / "scripts/go.sh", "build", "-o", ROOT / ".build/bin/bench-calls", "./cmd/bench-calls"]
    subprocess.run(build, cwd=ROOT / "gateway", check=True)
    with tempfile.TemporaryDirectory(prefix="call-micro-") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "pg").mkdir()
        postgres, issuer = PostgresServer(root / "pg"), DevIssuer.open(root / "auth")
        postgres.start()
        try:
            async with postgres.database({"ingestion": MIGRATIONS}) as dsn:
                connection = await asyncpg.connect(dsn)
                await connection.execute("INSERT INTO ingestion.buildings (id) VALUES ('hq')")
                await connection.close()
                compare(issuer, dsn, calls, parts)
        finally:
            postgres.stop()


def compare(issuer: DevIssuer, dsn: str, calls: int, parts: Sequence[str]) -> None:
    """Drives all parts in turn, for some rounds, and prints their medians."""
    token = issuer.mint()
    with ExitStack() as stack:
        services = [stack.enter_context(started(part, issuer.jwks_file, dsn)) for part in parts]
        for service in services:
            drive(service.port, calls, token, "alone")
        for _ in range(ROUNDS):
            for service in services:
                for way in WAYS:
                    service.measure(calls, token, way)
        print(f"{'':12s} {'by itself':>18s} {'by lane':>18s}")
        print(f"{'part':12s} {'us CPU':>9s} {'sleeps':>8s} {'us CPU':>9s} {'sleeps':>8s}   for a call")
        for service in services:
            print(f"{service.part:12s}", *(figures(service, way) for way in WAYS))
        print("A server that is gRPC alone has no lanes: its calls go by themselves in both columns.")


def figures(service: Service, way: str) -> str:
    """The medians of a way."""
    return f"{statistics.median(service.cpu[way]):9.0f} {statistics.median(service.sleeps[way]):8.2f}"


def main(arguments: list[str]) -> None:
    """See the module."""
    logs.configure(form="json", level="warning", service="call-micro")
    match arguments:
        case ["serve", part, port, jwks, dsn]:
            uvloop.run(serve(part, int(port), Path(jwks), dsn))
        case [calls, *parts] if calls.isdecimal() and set(parts) <= set(PARTS):
            uvloop.run(run(int(calls), parts or list(PARTS)))
        case []:
            uvloop.run(run(5_000, list(PARTS)))
        case _:
            sys.exit(f"usage: python -m tests.bench.call_micro [calls [part...]]; parts: {', '.join(PARTS)}")


if __name__ == "__main__":
    main(sys.argv[1:])
